"""Who asks first is served first, also before whoever had the turn and wants it again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from patchtide.server.turns import Turns


def waits(turns: Turns, served: list[str], name: str) -> Callable[[], None]:
    def work() -> None:
        with turns:
            served.append(name)

    thread = threading.Thread(target=work)
    before = turns.waiting
    thread.start()
    while turns.waiting == before:
        threading.Event().wait(0.001)
    return thread.join


def test_whoever_wants_it_again_comes_behind_those_who_wait() -> None:
    turns, served, joins = Turns(), list[str](), list[Callable[[], None]]()
    for _ in range(2):
        with turns:
            joins += [waits(turns, served, name) for name in ("one", "two")]
        with turns:
            served.append("again")

    for join in joins:
        join()
    assert served == ["one", "two", "again"] * 2
