"""Named reports whose rows are machines: how each stands, looks for updates, is heard, restarts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from pyroaring import BitMap

from patchtide.domain.compliance.judgement import Compliance, Doubt
from patchtide.domain.compliance.scopes import Classes
from patchtide.domain.compliance.shares import share
from patchtide.domain.compliance.states import Tally
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.listing import in_order
from patchtide.server.member import Member
from patchtide.server.named_report import (
    Cell,
    CellKind,
    Figure,
    ReportColumn,
    Row,
    Rows,
    number,
)
from patchtide.server.report_compliance import DOUBT, ID, PLACE, STANDING, figures
from patchtide.server.report_table import Asking, Table, figures_by_state, machine_path
from patchtide.server.report_words import SCANS

STATES_OF_MACHINES = tuple(one.value for one in Compliance)
STATES_OF_ONE = ("installed", "not-required")
"""What is asked only of one update: of several a machine has some and needs no others."""
NAME = ReportColumn(key="name", heading="Machine")
REPORTED = ReportColumn(key="reported_at", heading="Last report", kind=CellKind.INSTANT, falls=True)
HEARD = ReportColumn(key="heard_at", heading="Last heard", kind=CellKind.INSTANT, falls=True)
RESTART = ReportColumn(
    key="restart_pending", heading="Waits for a restart", kind=CellKind.FLAG, falls=True
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """One column, what stands in it, and where that leads."""

    column: ReportColumn
    cell: Callable[[Member], Cell]
    link: Callable[[Member], str] | None = None
    key: Callable[[Member], Any] | None = None
    """What it is sorted by, where that is another than what is shown."""


_NAMED = (
    _Field(
        column=NAME,
        cell=lambda m: m.client.name,
        link=lambda m: machine_path(m.id),
        key=lambda m: in_order(m.client.name),
    ),
)
_PLACED = tuple(_Field(column=column, cell=attrgetter(f"client.{column.key}")) for column in PLACE)
_CRITICALITY = _Field(
    column=number("criticality", "Criticality"),
    cell=lambda m: m.client.described.criticality,
    key=lambda m: m.client.described.rank,
)
_REPORTED = _Field(column=REPORTED, cell=lambda m: m.reported_at)
_IDS = (_Field(column=ID, cell=lambda m: str(m.id)),)


def by_machine(asking: Asking) -> Table:
    scope, classes = asking.scope, asking.scope.classes
    wanted = _wanted(asking, classes)
    restarting = BitMap(scope.view.restarting)

    def tally(member: Member) -> Tally:
        return scope.counts(member)

    def needed(member: Member) -> str:
        return asking.to("machine", machine=member.id, state="required")

    def unknown(member: Member) -> str:
        return asking.to("machine", machine=member.id, state="unknown")

    fields = (
        *_NAMED,
        _Field(column=STANDING, cell=lambda m: classes.compliance_of(m.number).value),
        _Field(column=DOUBT, cell=lambda m: classes.doubt_of(m.number).value),
        _Field(
            column=number("required", "Needed"),
            cell=lambda m: tally(m).required,
            link=needed,
            key=lambda m: scope.required(m),
        ),
        _Field(column=number("installed", "Installed"), cell=lambda m: tally(m).installed),
        _Field(
            column=number("unknown", "Unknown"),
            cell=lambda m: tally(m).unknown,
            link=unknown,
        ),
        _Field(column=RESTART, cell=lambda m: m.number in restarting),
        *_PLACED,
        _CRITICALITY,
        _REPORTED,
        *_IDS,
    )
    return _table(asking, wanted, fields, figures(asking, classes))


def _wanted(asking: Asking, classes: Classes) -> BitMap:
    """Raises InvalidDocument: there is no such state, or no such reason."""
    scope, state, doubt = asking.scope, asking.asked.state, asking.asked.doubt
    if doubt:
        return classes.doubts.get(Doubt(_one_of("doubt", doubt, tuple(Doubt))), BitMap())
    if state in STATES_OF_ONE and len(scope.updates) == 1:
        held = scope.part.held(scope.updates[0])
        return held.installed if state == "installed" else held.not_required
    if state:
        return classes.of(Compliance(_one_of("state", state, STATES_OF_MACHINES)))
    return scope.members


def _one_of(field: str, value: str, known: Collection[str]) -> str:
    if value not in known:
        said = ", ".join(one for one in known if one)
        raise InvalidDocument([Problem(field, f"is one of {said}")])
    return value


def _table(
    asking: Asking, machines: BitMap, fields: Sequence[_Field], summed: Sequence[Figure]
) -> Table:
    members = asking.scope.view.members
    found = [members[number] for number in asking.scope.machines.ordered(machines)]
    columns = [field.column for field in fields]
    keys = {field.column.key: field.key or field.cell for field in fields}
    linked = [(field.column.key, field.link) for field in fields if field.link]

    def row(member: Member) -> Row:
        cells = tuple(field.cell(member) for field in fields)
        return Row(cells, {key: link(member) for key, link in linked})

    return Table(
        columns=columns,
        rows=Rows(asking.arranged(found, columns, keys), row),
        total=len(found),
        figures=summed,
    )


def scans(asking: Asking) -> Table:
    """Return how each machine's last look for updates went."""
    members = asking.scope.view.members
    asked = [members[number] for number in asking.scope.members]
    state, error = asking.asked.state, asking.asked.error
    if state:
        _one_of("state", state, tuple(SCANS))
    wanted = BitMap(
        [
            m.number
            for m in asked
            if state in ("", m.scan) and (not error or (_has_failed(m) and m.scan_error == error))
        ]
    )
    counts = Counter(member.scan for member in asked)
    fields = (
        *_NAMED,
        _Field(
            column=ReportColumn(key="scan", heading="Looked", kind=CellKind.WORD, words=SCANS),
            cell=lambda m: m.scan,
        ),
        _Field(
            column=ReportColumn(key="error", heading="What it met"),
            cell=lambda m: m.scan_error,
            link=lambda m: asking.to("scans", error=m.scan_error),
        ),
        _Field(
            column=ReportColumn(
                key="scanned_at", heading="Looked at", kind=CellKind.INSTANT, falls=True
            ),
            cell=lambda m: m.scanned_at,
        ),
        _Field(
            column=ReportColumn(
                key="aged_catalog", heading="With an aged catalog", kind=CellKind.FLAG, falls=True
            ),
            cell=lambda m: m.aged_catalog,
        ),
        _REPORTED,
        *_PLACED,
        _CRITICALITY,
        *_IDS,
    )
    there = {state: words for state, words in SCANS.items() if counts[state]}
    summed = figures_by_state(asking, "scans", there, counts)
    return _table(asking, wanted, fields, summed)


