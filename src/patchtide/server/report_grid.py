"""Updates by single machines: how each stands on each, and from every cell the way to why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from heapq import nsmallest
from typing import Any

from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.known_updates import Counted
from patchtide.server.listing import in_order
from patchtide.server.member import Member
from patchtide.server.named_report import UPDATES, CellKind, Figure, ReportColumn, Row, Rows, number
from patchtide.server.report_compliance import ID, UPDATE, UPDATE_KEYS
from patchtide.server.report_table import Asking, Table, update_path, why_path
from patchtide.server.report_words import STATES

MACHINE = "machine"
MOST, MOST_CELLS = 50, 100_000


def matrix_of_machines(asking: Asking, found: Sequence[Counted], *, state: str) -> Table:
    """Return how each of the first machines by name stands on each of the updates.

    Raises:
        InvalidDocument: that is too much for one answer.
    """
    scope, view, field = asking.scope, asking.scope.view, state.replace("-", "_")
    members = [view.members[n] for n in scope.members]
    shown = nsmallest(MOST, members, key=lambda one: in_order(one.client.name))
    if asking.is_whole and len(found) * len(shown) > MOST_CELLS:
        what = f"has more than {MOST_CELLS:,} cells: name fewer updates by a list or a query"
        raise InvalidDocument([Problem("by", what)])
    keyed = _keyed(shown)
    columns = (
        *UPDATE,
        number("all", "All"),
        *(_column(key, one.client.name) for key, one in keyed),
        ID,
    )
    keys: Mapping[str, Callable[[Counted], Any]] = {
        **{key: UPDATE_KEYS[key] for key in ("title", "severity", "risk")},
        "all": lambda c: getattr(c.tally, field),
    }
    page = asking.arranged(found, columns, keys)
    # Machines go on reporting: what they say is read within the question.
    told = [view.states_on(one) for one in shown]
    states = {c.update.id: tuple(on(c.update).value for on in told) for c in page}

    def row(c: Counted) -> Row:
        update = c.update
        about = {"update": update.id, "list": "", "search": "", "query": "", "state": state}
        cells = (update.title, update.severity.value, c.risk.value, getattr(c.tally, field))
        links = {key: why_path(one.id, update.id) for key, one in keyed}
        links |= {"title": update_path(update.id), "all": asking.to("by-machine", **about)}
        return Row((*cells, *states[update.id], str(update.id)), links)

    return Table(
        columns=columns,
        rows=Rows(page, row),
        total=len(found),
        figures=[
            Figure(
                key="updates",
                heading="Updates",
                count=len(found),
                of=len(scope.updates),
                among=UPDATES,
            ),
            Figure(key="machines", heading="Machines shown", count=len(shown), of=len(members)),
        ],
    )


def _keyed(some: Sequence[Member]) -> Sequence[tuple[str, Member]]:
    """Return each with what a file calls its column: its name, and of namesakes the id too."""
    names = Counter(one.client.name for one in some)
    return [
        (f"machine:{one.client.name}" + (f":{one.id}" if names[one.client.name] > 1 else ""), one)
        for one in some
    ]


def _column(key: str, heading: str) -> ReportColumn:
    return ReportColumn(
        key=key, heading=heading, kind=CellKind.WORD, words=STATES, is_sortable=False
    )
