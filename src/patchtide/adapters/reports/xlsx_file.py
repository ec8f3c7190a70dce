"""A named report as a workbook: what it is about on one sheet, the table on another.

Texts are written as texts and nothing else: no formula, no link, whatever they begin with. A row
is written to the disk before the next one comes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from patchtide.adapters.reports.wording import about
from patchtide.server.named_report import Cell, CellKind, Report, ReportColumn

ROWS = 1_048_575
"""As many fit below the headings of one sheet."""
TEXT = 32_767
_WIDTHS = {
    CellKind.TEXT: 40,
    CellKind.TEXTS: 30,
    CellKind.INSTANT: 18,
    CellKind.WORD: 20,
}
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "default_date_format": "yyyy-mm-dd hh:mm",
}


def write_xlsx(report: Report, out: BinaryIO) -> None:
    # The rows of each sheet lie in a file with a name until the book is closed, if it ever is.
    with TemporaryDirectory(prefix="patchtide-report-") as folder:
        _write_book(Workbook(out, {**_OPTIONS, "tmpdir": folder}), report)


def _write_book(book: Workbook, report: Report) -> None:
    bold, share = book.add_format({"bold": True}), book.add_format({"num_format": "0.0%"})
    sheet = book.add_worksheet("About")
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 90)
    for line, (what, which) in enumerate(about(report)):
        sheet.write_string(line, 0, what, bold)
        sheet.write_string(line, 1, which[:TEXT])
    table = book.add_worksheet("Report")
    for place, column in enumerate(report.columns):
        table.set_column(place, place, _WIDTHS.get(column.kind, max(10, len(column.heading) + 2)))
        table.write_string(0, place, column.heading[:TEXT], bold)
    table.freeze_panes(1, 1)
    rows = min(report.total, ROWS)
    table.autofilter(0, 0, rows, len(report.columns) - 1)
    for line, row in enumerate(report.rows, start=1):
        if line > ROWS:
            break
        for place, (cell, column) in enumerate(zip(row.cells, report.columns, strict=True)):
            _write(table, (line, place), cell, column, share)
    book.close()


def _write(
    sheet: Worksheet, place: tuple[int, int], cell: Cell, column: ReportColumn, share: Any
) -> None:
    match cell:
        case None:
            return
        case bool():
            sheet.write_string(*place, "yes" if cell else "no")
        case float():
            sheet.write_number(*place, round(cell / 100, 3), share)
        case int():
            sheet.write_number(*place, cell)
        case datetime():
            sheet.write_datetime(*place, cell.astimezone(UTC).replace(tzinfo=None))
        case tuple():
            sheet.write_string(*place, " ".join(cell)[:TEXT])
        case _:
            sheet.write_string(*place, column.words.get(cell, cell)[:TEXT])
