"""What-if runs of this node: asked once, followed by whoever asks the same, kept for a while."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from patchtide.domain.errors import TooMuch
from patchtide.server.threads import Threads
from patchtide.server.whatif_run import Found, WhatIfRun

WAIT_S = 2.0
"""So long an answer waits for the end; whoever wants to know more asks again."""
KEPT_S = 120.0
"""So old may be what is answered: pages of one list are to be of one run."""
KEPT = 16
AT_ONCE = 4

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    run: WhatIfRun
    task: asyncio.Task[None]
    began_at: float


class WhatIfs:
    """One is worked on at a time, in a thread of its own; the others wait."""

    def __init__(self, *, wait_s: float = WAIT_S) -> None:
        self._wait_s = wait_s
        self._threads = Threads("what-if", count=1)
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()

    async def found(self, key: Key, make: Callable[[], WhatIfRun]) -> Found:
        """Return what the run of this key has found by now; without one, begin it.

        Raises:
            TooMuch: too many others are waited for.
            PatchtideError: whatever the run ended with.
        """
        kept = self._kept.get(key)
        if kept is None or _is_over(kept):
            kept = self._kept[key] = self._begun(make())
        self._kept.move_to_end(key)
        await asyncio.wait({kept.task}, timeout=self._wait_s)
        if kept.task.done() and (error := kept.task.exception()):
            del self._kept[key]
            raise error
        return kept.run.found()

    def _begun(self, run: WhatIfRun) -> _Kept:
        if sum(not kept.task.done() for kept in self._kept.values()) >= AT_ONCE:
            raise TooMuch("other questions to the whole fleet are being worked on")
        while len(self._kept) >= KEPT:
            self._kept.popitem(last=False)
        return _Kept(run, asyncio.create_task(self._work(run)), time.monotonic())

    async def _work(self, run: WhatIfRun) -> None:
        try:
            await self._threads.run(run.work)
        finally:
            run.stop()  # the process ends, and waits for its threads


def _is_over(kept: _Kept) -> bool:
    if not kept.task.done():
        return False
    found = kept.run.found()
    return bool(found.stopped) or time.monotonic() > kept.began_at + KEPT_S
