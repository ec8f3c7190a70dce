"""Reading many machines' rows in a process that does nothing else.

To read a report's row and to make its sets takes longer than to put them into the index. The
process beside hands them over as the index has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from patchtide.adapters.storage import fleet
from patchtide.adapters.storage.engines import open_readers, parse_url
from patchtide.adapters.storage.transactions import read
from patchtide.server.member import Said
from patchtide.server.told_rows import packed, unpacked

FAILED = b""

_encode = msgspec.msgpack.Encoder().encode
_clients = msgspec.msgpack.Decoder(list[int])


def begin(url: bytes) -> Callable[[bytes], bytes]:
    """Open the database in the process beside; return what answers there."""
    engine = open_readers(parse_url(url.decode()))

    def answer(question: bytes) -> bytes:
        clients = _clients.decode(question)
        try:
            return packed(read(engine, lambda c: fleet.states_of(c, clients)))
        except Exception:  # noqa: BLE001 - whoever asked does it once more, and learns why
            return FAILED

    return answer


def question(clients: Sequence[int]) -> bytes:
    return _encode(clients)


def told(answer: bytes) -> Sequence[Said] | None:
    """Return what the machines said; None: they could not be read there."""
    return None if answer == FAILED else unpacked(answer)
