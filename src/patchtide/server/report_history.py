"""The named report of days: how the fleet, an update, a list or a shared search stood on each.

Of all machines, or of those of a collection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from patchtide.domain.compliance.judgement import Compliance
from patchtide.server.context import Context
from patchtide.server.history import HistoryDay, kept_days, told_of
from patchtide.server.history_curves import curve, live, subject_of
from patchtide.server.named_report import CellKind, Figure, ReportColumn, Row, Rows, number
from patchtide.server.report_scope import AskReport
from patchtide.server.report_table import Asking, Maker, Table
from patchtide.server.report_words import STANDINGS

DAYS = 90
_CLASSES = (Compliance.COMPLIANT, Compliance.REQUIRED, Compliance.RESTART, Compliance.UNKNOWN)
_COLUMNS = (
    ReportColumn(key="date", heading="Day"),
    ReportColumn(key="percent", heading="Share up to date", kind=CellKind.SHARE),
    *(number(one.value, STANDINGS[one]) for one in _CLASSES),
    number("machines", "All members"),
    number("reporting", "Heard of late"),
    ReportColumn(key="counted_at", heading="Counted", kind=CellKind.INSTANT),
)
COLUMNS: Sequence[ReportColumn] = [
    x if x.key == "date" else replace(x, is_sortable=False) for x in _COLUMNS
]


def history(context: Context, asked: AskReport) -> Maker:
    """Read what was written down; today is counted within the question.

    Raises:
        NotFound: nobody shares such a search, or there is no such collection.
        InvalidDocument: it was not counted.
    """
    of = subject_of(context.reading.update_lists, context.fleet, asked)
    now = context.clock.now()
    silent_after = context.silent_after
    # Under which id its days stand depends on the list that is called so now.
    key = live(context.fleet, silent_after, of=of).key
    days = asked.days_back or DAYS
    kept = kept_days(context.reading.fleet_history, key, now=now, days=days)
    heard = context.fleet.heard_of_late(silent_after)

    def make(asking: Asking) -> Table:
        view = asking.scope.live
        here = curve(context.fleet, view, of, heard=heard, silent_after=silent_after)
        return _table(asking, told_of(kept, here, now=now).items)

    return make


def _table(asking: Asking, days: Sequence[HistoryDay]) -> Table:
    def row(day: HistoryDay) -> Row:
        cells = (str(day.date), *(getattr(day, column.key) for column in COLUMNS[1:]))
        links = {x.value: asking.to("by-machine", state=x.value) for x in _CLASSES}
        return Row(cells, links if day.live and asking.asked.update is None else {})

    today = days[-1]
    return Table(
        columns=COLUMNS,
        rows=Rows(asking.arranged(days, COLUMNS, {"date": lambda day: day.date}), row),
        total=len(days),
        figures=[
            Figure(
                key=one.value,
                heading=f"{STANDINGS[one]}, today",
                count=getattr(today, one.value) or 0,
                of=today.machines,
            )
            for one in _CLASSES
        ],
    )
