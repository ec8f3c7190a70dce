"""Chance that is none: what happens to which machine follows from names and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeVar

T = TypeVar("T")


def chance(*parts: object) -> float:
    """Return a number from 0 to 1 that is always the same for the same words."""
    digest = sha256("\n".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def one_of(some: Sequence[T], *parts: object) -> T:
    return some[int(chance(*parts) * len(some))]
