"""Tries every address of a feed at once, and says of each how far that came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from patchtide.adapters.feeds.web import shown
from patchtide.domain.errors import PatchtideError
from patchtide.server.ports.feed import Step, Tried

AT_ONCE = 8
MOST = 200
"""So many addresses are tried of a feed."""
LIMIT_S = 40.0
_LONGEST = 1_000
"""Of an address, and of what is said of it: who answers has a word in both."""


def tried(
    places: Sequence[str], try_one: Callable[[str], Tried], *, limit_s: float = LIMIT_S
) -> list[Tried]:
    """Return each in its order; one that has not ended in time has failed at its answer."""
    waiting: SimpleQueue[str] = SimpleQueue()
    found: dict[str, Tried] = {}
    for place in places[:MOST]:
        waiting.put(place)
    ends = time.monotonic() + limit_s
    # They end with the process: nobody waits for what nobody waits for.
    threads = [
        threading.Thread(target=_work, args=(waiting, try_one, found), daemon=True)
        for _ in range(min(AT_ONCE, len(places)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    late = f"it did not answer within {limit_s:.0f} s"
    ended = (
        found.get(place, Tried(address=shown(place), step=Step.ANSWER, detail=late))
        for place in places[:MOST]
    )
    return [
        Tried(address=x.address[:_LONGEST], step=x.step, detail=x.detail[:_LONGEST]) for x in ended
    ]


def _work(
    waiting: SimpleQueue[str], try_one: Callable[[str], Tried], found: dict[str, Tried]
) -> None:
    with suppress(Empty):
        while True:
            place = waiting.get_nowait()
            try:
                found[place] = try_one(place)
            except PatchtideError as error:
                found[place] = Tried(address=shown(place), step=Step.ANSWER, detail=str(error))
