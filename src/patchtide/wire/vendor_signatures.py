"""Who signed what a vendor signed, as the tool gpgv says it: asked in one way, judged in one.

What the tool says to people holds names that anybody wrote into a signature, whoever made it. So
its status lines come by a pipe of their own, end where a byte says so, and count by whole
signatures: one that the tool cannot vouch for brings nothing with it, whatever it calls itself.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

GPGV = "/usr/bin/gpgv"
ARMOUR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_TIMEOUT_S = 60.0
_ARMOURED = re.compile(ARMOUR + "(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)
_STATUS = b"[GNUPG:] "
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
_COUNTS_NOT = frozenset({b"BADSIG", b"ERRSIG", b"EXPSIG", b"EXPKEYSIG", b"REVKEYSIG", b"NO_PUBKEY"})
_CAME_TO_AN_END = (0, 2)
"""Of the tool: 2 as well when it has no key for one of several signatures, which is usual."""

Lines = Mapping[bytes, Sequence[Sequence[bytes]]]
"""What follows a word, each time that it was said."""


class Ended(Protocol):
    """How a tool ended; `aside` is what it wrote into the pipe that it was given."""

    @property
    def status(self) -> int: ...
    @property
    def output(self) -> bytes: ...
    @property
    def errors(self) -> bytes: ...
    @property
    def aside(self) -> bytes: ...
    @property
    def truncated(self) -> bool: ...


class Run(Protocol):
    """Runs one of the platform's tools; an argument list, never a shell.

    `aside` is the tool's option that takes the number of a pipe.
    """

    def __call__(
        self,
        arguments: Sequence[str],
        *,
        timeout_s: float,
        output_limit: int = ...,
        aside: str | None = ...,
    ) -> Ended: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A good signature: the key's fingerprint, and that of the key which it belongs to."""

    key: str
    primary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the tool says of all signatures, and what it says was signed, if it was to."""

    good: tuple[Signature, ...]
    is_changed: bool
    unknown: tuple[str, ...]
    output: bytes = b""
    truncated: bool = False


def verify(words: Sequence[str], keyrings: Iterable[str], *, run: Run, limit: int) -> Verdict:
    """Ask the tool. `words` say of what; the output is kept up to the limit."""
    rings = [word for ring in keyrings for word in ("--keyring", ring)]
    asked = [GPGV, "--quiet", "--weak-digest", "SHA1", *rings, *words]
    ended = run(asked, timeout_s=_TIMEOUT_S, output_limit=limit, aside="--status-fd")
    return judge(ended)


def judge(ended: Ended) -> Verdict:
    """Return who signed. Any signature that is bad is told, and that only changed bytes are.

    Vendors sign with old and new keys at once, so one by an unknown key means nothing.
    """
    before, *signatures = _signatures(ended.aside)
    changed = any(b"BADSIG" in said for said in signatures)
    refused = any(line[:1] == [b"proc_pkt.plaintext"] for line in before.get(b"ERROR", ()))
    is_whole = ended.status in _CAME_TO_AN_END and not refused
    good = (_good(said) for said in signatures if is_whole and not changed)
    lacking = (line[0] for said in signatures for line in said.get(b"NO_PUBKEY", ()) if line)
    return Verdict(
        good=tuple(signature for signature in good if signature is not None),
        is_changed=changed,
        unknown=tuple(sorted({key.decode("ascii", "replace") for key in lacking})),
        output=ended.output,
        truncated=ended.truncated,
    )


def without_armour(text: str) -> bytes:
    """Return the keys as the tool reads them; what stands around a block matters nothing.

    A block that is torn is none.
    """
    return b"".join(map(_block, _ARMOURED.findall(text.replace("\r", ""))))


def _signatures(said: bytes) -> Iterator[Lines]:
    """Yield what was said before the first signature, then of each."""
    lines: dict[bytes, list[list[bytes]]] = {}
    for line in said.split(b"\n"):
        if not line.startswith(_STATUS):
            continue
        word, *rest = line.removeprefix(_STATUS).split(b" ")
        if word == b"NEWSIG":
            yield lines
            lines = {}
        lines.setdefault(word, []).append(rest)
    yield lines


def _good(said: Lines) -> Signature | None:
    """VALIDSIG also comes for keys that are expired or revoked; only GOODSIG does not."""
    if _COUNTS_NOT & said.keys():
        return None
    match said.get(b"GOODSIG"), said.get(b"VALIDSIG"):
        case [[good, *_]], [[key, *_, primary]]:
            names = [name.decode("ascii", "replace") for name in (key, primary)]
            if good and key.endswith(good) and all(map(_FINGERPRINT.fullmatch, names)):
                return Signature(key=names[0], primary=names[1])
    return None


def _block(body: str) -> bytes:
    # Headers end with an empty line; the last line, `=` and four letters, is a checksum.
    lines = body.partition("\n\n")[2].split("\n")
    try:
        return base64.b64decode("".join(x for x in lines if x[:1] != "="), validate=True)
    except binascii.Error:
        return b""
