"""Who is refused an event line does not stay on it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from patchtide.adapters.http import events
from patchtide.adapters.http.events import Events
from patchtide.domain.errors import Refused

pytestmark = pytest.mark.anyio


@dataclass
class Lingering:
    """A transport whose peer never says goodbye."""

    said: list[bytes] = field(default_factory=list)
    is_aborted: bool = False

    def write(self, data: bytes) -> None:
        self.said.append(data[:12])

    def close(self) -> None: ...

    def set_protocol(self, protocol: object) -> None: ...

    def abort(self) -> None:
        self.is_aborted = True

    def is_closing(self) -> bool:
        return False


async def nobody() -> bytes:
    raise Refused


async def somebody() -> bytes:
    return bytes(16)


def never() -> None:
    raise AssertionError("nobody is held")


async def test_who_is_refused_is_cut_off_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "FAREWELL_S", 0.01)
    stranger, late = Lingering(), Lingering()
    lines = Events(limit=0)

    for transport, admission in ((stranger, nobody()), (late, somebody())):
        assert lines.welcome(transport, admission, when_held=never)  # type: ignore[arg-type]
    await asyncio.sleep(0.1)

    assert (stranger.said, late.said) == ([b"HTTP/1.1 401"], [b"HTTP/1.1 503"])
    assert stranger.is_aborted and late.is_aborted


async def test_a_machines_earlier_line_ends_for_certain_when_it_comes_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "FAREWELL_S", 0.01)
    earlier, later = Lingering(), Lingering()
    lines, held = Events(), []

    for transport in (earlier, later):
        lines.welcome(transport, somebody(), when_held=lambda: held.append(1))  # type: ignore[arg-type]
        await asyncio.sleep(0.1)

    assert (len(held), len(lines)) == (2, 1)
    assert earlier.is_aborted and not later.is_aborted
