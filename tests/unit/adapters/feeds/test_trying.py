"""Trying addresses: whatever one of them answers, each is told."""

from __future__ import annotations

from patchtide.adapters.feeds.errors import FeedUnreachable
from patchtide.adapters.feeds.trying import tried
from patchtide.server.ports.feed import Tried


def test_an_address_with_a_long_answer_is_told_in_short() -> None:
    def try_one(place: str) -> Tried:
        if place == "long":
            raise FeedUnreachable("x" * 1_000_000)
        return Tried(address=place)

    long, short = tried(["long", "short"], try_one)

    assert (len(long.detail), short) == (1_000, Tried(address="short"))
