"""The named report of what nobody has said of machines: whose, by which schedule, and how."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.context import Context
from patchtide.server.listing import in_order
from patchtide.server.member import Member
from patchtide.server.named_report import CellKind, Figure, ReportColumn, Row, Rows
from patchtide.server.ports.calendar import EntryKind
from patchtide.server.report_compliance import ID
from patchtide.server.report_scope import AskReport
from patchtide.server.report_table import Asking, Maker, Table, machine_path
from patchtide.server.report_words import LACKS, SCHEDULES

_COLUMNS = (
    ReportColumn(key="name", heading="Machine"),
    ReportColumn(key="owner", heading="Owner"),
    ReportColumn(key="schedule", heading="Schedule", kind=CellKind.WORD, words=SCHEDULES),
    ReportColumn(key="management_group", heading="Management group"),
    ReportColumn(key="restart", heading="Restart code"),
    ReportColumn(key="group", heading="Group"),
    ReportColumn(key="location", heading="Location"),
    ID,
)


def undescribed(context: Context, asked: AskReport) -> Maker:
    """Read which collections have a window; whom they are the schedule of is asked of the fleet."""
    entries = context.reading.calendar.entries()
    windows = frozenset(one.collection for one in entries if one.kind is EntryKind.WINDOW)
    return lambda asking: _undescribed(asking, windows)


def _undescribed(asking: Asking, windows: Collection[UUID | None]) -> Table:
    """Return the machines of which something is not said, or not so that it is of any use."""
    scope, state = asking.scope, asking.asked.state
    if state and state not in LACKS:
        raise InvalidDocument([Problem("state", f"is one of {', '.join(LACKS)}")])
    collections, members = scope.view.collections, scope.view.members

    def schedule(member: Member) -> str:
        return _schedule(member.client.described.schedule, collections, windows)

    lacks: Mapping[str, Callable[[Member], bool]] = {
        "no-owner": lambda m: not m.client.described.owner,
        "no-schedule": lambda m: schedule(m) in ("none", "gone"),
        "no-window": lambda m: schedule(m) == "no-window",
        "no-management-group": lambda m: not m.client.described.management_group,
        "no-restart-code": lambda m: not m.client.described.restart,
    }
    asked = [members[number] for number in scope.machines.ordered(scope.members)]
    lacking = {name: [m for m in asked if is_so(m)] for name, is_so in lacks.items()}
    wanted = [lacks[state]] if state else list(lacks.values())
    found = [m for m in asked if any(is_so(m) for is_so in wanted)]
    keys: Mapping[str, Callable[[Member], Any]] = {
        "name": lambda m: in_order(m.client.name),
        "owner": lambda m: m.client.described.owner,
        "schedule": schedule,
        "management_group": lambda m: m.client.described.management_group,
        "restart": lambda m: m.client.described.restart.value,
        "group": lambda m: m.client.group,
        "location": lambda m: m.client.described.location,
    }

    def row(member: Member) -> Row:
        shown = {**{name: key(member) for name, key in keys.items()}, "name": member.client.name}
        link = f"{machine_path(member.id)}?tab=attributes"
        return Row((*shown.values(), str(member.id)), {"name": link})

    return Table(
        columns=_COLUMNS,
        rows=Rows(asking.arranged(found, _COLUMNS, keys), row),
        total=len(found),
        figures=[
            Figure(
                key=name,
                heading=LACKS[name],
                count=len(some),
                of=len(asked),
                link=asking.to("undescribed", state=name),
            )
            for name, some in lacking.items()
        ],
    )


def _schedule(
    schedule: UUID | None, collections: Collection[UUID], windows: Collection[UUID | None]
) -> str:
    if schedule is None:
        return "none"
    if schedule not in collections:
        return "gone"
    return "valid" if schedule in windows else "no-window"