def _has_failed(member: Member) -> bool:
    return member.scan in ("failed", "retrying")


@dataclass(frozen=True, slots=True)
class _Error:
    text: str
    machines: int
    first: datetime | None
    last: datetime | None
    """When the machines said so, as far as they still do."""


def errors(asking: Asking) -> Table:
    """Return what machines met while they looked for updates, by how many did."""
    scope = asking.scope
    met: dict[str, list[Member]] = {}
    for member in map(scope.view.members.__getitem__, scope.members):
        if _has_failed(member):
            met.setdefault(member.scan_error, []).append(member)
    found = [_met(text, some) for text, some in sorted(met.items())]
    failed, count = sum(e.machines for e in found), len(scope.members)
    columns = (
        ReportColumn(key="error", heading="Error"),
        number("machines", "Machines"),
        ReportColumn(key="of_members", heading="Of all members", kind=CellKind.SHARE, falls=True),
        ReportColumn(key="first", heading="First told", kind=CellKind.INSTANT),
        ReportColumn(key="last", heading="Last told", kind=CellKind.INSTANT, falls=True),
    )
    keys: Mapping[str, Callable[[_Error], Any]] = {
        "error": lambda e: in_order(e.text),
        "machines": lambda e: e.machines,
        "of_members": lambda e: e.machines,
        "first": lambda e: e.first,
        "last": lambda e: e.last,
    }

    def row(error: _Error) -> Row:
        state = "" if error.text else "failed"
        link = asking.to("scans", error=error.text, state=state)
        cells = (error.text or "told no reason", error.machines, share(error.machines, count))
        return Row((*cells, error.first, error.last), {"error": link, "machines": link})

    return Table(
        columns=columns,
        rows=Rows(asking.arranged(found, columns, keys), row),
        total=len(found),
        figures=[
            Figure(
                key="failed",
                heading="Could not look for updates",
                count=failed,
                of=count,
                link=asking.to("by-machine", doubt=Doubt.SCAN_FAILED.value),
            )
        ],
    )


