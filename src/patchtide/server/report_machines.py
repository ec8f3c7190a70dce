"""Named reports whose rows are machines: how each stands, is heard of, waits for a restart."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from pyroaring import BitMap

from patchtide.domain.compliance.judgement import Compliance, Doubt
from patchtide.domain.compliance.scopes import Classes
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
from patchtide.server.report_table import Asking, Table, machine_path

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
class Field:
    """One column, what stands in it, and where that leads."""

    column: ReportColumn
    cell: Callable[[Member], Cell]
    link: Callable[[Member], str] | None = None
    key: Callable[[Member], Any] | None = None
    """What it is sorted by, where that is another than what is shown."""


NAMED = (
    Field(
        column=NAME,
        cell=lambda m: m.client.name,
        link=lambda m: machine_path(m.id),
        key=lambda m: in_order(m.client.name),
    ),
)
PLACED = tuple(Field(column=column, cell=attrgetter(f"client.{column.key}")) for column in PLACE)
CRITICALITY = Field(
    column=number("criticality", "Criticality"),
    cell=lambda m: m.client.described.criticality,
    key=lambda m: m.client.described.rank,
)
TOLD = Field(column=REPORTED, cell=lambda m: m.reported_at)
IDS = (Field(column=ID, cell=lambda m: str(m.id)),)


def by_machine(asking: Asking) -> Table:
    scope, classes, tally = asking.scope, asking.scope.classes, asking.scope.counts
    wanted = _wanted(asking, classes)
    restarting = BitMap(scope.view.restarting)

    def needed(member: Member) -> str:
        return asking.to("machine", machine=member.id, state="required")

    def unknown(member: Member) -> str:
        return asking.to("machine", machine=member.id, state="unknown")

    fields = (
        *NAMED,
        Field(column=STANDING, cell=lambda m: classes.compliance_of(m.number).value),
        Field(column=DOUBT, cell=lambda m: classes.doubt_of(m.number).value),
        Field(
            column=number("required", "Needed"),
            cell=lambda m: tally(m).required,
            link=needed,
            key=lambda m: scope.required(m),
        ),
        Field(column=number("installed", "Installed"), cell=lambda m: tally(m).installed),
        Field(
            column=number("unknown", "Unknown"),
            cell=lambda m: tally(m).unknown,
            link=unknown,
        ),
        Field(column=RESTART, cell=lambda m: m.number in restarting),
        *PLACED,
        CRITICALITY,
        TOLD,
        *IDS,
    )
    return table_of(asking, wanted, fields, figures(asking, classes))


def _wanted(asking: Asking, classes: Classes) -> BitMap:
    """Raises InvalidDocument: there is no such state, or no such reason."""
    scope, state, doubt = asking.scope, asking.asked.state, asking.asked.doubt
    if doubt:
        return classes.doubts.get(Doubt(one_of("doubt", doubt, tuple(Doubt))), BitMap())
    if state in STATES_OF_ONE and len(scope.updates) == 1:
        held = scope.part.held(scope.updates[0])
        return held.installed if state == "installed" else held.not_required
    if state:
        return classes.of(Compliance(one_of("state", state, STATES_OF_MACHINES)))
    return scope.members


def one_of(field: str, value: str, known: Collection[str]) -> str:
    if value not in known:
        said = ", ".join(one for one in known if one)
        raise InvalidDocument([Problem(field, f"is one of {said}")])
    return value


def table_of(
    asking: Asking, machines: BitMap, fields: Sequence[Field], summed: Sequence[Figure]
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
        *NAMED,
        Field(
            column=HEARD,
            cell=lambda m: datetime.fromtimestamp(at[m.number], UTC) if at[m.number] else None,
        ),
        Field(column=ReportColumn(key="why", heading="What is known"), cell=why),
        TOLD,
        Field(
            column=ReportColumn(
                key="enrolled_at", heading="Enrolled", kind=CellKind.INSTANT, falls=True
            ),
            cell=lambda m: m.client.enrolled_at,
        ),
        *PLACED,
        CRITICALITY,
        *IDS,
    )
    never = sum(not moment for moment in at.values())
    count = len(scope.members)
    return table_of(
        asking,
        wanted,
        fields,
        [
            Figure(key="silent", heading="Silent", count=len(wanted), of=count),
            Figure(key="never", heading="Of those never heard", count=never, of=count),
        ],
    )


def has_failed(member: Member) -> bool:
    return member.scan in ("failed", "retrying")


def why_silent(member: Member, *, was_heard: bool, restarts: bool) -> str:
    """Return what the machine told last that may be why nothing came after it."""
    if not was_heard:
        return "has enrolled, and never checked in"
    said = []
    if restarts:
        said.append("waited for a restart when it was heard last")
    if has_failed(member):
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
        *NAMED,
        Field(column=STANDING, cell=lambda m: classes.compliance_of(m.number).value),
        Field(
            column=number("installed", "Installed"),
            cell=lambda m: tally(m).installed,
            link=lambda m: asking.to("machine", machine=m.id, state="installed"),
        ),
        Field(
            column=number("required", "Still needed"),
            cell=lambda m: tally(m).required,
            link=lambda m: asking.to("machine", machine=m.id, state="required"),
        ),
        *PLACED,
        CRITICALITY,
        TOLD,
        *IDS,
    )
    only = len(classes.restart)
    count = len(scope.members)
    return table_of(
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
