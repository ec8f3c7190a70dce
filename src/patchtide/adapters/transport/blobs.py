"""Small files by their hash, from the server's content plane, into memory."""

from __future__ import annotations

import hmac
from hashlib import sha256

from patchtide.agent.ports.content import ContentRefused, ContentUnreachable
from patchtide.agent.ports.web import Getter, TransferFailed

TOTAL_S = 600.0
STALL_S = 30.0


class ContentBlobs:
    """`url` is the server's address; no byte is looked at before the hash is right."""

    def __init__(self, url: str, getter: Getter) -> None:
        self._base = f"{url.rstrip('/')}/content/"
        self._getter = getter

    def read(self, digest: bytes, *, at_most: int) -> bytes:
        """See the port `Blobs`."""
        name = digest.hex()
        data = bytearray()
        try:
            with self._getter.get(self._base + name, total_s=TOTAL_S, stall_s=STALL_S) as reply:
                if reply.status != 200:
                    raise ContentUnreachable(f"content {name}: status {reply.status}")
                for chunk in reply.chunks:
                    data += chunk
                    if len(data) > at_most:
                        raise ContentRefused(f"content {name} has more than {at_most} bytes")
        except TransferFailed as error:
            raise ContentUnreachable(f"content {name}: {error}") from error
        if not hmac.compare_digest(sha256(data).digest(), digest):
            raise ContentRefused(f"content {name} is something else")
        return bytes(data)
