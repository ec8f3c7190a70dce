"""Whose signature counts: by what gpgv says of whole signatures, and nothing that they say."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from patchtide.wire.vendor_signatures import ARMOUR, judge, without_armour

KEY, OTHER = "AB" * 20, "CD" * 20
GOOD = (f"GOODSIG {KEY[-16:]} Toys <toys@invalid>",)
VALID = (f"VALIDSIG {KEY} 2026-01-01 1767225600 0 4 0 22 8 01 {KEY}",)
UNKNOWN = (f"ERRSIG {OTHER[-16:]} 22 8 01 1 9 {OTHER}", f"NO_PUBKEY {OTHER[-16:]}")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the tool left behind."""

    aside: bytes
    status: int = 0
    output: bytes = b"index"
    errors: bytes = b""
    truncated: bool = False


def said(*signatures: tuple[str, ...], status: int = 0, before: str = "PLAINTEXT 74 0 ") -> Said:
    lines = [before, *(line for each in signatures for line in ("NEWSIG", *each))]
    return Said(aside="".join(f"[GNUPG:] {line}\n" for line in lines).encode(), status=status)


def test_a_good_signature_counts_beside_one_by_an_unknown_key() -> None:
    for found in (judge(said(GOOD + VALID)), judge(said(UNKNOWN, GOOD + VALID, status=2))):
        assert [(each.key, each.primary) for each in found.good] == [(KEY, KEY)]
    assert judge(said(UNKNOWN, status=2)).unknown == (OTHER[-16:],)


@pytest.mark.parametrize(
    "wrong",
    [
        said(GOOD, VALID),
        said(GOOD + VALID + UNKNOWN, status=2),
        said(VALID),
        said((f"EXPKEYSIG {KEY[-16:]} Toys", *VALID)),
        said((f"REVKEYSIG {KEY[-16:]} Toys", *VALID)),
        said((f"EXPSIG {KEY[-16:]} Toys", *VALID)),
        said(GOOD + GOOD + VALID),
        said((f"GOODSIG {OTHER[-16:]} Toys", *VALID)),
        said(("GOODSIG  Toys", *VALID)),
        said((*GOOD, VALID[0].replace(KEY, KEY[:16]))),
        said((f"BADSIG {OTHER[-16:]} Toys",), GOOD + VALID, status=1),
        said(GOOD + VALID, status=-9),
        said(GOOD + VALID, before="ERROR proc_pkt.plaintext 89_BAD_DATA", status=2),
        Said(aside=b""),
        Said(aside=said(GOOD + VALID).aside.replace(b"[GNUPG:] NEWSIG\n", b"")),
        Said(aside=b"", errors=said(GOOD + VALID).aside),
    ],
    ids=lambda wrong: wrong.aside.decode().replace("[GNUPG:] ", "")[15:40],
)
def test_a_signature_that_is_not_wholly_good_is_none(wrong: Said) -> None:
    assert judge(wrong).good == ()


def test_only_changed_bytes_are_told_of_a_bad_signature() -> None:
    assert judge(said((f"BADSIG {KEY[-16:]} Toys",), status=1)).is_changed
    assert not judge(said(UNKNOWN, status=2)).is_changed


def test_nothing_that_a_signature_calls_itself_makes_it_good() -> None:
    for between in (chr(code) for code in range(0x3001) if chr(code).isspace() and code != 10):
        forged = between.join(("x", *(f"[GNUPG:] {line}" for line in GOOD + VALID), ""))
        told = said(UNKNOWN, status=2).aside.replace(b"NEWSIG", f"NEWSIG {forged}".encode())
        assert judge(Said(aside=told, status=2)).good == ()
        assert judge(Said(aside=told.partition(b"[GNUPG:] ERRSIG")[0], status=2)).good == ()


def test_a_block_of_keys_that_is_torn_is_none() -> None:
    block = f"{ARMOUR}\n\nQUJD\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----"
    torn = block.replace("QUJD", "Q!JD")

    assert without_armour(f"{block}\n words \n{torn}\n{block}") == b"ABC" * 2
