"""Guesses wait for a shared read and are refused; what exists is known without one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from patchtide.domain.errors import Unavailable
from patchtide.server.token_book import WAITING_LIMIT, TokenBook

pytestmark = pytest.mark.anyio
HASH = b"h" * 32


@dataclass
class FakeTokens:
    ids: list[str] = field(default_factory=list)
    reads: int = 0
    asked: list[str] = field(default_factory=list)
    breaks: Exception | None = None

    def enrolment_tokens(self, ids: Sequence[str]) -> list[SimpleNamespace]:
        self.reads += 1
        self.asked = [*self.asked, *ids]
        if self.breaks is not None:
            raise self.breaks
        return [SimpleNamespace(id=name, secret_hash=HASH) for name in self.ids if name in ids]


async def test_a_known_token_costs_no_question() -> None:
    tokens = FakeTokens(["t1"])
    book = TokenBook(tokens)  # type: ignore[arg-type]
    await book.found("t1", HASH)

    known = await asyncio.gather(*(book.found("t1", HASH) for _ in range(1000)))

    assert all(known) and tokens.reads == 1 and tokens.asked == ["t1"]


async def test_guesses_at_once_share_one_question() -> None:
    tokens = FakeTokens(["t1"])
    book = TokenBook(tokens)  # type: ignore[arg-type]
    guesses = [book.found(f"t{n}", HASH) for n in range(2, 300)]

    known = await asyncio.gather(*guesses, book.found("t1", bytes(32)))

    assert not any(known) and tokens.reads == 1


async def test_beyond_a_limit_unknown_tokens_are_put_off_and_known_ones_are_not() -> None:
    book = TokenBook(FakeTokens(["t1"]))  # type: ignore[arg-type]
    await book.found("t1", HASH)
    guesses = [asyncio.create_task(book.found("x", HASH)) for _ in range(WAITING_LIMIT)]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable):
        await book.found("y", HASH)
    assert await book.found("t1", HASH)
    assert not any(await asyncio.gather(*guesses))


async def test_a_read_that_failed_is_no_refusal_and_is_tried_again() -> None:
    tokens = FakeTokens(["t1"], breaks=Unavailable())
    book = TokenBook(tokens)  # type: ignore[arg-type]

    with pytest.raises(Unavailable):
        await book.found("t1", HASH)
    tokens.breaks = None
    assert await book.found("t1", HASH)
