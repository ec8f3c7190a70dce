"""Lists of updates that are asked for by a query, whose filters write parts of it.

The query stands in the address as somebody wrote it. A filter is a link or a field that names a
choice; its answer is another address, with the query that makes this choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.fleet_rows import UpdateRow, row_of
from patchtide.adapters.console.listing import EXPORTED, PAGE, Asked, Listed, exported
from patchtide.adapters.console.replies import Reply
from patchtide.adapters.console.visits import Visit
from patchtide.domain.catalog.queries import Fields, Query
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.query_text import query_text
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.catalog.update_filters import UPDATE_FILTERS, chosen, narrowed
from patchtide.server.fleet_view import View
from patchtide.server.update_pages import SORTS, Found, Wanted, look
from patchtide.server.update_search import fields_of

ANY = "any"
WAS = "was"
"""The query that the page was made with: a filter that still says the same was not touched."""
_NAMES = frozenset(one.name for one in UPDATE_FILTERS)
_NOTHING: Mapping[str, Mapping[str, int]] = {one.name: {} for one in UPDATE_FILTERS}
EXAMPLES: tuple[tuple[str, str], ...] = (
    ("risk >= high and required > 0", "urgent, and needed somewhere"),
    ("severity >= important and age > 30d and required > 0", "important, and late"),
    ("cve contains CVE-2026", "mends a CVE of this year"),
    ("openssl and not superseded", "names openssl, and nothing took its place"),
    ("state = unknown and not expired", "some machine could not judge it"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryListed(Listed[UpdateRow]):
    """One page of updates; with an error, of none, because the query cannot be read."""

    chosen: Mapping[str, str]
    error: InvalidQuery | None = None

    NONE: ClassVar[str] = ANY

    def now(self, name: str) -> str:
        return self.chosen.get(name, "")


async def rewritten(desk: Desk, visit: Visit) -> str:
    """Return the address whose query makes the choices that this one names; empty: it names none.

    A query that cannot be read is left as it is, to be told what is wrong with it.
    """
    said = {name: value for name, value in visit.query.items() if name in _NAMES}
    if not said and WAS not in visit.query:
        return ""
    kept = {n: v for n, v in visit.query.items() if n not in _NAMES and n not in (WAS, "page")}
    fields = await desk.of_fleet(lambda: desk.context.fleet.ask(fields_of))
    asked = Asked(path=visit.path, values=kept, default_sort="")
    try:
        query = _with_choices(visit.query.get("q", ""), said, visit.query.get(WAS), fields)
    except InvalidQuery:
        return asked.to()
    if query is None:
        return asked.to()
    return asked.to(q=query_text(query, fields))


def _with_choices(
    text: str, said: Mapping[str, str], was: str | None, fields: Fields
) -> Query | None:
    """Return the query with those choices that somebody made; None: it stays as it is."""
    before = chosen(parse_query(was, fields), UPDATE_FILTERS) if was is not None else {}
    query = parse_query(text, fields)
    made = {name: "" if value == ANY else value for name, value in said.items()}
    changed = False
    for one in UPDATE_FILTERS:
        value = made.get(one.name)
        if value is not None and (was is None or value != before.get(one.name, "")):
            query, changed = narrowed(query, one, value), True
    return query if changed else None


async def found(desk: Desk, query: str) -> Found | InvalidQuery:
    """Return what a query finds, of which no row is shown; or else what is wrong with it."""
    fleet = desk.context.fleet
    wanted = Wanted(query=query, size=1)
    try:
        return await desk.of_fleet(
            lambda: fleet.ask(lambda view: look(fleet.updates, view, wanted))
        )
    except InvalidQuery as error:
        return error


async def listed(desk: Desk, visit: Visit, *, path: str = "", on: str = "") -> QueryListed:
    """Return the page that the address asks for, of all updates or of those on a list."""
    values = {name: value for name, value in visit.query.items() if name != WAS}
    asked = Asked(path=path or visit.path, values=values, default_sort="-required")
    is_export = "format" in visit.query
    wanted = Wanted(
        query=asked.search,
        on=on,
        sort=asked.sort if asked.sort in SORTS else "required",
        descending=asked.descending,
        page=1 if is_export else asked.page,
        size=EXPORTED if is_export else PAGE,
    )
    fleet = desk.context.fleet

    def question(view: View) -> Found:
        return look(fleet.updates, view, wanted)

    try:
        looked = await desk.of_fleet(partial(fleet.ask, question))
    except InvalidQuery as error:
        return QueryListed(
            asked=asked, rows=(), total=0, of=1, counts=_NOTHING, chosen={}, error=error
        )
    return QueryListed(
        asked=asked,
        rows=[row_of(counted) for counted in looked.rows],
        total=looked.total,
        of=looked.of,
        counts=looked.counts,
        chosen=looked.chosen,
    )


def export(of: QueryListed, kind: str, *, name: str) -> Reply:
    """Raises InvalidQuery."""
    if of.error is not None:
        raise of.error
    return exported(name, of.rows, CELLS, kind)


CELLS: Mapping[str, Callable[[UpdateRow], Any]] = MappingProxyType(
    {
        "id": lambda u: str(u.shown.id),
        "title": lambda u: u.shown.title,
        "vendor_id": lambda u: u.shown.vendor_id,
        "severity": lambda u: u.shown.severity,
        "risk": lambda u: u.shown.risk,
        "status": lambda u: u.shown.status,
        "licence": lambda u: u.shown.licence,
        "classification": lambda u: u.shown.classification,
        "feed": lambda u: u.feed,
        "product": lambda u: u.shown.product,
        "released": lambda u: u.shown.released,
        "cves": lambda u: u.shown.cves,
        "required": lambda u: u.shown.required,
        "installed": lambda u: u.shown.installed,
        "not_required": lambda u: u.shown.not_required,
        "unknown": lambda u: u.shown.unknown,
        "restart_pending": lambda u: u.shown.restart_pending,
    }
)
