"""Named reports of how machines look for updates: what came of it, and what they met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyroaring import BitMap

from patchtide.domain.compliance.judgement import Doubt
from patchtide.domain.compliance.shares import share
from patchtide.server.listing import in_order
from patchtide.server.member import Member
from patchtide.server.named_report import CellKind, Figure, ReportColumn, Row, Rows, number
from patchtide.server.report_machines import (
    CRITICALITY,
    IDS,
    NAMED,
    PLACED,
    TOLD,
    Field,
    has_failed,
    one_of,
    table_of,
)
from patchtide.server.report_table import Asking, Table, figures_by_state
from patchtide.server.report_words import SCANS


def scans(asking: Asking) -> Table:
    """Return how each machine's last look for updates went."""
    members = asking.scope.view.members
    asked = [members[number] for number in asking.scope.members]
    state, error = asking.asked.state, asking.asked.error
    if state:
        one_of("state", state, tuple(SCANS))
    wanted = BitMap(
        [
            m.number
            for m in asked
            if state in ("", m.scan) and (not error or (has_failed(m) and m.scan_error == error))
        ]
    )
    counts = Counter(member.scan for member in asked)
    fields = (
        *NAMED,
        Field(
            column=ReportColumn(key="scan", heading="Looked", kind=CellKind.WORD, words=SCANS),
            cell=lambda m: m.scan,
        ),
        Field(
            column=ReportColumn(key="error", heading="What it met"),
            cell=lambda m: m.scan_error,
            link=lambda m: asking.to("scans", error=m.scan_error),
        ),
        Field(
            column=ReportColumn(
                key="scanned_at", heading="Looked at", kind=CellKind.INSTANT, falls=True
            ),
            cell=lambda m: m.scanned_at,
        ),
        Field(
            column=ReportColumn(
                key="aged_catalog", heading="With an aged catalog", kind=CellKind.FLAG, falls=True
            ),
            cell=lambda m: m.aged_catalog,
        ),
        TOLD,
        *PLACED,
        CRITICALITY,
        *IDS,
    )
    there = {state: words for state, words in SCANS.items() if counts[state]}
    summed = figures_by_state(asking, "scans", there, counts)
    return table_of(asking, wanted, fields, summed)


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
        if has_failed(member):
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
