"""What vendors signed themselves of RPM repositories, for machines to verify.

Only of repositories whose index their vendor signs, and of that index only the list of packages:
the rest of it says nothing that a machine verifies. Where packages alone are signed there is
nothing to keep, for each carries its signature.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from patchtide.adapters.feeds.rpm_index import DataFile
from patchtide.server.ports.feed import VendorFile, VendorIndex
from patchtide.wire.vendor_indexes import (
    MAX_INDEX_BYTES,
    RPM,
    primary_key,
    signature_key,
)


def vendor_index(
    architecture: str,
    where: str,
    *,
    signed: tuple[bytes, bytes],
    primary: DataFile,
    read: Callable[[], bytes],
) -> VendorIndex | None:
    """Return what is kept; None: its list is too long, or the index has no hash of it unpacked.

    `signed` are the index and the signature beside it, `read` brings the list unpacked.
    """
    document, signature = signed
    if primary.open_digest is None or primary.open_size_bytes > MAX_INDEX_BYTES:
        return None
    return VendorIndex(
        kind=RPM,
        name=where[:256],
        signed=_file("repomd.xml", document),
        lists=(
            _file(signature_key(architecture), signature),
            VendorFile(
                key=primary_key(architecture),
                sha256=bytes.fromhex(primary.open_digest),
                read=read,
            ),
        ),
    )


def _file(key: str, data: bytes) -> VendorFile:
    return VendorFile(key=key, sha256=sha256(data).digest(), read=lambda: data)
