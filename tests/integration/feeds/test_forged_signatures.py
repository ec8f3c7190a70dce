"""What a signature calls itself vouches for nothing, however the system's own tool repeats it."""

from __future__ import annotations

import base64
from pathlib import Path
from struct import pack

import pytest

from patchtide.adapters.feeds.errors import FeedNotSigned
from patchtide.adapters.feeds.signature import require_signed, signed_text
from patchtide.adapters.platforms.commands import run
from patchtide.adapters.platforms.gpgv import signed_apart, signed_message
from patchtide.agent.vendors import VendorRefused
from tests.simulator.apt_repository import needs_apt

pytestmark = needs_apt
KEY = "AB" * 20
ENDS_OF_LINES = ("\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029")
VENDOR = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nQUJD\n-----END PGP PUBLIC KEY BLOCK-----\n"


def subpacket(kind: int, body: bytes) -> bytes:
    size = len(body) + 1
    return (b"\xff" + pack(">I", size) if size > 191 else bytes([size])) + bytes([kind]) + body


def signature(kind: int, end: str) -> bytes:
    """Return a packet that nobody signed, whose signer calls herself what the tool would say."""
    said = (f"GOODSIG {KEY[-16:]} Toys", f"VALIDSIG {KEY} 2026-01-01 1 0 4 0 1 8 01 {KEY}")
    name = end.join(("x", *(f"[GNUPG:] {line}" for line in said), ""))
    made, by = subpacket(2, pack(">I", 1767225600)), subpacket(33, b"\x04" + b"\xaa" * 20)
    hashed = made + by + subpacket(28, name.encode())
    issuer = subpacket(16, b"\xaa" * 8)
    head = bytes([4, kind, 1, 8]) + pack(">H", len(hashed)) + hashed
    body = head + pack(">H", len(issuer)) + issuer + b"\0\0" + pack(">H", 2047) + b"\x55" * 256
    return b"\xc2\xff" + pack(">I", len(body)) + body


def forged(kind: int) -> bytes:
    packets = b"".join(signature(kind, end) for end in ENDS_OF_LINES)
    lines = base64.encodebytes(packets).decode()
    return f"-----BEGIN PGP SIGNATURE-----\n\n{lines}-----END PGP SIGNATURE-----\n".encode()


def test_no_machine_and_no_feed_takes_a_signers_name_for_the_tools_word(tmp_path: Path) -> None:
    message = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nLabel: Evil\n" + forged(1)
    release, ring = tmp_path / "InRelease", tmp_path / "vendor.gpg"
    release.write_bytes(message)
    ring.write_bytes(b"")

    with pytest.raises(VendorRefused):
        signed_message(message, [ring], run=run)
    with pytest.raises(VendorRefused):
        signed_apart(b"evil", forged(0), [VENDOR], run=run)
    for signed_by in ([str(ring)], [KEY]):
        with pytest.raises(FeedNotSigned, match=r"unknown keys: A{16}$"):
            signed_text(release, signed_by, trusted=[ring], run=run)
    with pytest.raises(FeedNotSigned, match=r"unknown keys: A{16}$"):
        require_signed(b"evil", forged(0), [str(ring)], name="repomd.xml", run=run)
