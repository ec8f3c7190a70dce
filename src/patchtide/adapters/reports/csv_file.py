"""A named report as CSV: one line of headings, then the rows, for programs and spreadsheets."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import BinaryIO

from patchtide.server.named_report import Cell, Report
from patchtide.server.spreadsheet_cells import harmless


def write_csv(report: Report, out: BinaryIO) -> None:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=False)
    writer = csv.writer(text)
    writer.writerow([harmless(column.key) for column in report.columns])
    for row in report.rows:
        writer.writerow([_said(cell) for cell in row.cells])
    # The file goes on after its text: whoever asked for it closes it.
    text.flush()
    text.detach()


def _said(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case datetime():
            return f"{cell:%Y-%m-%dT%H:%M:%SZ}"
        case tuple():
            return harmless(" ".join(cell))
        case str():
            return harmless(cell)
        case _:
            return str(cell)
