"""Nothing is unpacked before its length and hash were right (S24)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat

import pytest
import zstandard

from patchtide.adapters.transport.blobs import ContentBlobs
from patchtide.agent.catalog import LocalCatalog
from patchtide.agent.ports.content import ContentRefused
from patchtide.agent.ports.web import Reply
from patchtide.wire import shards
from tests.simulator.machine import NOON, SimulatedMachine, a_leaf

Bend = Callable[[bytes], Iterator[bytes]]


class BentContent:
    """Serves a machine's content as somebody on the way makes of it."""

    def __init__(self, machine: SimulatedMachine, bend: Bend) -> None:
        self._content = machine.blobs.content
        self._bend = bend
        self.chunks = 0

    @contextmanager
    def get(self, url: str, *, offset: int = 0, total_s: float, stall_s: float) -> Iterator[Reply]:
        del offset, total_s, stall_s
        data = self._content[bytes.fromhex(url.rpartition("/")[2])]
        yield Reply(status=200, length=None, start=0, chunks=self._counted(data))

    def _counted(self, data: bytes) -> Iterator[bytes]:
        for chunk in self._bend(data):
            self.chunks += 1
            yield chunk


def catalog_of(machine: SimulatedMachine, content: BentContent) -> LocalCatalog:
    return LocalCatalog(
        machine.journal,
        trust=machine.trust,
        blobs=ContentBlobs("https://site", content),
        platform=machine.platform,
        followed=["custom"],
    )


@pytest.fixture
def machine() -> SimulatedMachine:
    made = SimulatedMachine()
    made.publish("custom", a_leaf(1, "openssl", "3.0.2"))
    return made


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the decompressor was given."""
    given: list[bytes] = []
    unpack = shards.unpack

    def spy(packed: bytes, **limits: object) -> bytes:
        given.append(packed)
        return unpack(packed, **limits)  # type: ignore[arg-type]

    monkeypatch.setattr(shards, "unpack", spy)
    return given


BENDS: dict[str, Bend] = {
    "one byte more": lambda data: iter([data, b"\0"]),
    "one byte less": lambda data: iter([data[:-1]]),
    "another byte": lambda data: iter([data[:-1], bytes([data[-1] ^ 1])]),
    "something that unpacks to much": lambda _: iter([zstandard.compress(bytes(1 << 24))]),
    "without end": lambda data: repeat(data),
}


@pytest.mark.parametrize("bend", BENDS.values(), ids=BENDS)
def test_bytes_of_another_length_or_hash_never_reach_the_decompressor(
    machine: SimulatedMachine, unpacked: list[bytes], bend: Bend
) -> None:
    content = BentContent(machine, bend)

    with pytest.raises(ContentRefused):
        catalog_of(machine, content).refresh({}, now=NOON)

    assert unpacked == []
    assert content.chunks <= 3
    assert machine.journal.shards() == {}


def test_what_is_unpacked_is_what_the_signed_index_names(
    machine: SimulatedMachine, unpacked: list[bytes]
) -> None:
    catalog_of(machine, BentContent(machine, lambda data: iter([data]))).refresh({}, now=NOON)

    assert unpacked
    assert set(unpacked) <= set(machine.blobs.content.values())
