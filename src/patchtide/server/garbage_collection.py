"""Work that makes millions of objects and keeps them, without the collector looking through them.

Each look at all objects holds every thread, and the loop that serves machines, for as long as there
are objects; what such work makes has no cycles to be found.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# The loop makes some hundred objects a request, which go with it and hold no cycles.
_NEW_OBJECTS, _YOUNG, _OLDER = 20_000, 20, 100


def collect_rarely() -> None:
    gc.set_threshold(_NEW_OBJECTS, _YOUNG, _OLDER)


def settle() -> None:
    """Look no more through what there is now: what a server made at its start stays."""
    gc.freeze()


@contextmanager
def without_collection() -> Iterator[None]:
    """Collect no cycles until this ends; of several at once, until the first of them does."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
