"""The part of a named report that is its own: figures, columns, and rows in some order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from heapq import nlargest, nsmallest
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from patchtide.domain.catalog.queries import Asked, Operator
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.query_text import query_text
from patchtide.domain.catalog.update_filters import joined, parts_of
from patchtide.domain.compliance.machine_query import MACHINE_FIELDS
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.named_report import MEMBERS, Figure, ReportColumn, Row
from patchtide.server.report_scope import AskReport, Scope

H = TypeVar("H")
_ABOUT = ("list", "search", "query", "update", "machines", "machine", "collection")
"""What of the parameters says what a report is about: links to other reports take it along."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    columns: Sequence[ReportColumn]
    rows: Sequence[Row]
    total: int
    figures: Sequence[Figure] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One report being made."""

    scope: Scope
    asked: AskReport
    is_whole: bool
    """All rows are wanted, and not a page of them."""
    silent_after: timedelta
    """Who was not heard for so long is silent, if no other habits are told."""
    default_sort: str = ""

    @property
    def sort(self) -> str:
        return self.asked.sort or self.default_sort

    def arranged(
        self,
        found: Sequence[H],
        columns: Sequence[ReportColumn],
        keys: Mapping[str, Callable[[H], Any]],
    ) -> Sequence[H]:
        """Return the rows that are wanted, in their order; those that are alike stay as they are.

        Rows of which the column says nothing are the last, either way.

        Raises:
            InvalidDocument: there is no such column to sort by.
        """
        name = self.sort.removeprefix("-")
        if not name:
            return self._cut(found)
        key = keys.get(name)
        if key is None:
            known = ", ".join(sorted(keys))
            raise InvalidDocument([Problem("sort", f"is one of {known}, with or without a minus")])
        keyed = [(key(one), one) for one in found]
        known_ones = [pair for pair in keyed if pair[0] is not None]
        rest = [one for said, one in keyed if said is None]
        falls = self.sort.startswith("-") is not any(x.falls for x in columns if x.key == name)
        if self.is_whole:
            known_ones.sort(key=_first, reverse=falls)
        else:
            # A page is a small part of a long report: to put all of it in order takes longer.
            upto = self.asked.page * self.asked.limit
            known_ones = (nlargest if falls else nsmallest)(upto, known_ones, key=_first)
            if len(known_ones) == upto:
                rest = []
        return self._cut([one for _, one in known_ones] + rest)

    def _cut(self, found: Sequence[H]) -> Sequence[H]:
        if self.is_whole:
            return found
        start = (self.asked.page - 1) * self.asked.limit
        return found[start : start + self.asked.limit]

    def to(self, report: str, **more: object) -> str:
        """Return the path of another report about the same."""
        about = {name: getattr(self.asked, name) for name in _ABOUT}
        return address(report, {**about, **more})

    def within(self, field: str, value: str) -> str:
        """Return the query for those of the machines that have this value."""
        return narrowed_machines(self.asked.machines, field, value)


Maker = Callable[[Asking], Table]
"""Makes a report within a question to the fleet."""


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]


def address(report: str, values: Mapping[str, object]) -> str:
    said = {name: str(value) for name, value in values.items() if value not in (None, "")}
    return f"/reports/{report}?{urlencode(said)}" if said else f"/reports/{report}"


def narrowed_machines(query: str, field: str, value: str) -> str:
    asked = parse_query(query, MACHINE_FIELDS)
    return query_text(
        joined([*parts_of(asked), Asked(field, Operator.IS, (value,))]), MACHINE_FIELDS
    )


def machine_path(machine: UUID) -> str:
    return f"/machines/{machine}"


def update_path(update: UUID) -> str:
    return f"/updates/{update}"


def why_path(machine: UUID, update: UUID) -> str:
    return f"/machines/{machine}/why/{update}"


def figures_by_state(
    asking: Asking,
    report: str,
    words: Mapping[str, str],
    counts: Mapping[str, int],
    *,
    among: str = MEMBERS,
) -> Sequence[Figure]:
    """Return how many stand how, each with a link to those; `words`: which of them, in order."""
    of = sum(counts.values())
    return [
        Figure(
            key=state,
            heading=heading,
            count=counts[state],
            of=of,
            among=among,
            link=asking.to(report, state=state),
        )
        for state, heading in words.items()
    ]
