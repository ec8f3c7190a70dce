"""Shares in per cent, which never say that all are there while one is missing."""

from __future__ import annotations

LEAST = 0.1


def share(part: int, whole: int) -> float | None:
    """Return how many per cent that is, to a tenth; of nothing there is no share.

    Rounded down, so that 100 stands for all alone; and what is there at all is no zero.
    """
    if whole <= 0:
        return None
    down = 1000 * part // whole / 10
    return max(down, LEAST) if part else 0.0
