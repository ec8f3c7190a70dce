"""Named reports whose rows are updates: one machine's, superseded ones, and those by groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyroaring import BitMap

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.risk import CLASSES
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.known_updates import Counted, KnownUpdate
from patchtide.server.listing import in_order
from patchtide.server.named_report import UPDATES, CellKind, Figure, ReportColumn, Row, Rows, number
from patchtide.server.report_compliance import ID, UPDATE, UPDATE_KEYS
from patchtide.server.report_grid import MACHINE, matrix_of_machines
from patchtide.server.report_scope import machine_in
from patchtide.server.report_table import (
    Asking,
    Table,
    figures_by_state,
    update_path,
    why_path,
)
from patchtide.server.report_words import GROUPINGS, STATES

GROUPS = 40
"""As many groups stand side by side, those of most machines; the rest is one column."""
REST = "others"


@dataclass(frozen=True, slots=True)
class _There:
    update: KnownUpdate
    state: str
    counted: Counted


def machine(asking: Asking) -> Table:
    """Return how one machine stands on each update.

    Raises:
        InvalidDocument: it is not said which.
    """
    scope = asking.scope
    if asking.asked.machine is None:
        raise InvalidDocument([Problem("machine", "say which: this report is about one")])
    member = machine_in(scope.view, asking.asked.machine)
    state_on, view = scope.view.states_on(member), scope.view
    there = [_There(x, state_on(x).value, view.counted(x)) for x in scope.updates]
    wanted = asking.asked.state or LeafState.REQUIRED.value
    if wanted not in (*STATES, "any"):
        raise InvalidDocument([Problem("state", f"is one of {', '.join(STATES)}, any")])
    found = [one for one in there if wanted in (one.state, "any")]
    counts = Counter(one.state for one in there)
    columns = (
        *UPDATE,
        ReportColumn(key="state", heading="State", kind=CellKind.WORD, words=STATES),
        ReportColumn(key="cves", heading="CVEs", kind=CellKind.TEXTS, is_sortable=False),
        ReportColumn(key="released", heading="Released", kind=CellKind.INSTANT, falls=True),
        ID,
    )
    keys: Mapping[str, Callable[[_There], Any]] = {
        "title": lambda x: in_order(x.update.title),
        "severity": lambda x: -x.update.order[0],
        "risk": lambda x: CLASSES.index(x.counted.risk),
        "state": lambda x: list(STATES).index(x.state),
        "released": lambda x: x.update.details.released if x.update.details else None,
    }

    def row(one: _There) -> Row:
        update, details = one.update, one.update.details
        cells = (
            update.title,
            update.severity.value,
            one.counted.risk.value,
            one.state,
            (details.cves or ()) if details else (),
            details.released if details else None,
            str(update.id),
        )
        why = why_path(member.id, update.id)
        return Row(cells, {"title": update_path(update.id), "state": why})

    return Table(
        columns=columns,
        rows=Rows(asking.arranged(found, columns, keys), row),
        total=len(found),
        figures=figures_by_state(asking, "machine", STATES, counts, among=UPDATES),
    )


def superseded(asking: Asking) -> Table:
    """Return what is needed somewhere although something newer takes its place elsewhere."""
    scope, view = asking.scope, asking.scope.view
    old = [update for update in scope.updates if view.is_superseded(update)]
    found = [c for c in map(scope.counted, old) if c.tally.required]
    columns = (
        *UPDATE,
        number("required", "Still needed"),
        ReportColumn(
            key="successors", heading="Superseded by", kind=CellKind.TEXTS, is_sortable=False
        ),
        ID,
    )
    keys = {key: UPDATE_KEYS[key] for key in ("title", "severity", "risk", "required")}
    successors = {c.update.id: tuple(one.title for one in view.successors(c.update)) for c in found}

    def row(c: Counted) -> Row:
        update = c.update
        link = asking.to(
            "by-machine", update=update.id, list="", search="", query="", state="required"
        )
        cells = (update.title, update.severity.value, c.risk.value, c.tally.required)
        links = {"title": update_path(update.id), "required": link}
        return Row((*cells, successors[update.id], str(update.id)), links)

    return Table(
        columns=columns,
        rows=Rows(asking.arranged(found, columns, keys), row),
        total=len(found),
        figures=[
            Figure(
                key="superseded",
                heading="Superseded and still needed",
                count=len(found),
                of=len(scope.updates),
                among=UPDATES,
            )
        ],
    )


@dataclass(frozen=True, slots=True)
class _Group:
    key: str
    heading: str
    machines: BitMap
    query: str | None
    """The machines of it; None: they are of many groups."""


def matrix(asking: Asking) -> Table:
    """Return on how many machines of each group each update is needed."""
    scope = asking.scope
    by = asking.asked.by or "platform"
    state = asking.asked.state or "required"
    if state not in STATES:
        raise InvalidDocument([Problem("state", f"is one of {', '.join(STATES)}")])
    field = state.replace("-", "_")
    found = [c for c in map(scope.counted, scope.updates) if getattr(c.tally, field)]
    if by == MACHINE:
        return matrix_of_machines(asking, found, state=state)
    groups = _groups(asking, by)
    columns = (
        *UPDATE,
        number("all", "All"),
        *(
            ReportColumn(key=g.key, heading=g.heading, kind=CellKind.NUMBER, is_sortable=False)
            for g in groups
        ),
        ID,
    )
    keys = {
        **{key: UPDATE_KEYS[key] for key in ("title", "severity", "risk")},
        "all": lambda c: getattr(c.tally, field),
    }
    shown = asking.arranged(found, columns, keys)
    # The sets are the view's: what is counted of them is counted now.
    counts = {
        c.update.id: _counts(getattr(scope.part.held(c.update), field), groups) for c in shown
    }

    def row(c: Counted) -> Row:
        update = c.update
        about = {"update": update.id, "list": "", "search": "", "query": "", "state": state}
        cells = (update.title, update.severity.value, c.risk.value, getattr(c.tally, field))
        links = {"title": update_path(update.id), "all": asking.to("by-machine", **about)}
        for group in groups:
            if group.query is not None:
                links[group.key] = asking.to("by-machine", **{**about, "machines": group.query})
        return Row((*cells, *counts[update.id], str(update.id)), links)

    return Table(
        columns=columns,
        rows=Rows(shown, row),
        total=len(found),
        figures=[
            Figure(
                key="updates",
                heading="Updates",
                count=len(found),
                of=len(scope.updates),
                among=UPDATES,
            ),
            Figure(key="groups", heading=f"{GROUPINGS[by]}s", count=len(groups)),
        ],
    )


def _counts(held: BitMap, groups: Sequence[_Group]) -> tuple[int, ...]:
    return tuple(group.machines.intersection_cardinality(held) for group in groups)


def _groups(asking: Asking, by: str) -> Sequence[_Group]:
    scope = asking.scope
    values = [(str(v), some & scope.members) for v, some in scope.machines.values(by).items()]
    there = sorted(((v, some) for v, some in values if some), key=lambda x: (-len(x[1]), x[0]))
    groups = [
        _Group(f"{by}:{value}", value or "none", some, asking.within(by, value))
        for value, some in sorted(there[:GROUPS], key=lambda x: x[0])
    ]
    if rest := there[GROUPS:]:
        machines = BitMap().union(*(some for _, some in rest))
        groups.append(_Group(REST, f"{len(rest)} others", machines, None))
    return groups