def _met(text: str, members: Sequence[Member]) -> _Error:
    told = [m.reported_at for m in members if m.reported_at is not None]
    return _Error(text, len(members), min(told, default=None), max(told, default=None))


def silent(asking: Asking) -> Table:
    """Return the machines that were not heard of late: since when, and why as far as is known."""
    scope = asking.scope
    view, heard = scope.view, scope.view.heard_at
    wanted = view.silent(scope.members, silent_after=asking.silent_after)
    at = {number: heard.get(number, 0.0) for number in wanted}
    restarting = BitMap(view.restarting)

    def why(member: Member) -> str:
        machine = member.number
        return why_silent(member, was_heard=bool(at[machine]), restarts=machine in restarting)

    fields = (
        *_NAMED,
        _Field(
            column=HEARD,
            cell=lambda m: datetime.fromtimestamp(at[m.number], UTC) if at[m.number] else None,
        ),
        _Field(column=ReportColumn(key="why", heading="What is known"), cell=why),
        _REPORTED,
        _Field(
            column=ReportColumn(
                key="enrolled_at", heading="Enrolled", kind=CellKind.INSTANT, falls=True
            ),
            cell=lambda m: m.client.enrolled_at,
        ),
        *_PLACED,
        _CRITICALITY,
        *_IDS,
    )
    never = sum(not moment for moment in at.values())
    count = len(scope.members)
    return _table(
        asking,
        wanted,
        fields,
        [
            Figure(key="silent", heading="Silent", count=len(wanted), of=count),
            Figure(key="never", heading="Of those never heard", count=never, of=count),
        ],
    )


def why_silent(member: Member, *, was_heard: bool, restarts: bool) -> str:
    """Return what the machine told last that may be why nothing came after it."""
    if not was_heard:
        return "has enrolled, and never checked in"
    said = []
    if restarts:
        said.append("waited for a restart when it was heard last")
    if member.scan in ("failed", "retrying"):
        said.append("could not look for updates")
    if member.reported_at is None:
        said.append("has never reported")
    return "; ".join(said) or "nothing: it was well when it was heard last"


def restarts(asking: Asking) -> Table:
    """Return the machines where what is installed takes effect only after a restart."""
    scope, classes = asking.scope, asking.scope.classes
    wanted = scope.members & scope.view.restarting
    tally = scope.counts
    fields = (
        *_NAMED,
        _Field(column=STANDING, cell=lambda m: classes.compliance_of(m.number).value),
        _Field(
            column=number("installed", "Installed"),
            cell=lambda m: tally(m).installed,
            link=lambda m: asking.to("machine", machine=m.id, state="installed"),
        ),
        _Field(
            column=number("required", "Still needed"),
            cell=lambda m: tally(m).required,
            link=lambda m: asking.to("machine", machine=m.id, state="required"),
        ),
        *_PLACED,
        _CRITICALITY,
        _REPORTED,
        *_IDS,
    )
    only = len(classes.restart)
    count = len(scope.members)
    return _table(
        asking,
        wanted,
        fields,
        [
            Figure(key="waiting", heading="Wait for a restart", count=len(wanted), of=count),
            Figure(
                key="restart",
                heading="Of those need nothing else",
                count=only,
                of=count,
                link=asking.to("by-machine", state="restart"),
            ),
        ],
    )
