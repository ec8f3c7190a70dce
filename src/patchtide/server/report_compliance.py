"""Compliance as named reports: as a whole, by update, by machine.

A machine that has everything and waits for a restart is not compliant, and shown apart; neither
is one of which something is unknown, and that has its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from patchtide.domain.catalog.risk import CLASSES
from patchtide.domain.compliance.judgement import Compliance, Doubt
from patchtide.domain.compliance.scopes import Classes
from patchtide.domain.compliance.shares import share
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.known_updates import Counted
from patchtide.server.listing import in_order
from patchtide.server.named_report import UPDATES, CellKind, Figure, ReportColumn, Row, Rows, number
from patchtide.server.report_table import Asking, Table, update_path
from patchtide.server.report_words import (
    DOUBTS,
    GROUPINGS,
    RISKS,
    SEVERITIES,
    STANDINGS,
    STATES,
)

_SHARE = CellKind.SHARE
_CLASSES = (Compliance.COMPLIANT, Compliance.REQUIRED, Compliance.RESTART, Compliance.UNKNOWN)
STANDING = ReportColumn(key="standing", heading="Standing", kind=CellKind.WORD, words=STANDINGS)
DOUBT = ReportColumn(key="doubt", heading="Why unknown", kind=CellKind.WORD, words=DOUBTS)
ID = ReportColumn(key="id", heading="Id", is_sortable=False)
SHARES = (
    ReportColumn(key="of_members", heading="Of all members", kind=_SHARE),
    ReportColumn(key="of_reporting", heading="Of reporting members", kind=_SHARE),
)
PLACE = (
    ReportColumn(key="platform", heading="Platform"),
    ReportColumn(key="group", heading="Group"),
    ReportColumn(key="site", heading="Site"),
)
_COUNTED = tuple(number(x.value, STANDINGS[x]) for x in _CLASSES)
UPDATE = (
    ReportColumn(key="title", heading="Update"),
    ReportColumn(
        key="severity", heading="Severity", kind=CellKind.WORD, words=SEVERITIES, falls=True
    ),
    ReportColumn(key="risk", heading="Risk", kind=CellKind.WORD, words=RISKS, falls=True),
)
_STATES = (
    number("required", "Needed"),
    number("installed", "Installed"),
    number("restart_pending", "Wait for a restart"),
    number("not_required", "Not needed"),
    number("unknown", "Unknown"),
)


def figures(asking: Asking, classes: Classes) -> Sequence[Figure]:
    """Return how many of the members are in which class."""
    members = len(asking.scope.members)
    return [
        Figure(
            key=one.value,
            heading=STANDINGS[one.value],
            count=len(classes.of(one)),
            of=members,
            link=asking.to("by-machine", state=one.value),
        )
        for one in _CLASSES
    ]


def overall(asking: Asking) -> Table:
    """Return the classes with their shares; or a row for each group of machines.

    Raises:
        InvalidDocument: it is to be sorted, and not group by group.
    """
    if asking.asked.by:
        return _by_group(asking)
    if asking.asked.sort:
        raise InvalidDocument([Problem("sort", "means nothing to this report but group by group")])
    classes = asking.scope.classes
    members, reporting = len(asking.scope.members), len(asking.scope.part.asked)

    def row(about: tuple[Compliance, Doubt]) -> Row:
        how, doubt = about
        count = len(classes.doubts[doubt] if doubt else classes.of(how))
        link = asking.to("by-machine", state=how.value, doubt=doubt.value)
        reports = not doubt and how is not Compliance.UNKNOWN
        of_reporting = share(count, reporting) if reports else None
        return Row(
            (how.value, doubt.value, count, share(count, members), of_reporting),
            {"standing": link, "machines": link, "doubt": link},
        )

    found = [(one, Doubt.NONE) for one in _CLASSES]
    found += [(Compliance.UNKNOWN, doubt) for doubt in Doubt if doubt in classes.doubts]
    machines = number("machines", "Machines")
    return Table(
        columns=_unsortable(STANDING, DOUBT, machines, *SHARES),
        rows=Rows(found, row),
        total=len(found),
        figures=figures(asking, classes),
    )


def _unsortable(*columns: ReportColumn) -> Sequence[ReportColumn]:
    return [
        ReportColumn(key=x.key, heading=x.heading, kind=x.kind, words=x.words, is_sortable=False)
        for x in columns
    ]


@dataclass(frozen=True, slots=True)
class _Group:
    value: str
    members: int
    reporting: int
    counts: Mapping[Compliance, int]

    @property
    def shares(self) -> tuple[float | None, float | None]:
        compliant = self.counts[Compliance.COMPLIANT]
        return share(compliant, self.members), share(compliant, self.reporting)


def _by_group(asking: Asking) -> Table:
    scope, by = asking.scope, asking.asked.by
    classes, found = scope.classes, []
    for value, machines in scope.machines.values(by).items():
        some = scope.members & machines
        if some:
            counts = {one: classes.of(one).intersection_cardinality(some) for one in _CLASSES}
            asked = scope.part.asked.intersection_cardinality(some)
            found.append(_Group(str(value), len(some), asked, counts))
    found.sort(key=lambda group: group.value)
    keys: Mapping[str, Callable[[_Group], Any]] = {
        by: lambda g: g.value,
        "members": lambda g: g.members,
        "reporting": lambda g: g.reporting,
        "of_members": lambda g: g.shares[0],
        "of_reporting": lambda g: g.shares[1],
        **{x.value: partial(_count_of, how=x) for x in _CLASSES},
    }

    def row(group: _Group) -> Row:
        within = asking.within(by, group.value)
        links = {x.value: asking.to("by-machine", machines=within, state=x) for x in _CLASSES}
        all_ = asking.to("by-machine", machines=within)
        counts = (group.counts[one] for one in _CLASSES)
        return Row(
            (group.value, group.members, group.reporting, *counts, *group.shares),
            {by: asking.to("overall", machines=within), "members": all_, **links},
        )

    columns = (
        ReportColumn(key=by, heading=GROUPINGS[by]),
        number("members", "Members"),
        number("reporting", "Reporting"),
        *_COUNTED,
        *SHARES,
    )
    return Table(
        columns=columns,
        rows=Rows(asking.arranged(found, columns, keys), row),
        total=len(found),
        figures=figures(asking, classes),
    )


def _count_of(group: _Group, *, how: Compliance) -> int:
    return group.counts[how]


def compliant(counted: Counted) -> int:
    """Return on how many machines nothing is left to do for the update."""
    tally = counted.tally
    return tally.installed + tally.not_required - counted.restart_pending


def by_update(asking: Asking) -> Table:
    """Raises InvalidDocument: there is no such state."""
    scope, state = asking.scope, asking.asked.state
    if state not in ("", "restart", *STATES):
        raise InvalidDocument([Problem("state", f"is one of {', '.join(STATES)}, restart")])
    found = [scope.counted(update) for update in scope.updates]
    if state == "restart":
        found = [c for c in found if c.restart_pending]
    elif state:
        field = state.replace("-", "_")
        found = [c for c in found if getattr(c.tally, field)]
    members, reporting = len(scope.members), len(scope.part.asked)

    def row(c: Counted) -> Row:
        tally, done = c.tally, compliant(c)
        states = (tally.required, tally.installed, c.restart_pending, tally.not_required)
        cells = (c.update.title, c.update.severity.value, c.risk.value, *states, tally.unknown)
        shares = (share(done, members), share(done, reporting))
        return Row((*cells, *shares, str(c.update.id)), _links_of(asking, c))

    columns = (*UPDATE, *_STATES, *SHARES, ID)
    return Table(
        columns=columns,
        rows=Rows(asking.arranged(found, columns, UPDATE_KEYS), row),
        total=len(found),
        figures=[
            Figure(key="updates", heading="Updates", count=len(scope.updates)),
            Figure(
                key="required",
                heading="Needed somewhere",
                count=sum(c.tally.required > 0 for c in found),
                of=len(scope.updates),
                among=UPDATES,
                link=asking.to("by-update", state="required"),
            ),
        ],
    )


def _links_of(asking: Asking, counted: Counted) -> Mapping[str, str]:
    about = {"update": counted.update.id, "list": "", "search": "", "query": ""}

    def to(state: str) -> str:
        return asking.to("by-machine", **about, state=state)

    return {
        "title": update_path(counted.update.id),
        "required": to("required"),
        "installed": to("installed"),
        "restart_pending": to("restart"),
        "not_required": to("not-required"),
        "unknown": to("unknown"),
        "of_members": asking.to("overall", **about),
        "of_reporting": asking.to("overall", **about),
    }


UPDATE_KEYS: Mapping[str, Callable[[Counted], Any]] = {
    "title": lambda c: in_order(c.update.title),
    # The first place in the order is the worst one's.
    "severity": lambda c: -c.update.order[0],
    "risk": lambda c: CLASSES.index(c.risk),
    "required": lambda c: c.tally.required,
    "installed": lambda c: c.tally.installed,
    "restart_pending": lambda c: c.restart_pending,
    "not_required": lambda c: c.tally.not_required,
    "unknown": lambda c: c.tally.unknown,
    "of_members": compliant,
    "of_reporting": compliant,
}
