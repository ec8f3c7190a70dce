"""The named report of targets: how far each update is that was ever needed, and what is late."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from patchtide.domain.catalog.risk import CLASSES
from patchtide.domain.catalog.targets import Targets
from patchtide.domain.compliance.forecast import Lacking
from patchtide.domain.compliance.history import day_of
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.context import Context
from patchtide.server.history import percent
from patchtide.server.listing import in_order
from patchtide.server.named_report import CellKind, Figure, ReportColumn, Row, Rows, number
from patchtide.server.reaching import LackingOf, Reached, known, lacking
from patchtide.server.report_scope import AskReport
from patchtide.server.report_table import Asking, Maker, Table, update_path
from patchtide.server.report_words import OUTLOOKS, RISKS, TARGET_STATES
from patchtide.server.targets import due, is_part_of, progress, reached_by_class, state_of, urgency

COLUMNS: Sequence[ReportColumn] = (
    ReportColumn(key="title", heading="Update"),
    ReportColumn(key="risk", heading="Risk", kind=CellKind.WORD, words=RISKS, falls=True),
    ReportColumn(key="state", heading="State", kind=CellKind.WORD, words=TARGET_STATES),
    ReportColumn(key="since", heading="Needed since"),
    ReportColumn(key="due", heading="Due"),
    ReportColumn(key="percent", heading="Have it", kind=CellKind.SHARE),
    number("target", "Target in %"),
    number("lacking", "Lack it"),
    number("machines", "Needed it"),
    ReportColumn(
        key="outlook", heading="Target met", kind=CellKind.WORD, words=OUTLOOKS, is_sortable=False
    ),
    ReportColumn(key="earliest", heading="Earliest", is_sortable=False),
    ReportColumn(key="latest", heading="Latest", is_sortable=False),
    ReportColumn(key="id", heading="Id", is_sortable=False),
)


def targets(context: Context, asked: AskReport) -> Maker:
    """Read how far updates had come; how they stand today is counted within the question."""
    history, today = context.reading.fleet_history, day_of(context.clock.now())
    of_all = not (asked.machines or asked.machine or asked.collection or context.fleet.scopes)
    told = known(history, today=today, of_all=of_all)

    def make(asking: Asking) -> Table:
        if asked.state not in ("", *TARGET_STATES):
            raise InvalidDocument([Problem("state", f"is one of {', '.join(TARGET_STATES)}")])
        view, members = asking.scope.live, asking.scope.members
        is_part = is_part_of(context.fleet, view, members)
        some, aims = reached_by_class(
            context.fleet, view, told, today=today, machines=members if is_part else None
        )
        if not asking.scope.has_all_updates:
            wanted = {update.id for update in asking.scope.updates}
            some = [one for one in some if one.update.id in wanted]
        states = [(one, state_of(one, aims, today)) for one in some]
        found = [
            one
            for one, state in states
            if asked.state in ("", state) and asked.risk in ("", one.risk.value)
        ]
        found.sort(key=lambda one: urgency(one, aims, today))
        keys: Mapping[str, Callable[[Reached], Any]] = {
            "title": lambda x: in_order(x.update.title),
            "risk": lambda x: CLASSES.index(x.risk),
            "state": lambda x: list(TARGET_STATES).index(state_of(x, aims, today)),
            "since": lambda x: x.reaching.since,
            "due": lambda x: due(x, aims[x.risk]),
            "percent": lambda x: percent(x.got, x.machines),
            "target": lambda x: aims[x.risk].percent,
            "lacking": lambda x: x.required,
            "machines": lambda x: x.machines,
        }
        page = asking.arranged(found, COLUMNS, keys)

        @cache
        def counts() -> LackingOf:
            # Days that are over do not change: they are read only for rows that somebody reads.
            return lacking(history, page, today=today)

        def row(one: Reached) -> Row:
            counted = counts()[one.update.id, one.risk]
            return _row(asking, one, aims, counted, is_part=is_part)

        return Table(
            columns=COLUMNS,
            rows=Rows(page, row),
            total=len(found),
            figures=[
                Figure(
                    key=state,
                    heading=words,
                    count=sum(its == state for _, its in states),
                    of=len(states),
                    among="updates that were needed",
                    link=asking.to("targets", state=state, risk=asked.risk),
                )
                for state, words in TARGET_STATES.items()
            ],
        )

    return make


def _row(
    asking: Asking, one: Reached, aims: Targets, counts: Sequence[Lacking], *, is_part: bool
) -> Row:
    shown = progress(one, aims, counts, counts[-1].day)
    said = {**{name: getattr(shown, name) for name in shown.__struct_fields__}, "id": str(shown.id)}
    dates = ("since", "due", "earliest", "latest")
    said |= {name: None if said[name] is None else str(said[name]) for name in dates}
    where = " or ".join(f"exposure = {exposure}" for exposure in one.exposures)
    about = {"update": one.update.id, "list": "", "search": "", "query": ""}
    if where and asking.asked.machines:
        where = f"({asking.asked.machines}) and ({where})"
    links = {
        "title": update_path(one.update.id),
        "lacking": asking.to(
            "by-machine", **about, machines=where or asking.asked.machines, state="required"
        ),
    }
    if not is_part:  # of single updates no days are counted but of all machines
        links["percent"] = asking.to("history", **about)
    return Row(tuple(said[column.key] for column in COLUMNS), links)
