"""Lists as people page through them: searched, sorted, cut; the cursor is the last thing shown.

A column sorts in the direction in which people look at it first; a minus turns it round. The
cursor is found again by its place in the order, so it leads on even when it no longer fits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from msgspec import Meta

from patchtide.domain.errors import InvalidDocument, Problem

T = TypeVar("T")
Key = Callable[[T], tuple[Any, ...]]

Search = Annotated[str, Meta(max_length=128)]
Limit = Annotated[int, Meta(ge=1, le=500, description="How many at most.")]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    has_more: bool


def paged(
    found: Sequence[T], *, columns: Mapping[str, Key[T]], sort: str, after: T | None, limit: int
) -> Page[T]:
    """Return the part of the list that follows `after`, in the order that `sort` names.

    Raises:
        InvalidDocument: there is no such column.
    """
    key = columns.get(sort.removeprefix("-"))
    if key is None:
        known = ", ".join(sorted(columns))
        raise InvalidDocument([Problem("sort", f"is one of {known}, with or without a minus")])
    ordered = sorted(found, key=key)
    if sort.startswith("-"):
        ordered.reverse()
    start = 0 if after is None else _place(ordered, key, after, reverse=sort.startswith("-"))
    return Page(ordered[start : start + limit], has_more=len(ordered) > start + limit)


def _place(ordered: Sequence[T], key: Key[T], after: T, *, reverse: bool) -> int:
    if not reverse:
        return bisect_right(ordered, key(after), key=key)
    # bisect wants rising keys: what comes after, counted from the other end.
    rising = list(reversed(ordered))
    at_least = bisect_right(rising, key(after), key=key)
    same = at_least - 1 if at_least and key(rising[at_least - 1]) == key(after) else at_least
    return len(ordered) - same


def matches(search: str, *texts: str) -> bool:
    wanted = search.casefold()
    return any(wanted in text.casefold() for text in texts)
