"""Lists as people page through them: searched, sorted, cut; the cursor is a place in the order.

A column sorts in the direction in which people look at it first; a minus turns it round. A cursor
holds the key of the last row that was shown, so the next page goes on behind that place even when
the row is gone or stands elsewhere now: whatever has not changed meanwhile is met exactly once.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

from patchtide.domain.errors import InvalidDocument, Problem

T = TypeVar("T")
Key = Callable[[T], tuple[Any, ...]]

KEY_TEXT = 200
"""As much of a text takes part in the order, so that a cursor fits into an address."""
Search = Annotated[str, Meta(max_length=128)]
Limit = Annotated[int, Meta(ge=1, le=500, description="How many at most.")]
After = Annotated[
    str, Meta(max_length=8192, description="Go on from there (`next` of the page before).")
]


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    key: Key[T]
    """No two rows have the same: it ends with what the row is known by for ever."""
    kind: Any
    """The type of what `key` returns, to tell a cursor of ours from anything else."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    next: str | None
    """The cursor of the page behind; None: this is the last one."""


def paged(
    found: Sequence[T], *, columns: Mapping[str, Column[T]], sort: str, after: str, limit: int
) -> Page[T]:
    """Return the part of the list that follows `after`, in the order that `sort` names.

    Raises:
        InvalidDocument: there is no such column, or `after` is no cursor of this order.
    """
    place = place_in(columns, sort, after)
    column, falls = columns[sort.removeprefix("-")], sort.startswith("-")
    keyed = [(column.key(row), number) for number, row in enumerate(found)]
    if place is not None:
        keyed = [one for one in keyed if (one[0] < place if falls else one[0] > place)]
    # A page is a small part of a long list: to put all of it in order would take longer.
    first = (nlargest if falls else nsmallest)(limit + 1, keyed)
    items = [found[number] for _, number in first[:limit]]
    return Page(items, cursor_at(sort, first[limit - 1][0]) if len(first) > limit else None)


def place_in(columns: Mapping[str, Column[Any]], sort: str, after: str) -> tuple[Any, ...] | None:
    """Return the place that a cursor holds; without one, None: the beginning.

    Raises:
        InvalidDocument: there is no such column, or `after` is no cursor of this order.
    """
    column = columns.get(sort.removeprefix("-"))
    if column is None:
        known = ", ".join(sorted(columns))
        raise InvalidDocument([Problem("sort", f"is one of {known}, with or without a minus")])
    return _place(after, sort, column) if after else None


def cursor_at(sort: str, key: tuple[Any, ...]) -> str:
    return urlsafe_b64encode(msgspec.json.encode((sort, key))).decode().rstrip("=")


def _place(cursor: str, sort: str, column: Column[Any]) -> tuple[Any, ...]:
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        known, key = msgspec.json.decode(text, type=tuple[str, list[Any]])
        place: tuple[Any, ...] = msgspec.convert(key, column.kind)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise _no_cursor() from error
    if known != sort:
        raise _no_cursor()
    return place


def _no_cursor() -> InvalidDocument:
    what = "is no cursor of this list in this order; begin with the first page"
    return InvalidDocument([Problem("after", what)])


def matches(search: str, *texts: str) -> bool:
    wanted = search.casefold()
    return any(wanted in text.casefold() for text in texts)


def in_order(text: str) -> str:
    """Return what of a text takes part in the order."""
    return text.casefold()[:KEY_TEXT]
