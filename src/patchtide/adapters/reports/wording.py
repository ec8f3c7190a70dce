"""What people read in a report that is printed or opened: words in place of short names."""

from __future__ import annotations

from datetime import datetime

from patchtide.server.named_report import Cell, Report, ReportColumn
from patchtide.server.report_words import DOUBTS


def said(cell: Cell, column: ReportColumn) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case float():
            return f"{cell:.1f} %"
        case int():
            return f"{cell:,}"
        case datetime():
            return f"{cell:%Y-%m-%d %H:%M}"
        case tuple():
            return ", ".join(cell)
        case _:
            return column.words.get(cell, cell)


def about(report: Report) -> list[tuple[str, str]]:
    """Return how far the report may be believed, line by line."""
    whole = report.denominators
    doubts = ", ".join(f"{DOUBTS.get(d, d)}: {n:,}" for d, n in whole.doubts.items())
    lines = [
        ("Report", report.title),
        ("Site", report.site),
        ("As of", f"{report.at:%Y-%m-%d %H:%M:%S} UTC"),
        *report.parameters,
        ("All members", f"{whole.members:,}"),
        ("Reporting members", f"{whole.reporting:,}"),
        ("Not reporting", doubts or "none"),
        ("Not heard of late", f"{report.silent:,}"),
        ("Reports that wait", f"{report.waiting:,}"),
    ]
    return [*lines, *((figure.heading, f"{figure.count:,}") for figure in report.figures)]
