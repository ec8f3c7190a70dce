"""Envelopes, fragments and orders to go back: only as sealed, for this client, in time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from patchtide.wire.messages import decode, encode
from patchtide.wire.policy import (
    ApprovalV1,
    ApprovedV1,
    EnvelopeV1,
    Flaw,
    FragmentV1,
    ItemV1,
    LimitsV1,
    PolicyRefused,
    RollbackOrderV1,
    SignedV1,
    approve,
    keys_of,
    open_approved,
    open_envelope,
    open_fragment,
    open_sealed,
    seal,
)

NOW = 1_772_000_000
SITE = Ed25519PrivateKey.from_private_bytes(bytes(32))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))
CLIENT = bytes(range(16))
ENVELOPE = EnvelopeV1(client=CLIENT, sequence=5, issued=NOW, valid_until=NOW + 100)


GOLDEN = Path(__file__).parents[2] / "golden" / "policy"
DIGEST, UUID = bytes(range(32)), bytes(range(16))
DOCUMENTS: dict[str, Struct] = {
    "signed1": SignedV1(payload=b"payload", key_id=DIGEST, signature=bytes(range(64))),
    "envelope1": EnvelopeV1(
        client=CLIENT,
        sequence=5,
        issued=NOW,
        valid_until=NOW + 100,
        fragments=(DIGEST,),
        slot=4711,
        limits=LimitsV1(restarts_per_day=1, installs_per_hour=2),
    ),
    "envelope1-leased": EnvelopeV1(
        client=CLIENT, sequence=6, issued=NOW, valid_until=NOW + 100, lease=NOW + 50
    ),
    "fragment1": FragmentV1(
        deployment=UUID,
        items=(ItemV1(number=7, revision=2, files=((DIGEST, 10),)),),
        not_before=NOW,
        deadline=NOW + 60,
        stopped=True,
    ),
    "fragment1-rollback": FragmentV1(deployment=UUID, rollbacks=(b"approved",)),
    "rollback-order1": RollbackOrderV1(
        package="nginx", version="1", reason="loses requests", expires=NOW, nonce=UUID
    ),
    "approved1": ApprovedV1(
        payload=b"payload", approvals=(ApprovalV1(key_id=DIGEST, signature=bytes(range(64))),)
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_golden_document_reads_and_writes_as_ever(name: str) -> None:
    golden = bytes.fromhex((GOLDEN / f"{name}.hex").read_text())

    assert decode(golden, type(DOCUMENTS[name])) == DOCUMENTS[name]
    assert encode(DOCUMENTS[name]) == golden


def test_an_envelope_of_before_the_lease_has_none() -> None:
    golden = bytes.fromhex((GOLDEN / "envelope1.hex").read_text())

    assert b"lease" not in golden
    assert decode(golden, EnvelopeV1).lease == 0


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


KEYS = keys_of(public(SITE))


def sealed(document: EnvelopeV1 | FragmentV1, key: Ed25519PrivateKey = SITE) -> bytes:
    return seal(document, key.sign, public_key=public(key))


def opened(data: bytes, *, client: bytes = CLIENT, sequence: int = 5, now: int = NOW) -> EnvelopeV1:
    return open_envelope(data, keys=KEYS, client=client, sequence=sequence, now=now)


def test_an_envelope_is_taken_as_it_was_sealed() -> None:
    assert opened(sealed(ENVELOPE)) == ENVELOPE


FLAWS: dict[Flaw, Callable[[], object]] = {
    Flaw.UNKNOWN_KEY: lambda: opened(sealed(ENVELOPE, OTHER)),
    Flaw.FORGED: lambda: opened(seal(ENVELOPE, OTHER.sign, public_key=public(SITE))),
    Flaw.WRONG_CLIENT: lambda: opened(sealed(ENVELOPE), client=bytes(16)),
    Flaw.OLD_SEQUENCE: lambda: opened(sealed(ENVELOPE), sequence=6),
    Flaw.EXPIRED: lambda: opened(sealed(ENVELOPE), now=NOW + 100),
    Flaw.FROM_THE_FUTURE: lambda: opened(sealed(ENVELOPE), now=NOW - 3601),
    Flaw.MALFORMED: lambda: opened(b"\x80"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_an_envelope_with_a_flaw_is_refused_by_its_name(flaw: Flaw) -> None:
    with pytest.raises(PolicyRefused) as refused:
        FLAWS[flaw]()

    assert refused.value.flaw is flaw


def test_a_signature_over_one_kind_is_none_over_another() -> None:
    with pytest.raises(PolicyRefused) as refused:
        open_sealed(sealed(ENVELOPE), FragmentV1, keys=KEYS)

    assert refused.value.flaw is Flaw.FORGED


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_flipped_bit_changes_what_an_envelope_says(at: int, bit: int) -> None:
    data = bytearray(sealed(ENVELOPE))
    data[at % len(data)] ^= 1 << bit

    with suppress(PolicyRefused):
        assert opened(bytes(data)) == ENVELOPE


def test_a_fragment_counts_only_if_the_envelope_names_it() -> None:
    item = ItemV1(number=7, revision=1, files=((bytes(32), 10),))
    data = sealed(FragmentV1(deployment=bytes(16), items=(item,)))
    named = {sha256(data).digest()}

    assert open_fragment(data, keys=KEYS, named=named).items == (item,)
    with pytest.raises(PolicyRefused) as refused:
        open_fragment(data, keys=KEYS, named={bytes(32)})
    assert refused.value.flaw is Flaw.NOT_NAMED


def test_an_order_to_go_back_takes_two_different_publishers() -> None:
    order = RollbackOrderV1(package="p", version="1", reason="r", expires=NOW, nonce=bytes(16))
    payload = encode(order)
    both = [approve(payload, RollbackOrderV1, k.sign, public_key=public(k)) for k in (SITE, OTHER)]
    keys = keys_of(public(SITE), public(OTHER))

    def read(*approvals: int) -> RollbackOrderV1:
        chosen = tuple(both[i] for i in approvals)
        data = encode(ApprovedV1(payload=payload, approvals=chosen))
        return open_approved(data, RollbackOrderV1, keys=keys, approvers=2)

    assert read(0, 1) == order
    for too_few in [(), (0,), (0, 0)]:
        with pytest.raises(PolicyRefused) as refused:
            read(*too_few)
        assert refused.value.flaw is Flaw.TOO_FEW_APPROVERS
