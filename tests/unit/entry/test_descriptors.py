"""Limits on connections shrink in proportion to what the system allows."""

from __future__ import annotations

import pytest

from patchtide.entry.server.descriptors import RESERVE, Room

WANTED = Room(connections=8000, handshakes=2000, events=20_000)


@pytest.mark.parametrize(
    ("descriptors", "found"),
    [
        (1 << 20, WANTED),
        (30_000 + RESERVE, WANTED),
        (15_000 + RESERVE, Room(connections=4000, handshakes=1000, events=10_000)),
        (64, Room(connections=1, handshakes=1, events=0)),
    ],
)
def test_what_fits_leaves_room_for_the_database(descriptors: int, found: Room) -> None:
    assert WANTED.within(descriptors) == found
