"""Limits on connections shrink in proportion to what the system allows."""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterator

import pytest

from patchtide.adapters.http.descriptors import RESERVE, Room, make_room, of_one_address

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


@pytest.fixture
def few() -> Iterator[int]:
    """A process that may open few files, as they are started."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (RESERVE + 30, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_takes_the_files_it_needs(few: int) -> None:
    wanted = Room(connections=100, handshakes=100, events=100)

    found = make_room(wanted)

    assert found == wanted
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (300 + RESERVE, few)


def test_where_the_system_allows_no_more_less_is_accepted_and_said(
    few: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (RESERVE + 30, RESERVE + 30))

    with caplog.at_level(logging.INFO):
        found = make_room(Room(connections=100, handshakes=100, events=100))

    assert found == Room(connections=10, handshakes=10, events=10)
    assert "10 event lines" in caplog.text


@pytest.mark.parametrize(("of", "found"), [(8192, 2048), (9000, 2048), (400, 100), (2, 1)])
def test_one_address_never_holds_most_of_what_fits(of: int, found: int) -> None:
    assert of_one_address(2048, of=of) == found
