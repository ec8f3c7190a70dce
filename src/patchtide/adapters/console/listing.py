"""Lists as people work with them: searched, filtered, sorted, paged, exported.

Everything that a list is asked for stands in its address, so any state of it can be kept as a
bookmark, sent to somebody else, or gone back to.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from operator import itemgetter
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from patchtide.adapters.console.replies import Reply, download
from patchtide.server.spreadsheet_cells import harmless

R = TypeVar("R")
PAGE = 50
EXPORTED = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a list is asked for, as its address says it."""

    path: str
    values: Mapping[str, str]
    default_sort: str

    @property
    def search(self) -> str:
        return self.values.get("q", "").strip()[:4096]

    @property
    def sort(self) -> str:
        return (self.values.get("sort") or self.default_sort).removeprefix("-")

    @property
    def descending(self) -> bool:
        return (self.values.get("sort") or self.default_sort).startswith("-")

    @property
    def page(self) -> int:
        text = self.values.get("page", "1")
        return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else 1

    def to(self, **changes: str | int | None) -> str:
        """Return the address with these changes; another choice begins at the first page."""
        merged: dict[str, str | int | None] = {**self.values, "page": None, "done": None}
        said = {name: v for name, v in {**merged, **changes}.items() if v not in (None, "")}
        return f"{self.path}?{urlencode(said)}" if said else self.path

    def sorted_by(self, key: str, *, falling: bool = False) -> str:
        """Return the address of a click on a column: its natural direction first, then back."""
        first, other = (f"-{key}", key) if falling else (key, f"-{key}")
        now = f"-{self.sort}" if self.descending else self.sort
        return self.to(sort=other if now == first else first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Generic[R]):
    """One page of a list, and what its controls say."""

    asked: Asked
    rows: Sequence[R]
    total: int
    of: int
    """How many there are without any search or filter."""
    counts: Mapping[str, Mapping[str, int]]
    """By filter and value: how many that choice would show."""

    @property
    def first(self) -> int:
        return (self.page - 1) * PAGE + 1

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE))

    @property
    def page(self) -> int:
        return min(self.asked.page, self.pages)

    NONE: ClassVar[str] = ""
    """How an address says that nothing is chosen in a filter."""

    def now(self, name: str) -> str:
        """Return what is chosen in a filter; empty: nothing is."""
        return self.asked.values.get(name, "")

    def count(self, name: str, value: str) -> int:
        return self.counts[name].get(value, 0)

    def every(self, name: str) -> int:
        """Return how many there would be with no choice in this filter."""
        return self.counts[name].get("", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape(Generic[R]):
    """What a list can do with rows of one kind."""

    name: str
    text: Callable[[R], str]
    """What a search looks through."""
    sorts: Mapping[str, Callable[[R], Any]]
    sort: str
    filters: Mapping[str, Callable[[R], str]]
    several: Mapping[str, Callable[[R], Sequence[str]]] = field(default_factory=dict)
    """Filters by what a row may have more than one of."""
    cells: Mapping[str, Callable[[R], Any]]
    """What is exported, by heading."""

    def asked(self, path: str, values: Mapping[str, str]) -> Asked:
        return Asked(path=path, values=values, default_sort=self.sort)

    def page(self, rows: Sequence[R], asked: Asked) -> Listed[R]:
        found, counts = self._chosen(rows, asked)
        ordered = self._ordered(found, asked)
        page = min(asked.page, max(1, -(-len(ordered) // PAGE)))
        return Listed(
            asked=asked,
            rows=ordered[(page - 1) * PAGE : page * PAGE],
            total=len(ordered),
            of=len(rows),
            counts=counts,
        )

    def export(self, rows: Sequence[R], asked: Asked, kind: str) -> Reply:
        """Return all that is chosen as a file, in the order in which it is shown."""
        found = self._ordered(self._chosen(rows, asked)[0], asked)[:EXPORTED]
        return exported(self.name, found, self.cells, kind)

    def _chosen(
        self, rows: Sequence[R], asked: Asked
    ) -> tuple[Sequence[R], Mapping[str, Mapping[str, int]]]:
        words = asked.search.casefold().split()
        found = [r for r in rows if _has(self.text(r), words)] if words else rows
        names = (*self.filters, *self.several)
        wanted = {n: v for n in names if (v := asked.values.get(n, ""))}
        chosen = self._passing(found, wanted)
        counts: dict[str, Counter[str]] = {}
        for name in names:
            # What another choice here would show: the choice itself does not narrow it.
            others = {n: value for n, value in wanted.items() if n != name}
            rows = chosen if name not in wanted else self._passing(found, others)
            counts[name] = Counter(self._said(name, rows))
            counts[name][""] = len(rows)
        return chosen, counts

    def _said(self, name: str, rows: Sequence[R]) -> Iterable[str]:
        if name in self.filters:
            return map(self.filters[name], rows)
        return chain.from_iterable(map(self.several[name], rows))

    def _passing(self, rows: Sequence[R], wanted: Mapping[str, str]) -> Sequence[R]:
        for name, value in wanted.items():
            if name in self.several:
                has = self.several[name]
                rows = [row for row in rows if value in has(row)]
            else:
                says = self.filters[name]
                rows = [row for row in rows if says(row) == value]
        return rows

    def _ordered(self, rows: Sequence[R], asked: Asked) -> Sequence[R]:
        key = self.sorts.get(asked.sort)
        if key is None:
            return rows
        keyed = [(key(row), row) for row in rows]
        known = [pair for pair in keyed if pair[0] is not None]
        known.sort(key=itemgetter(0), reverse=asked.descending)
        unknown = [row for said, row in keyed if said is None]
        return [row for _, row in known] + unknown


def exported(
    name: str, rows: Sequence[R], cells: Mapping[str, Callable[[R], Any]], kind: str
) -> Reply:
    """Return the rows as a file."""
    said = [{head: cell(row) for head, cell in cells.items()} for row in rows]
    if kind == "json":
        body = msgspec.json.format(msgspec.json.encode(said), indent=2)
        return download(body, kind="application/json", name=f"{name}.json")
    body = _csv(tuple(cells), said)
    return download(body, kind="text/csv; charset=utf-8", name=f"{name}.csv")


def _has(text: str, words: Sequence[str]) -> bool:
    folded = text.casefold()
    return all(word in folded for word in words)


def _csv(heads: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(heads)
    writer.writerows([_cell(row[name]) for name in heads] for row in rows)
    return out.getvalue().encode()


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value:%Y-%m-%dT%H:%M:%SZ}"
        case list() | tuple():
            return _cell(" ".join(map(str, value)))
        case str():
            return harmless(value)
        case _:
            return str(value)
