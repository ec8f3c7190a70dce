"""A named report as a paged document, of which each page says as of when and of whom it speaks.

It is made in memory, so it holds the first rows only and says so; a workbook holds all. What is
too wide is cut: columns behind the last one that fits, and texts within their columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from fpdf import FPDF

from patchtide.adapters.reports.wording import about, said
from patchtide.server.named_report import CellKind, Report, ReportColumn

ROWS = 2_000
WIDTH_MM, LINE_MM = 277.0, 5.0
SIZE = 7.5
FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/liberation-sans/LiberationSans-Regular.ttf",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
)
"""The first that is there is put into the document; it shows a box for what it has no sign for."""
PLAIN, OURS = "Helvetica", "Report"
"""Without any: a font that every reader has, which knows Latin letters alone."""
MISSING = "?"
_NARROW, _MIDDLE, _WIDE = 17.0, 26.0, 52.0
_WIDTHS = {CellKind.TEXT: _WIDE, CellKind.TEXTS: _WIDE, CellKind.WORD: _MIDDLE}
_WIDTHS |= {CellKind.INSTANT: _MIDDLE}
_LEFT = frozenset({CellKind.TEXT, CellKind.TEXTS, CellKind.WORD, CellKind.FLAG, CellKind.INSTANT})


def font() -> str | None:
    return next((path for path in FONTS if Path(path).is_file()), None)


class _Document(FPDF):
    def __init__(self, report: Report) -> None:
        super().__init__(orientation="landscape", format="A4")
        self._report = report
        path = font()
        self.is_plain = path is None
        if path is not None:
            self.add_font(OURS, fname=path)
        self.set_auto_page_break(auto=True, margin=12)
        self.set_title(self.shown(report.title))
        self.ours()

    def ours(self, size: float = SIZE) -> None:
        self.set_font(PLAIN if self.is_plain else OURS, size=size)

    def shown(self, text: str) -> str:
        """Return the text as the font can show it; no sign vanishes."""
        text = "".join(sign if sign.isprintable() else MISSING for sign in text)
        return text.encode("latin-1", "replace").decode("latin-1") if self.is_plain else text

    def header(self) -> None:
        report = self._report
        whole = report.denominators
        self.ours(12)
        self.cell(0, 7, self.shown(report.title), new_x="LMARGIN", new_y="NEXT")
        self.ours()
        line = (
            f"{report.site}, as of {report.at:%Y-%m-%d %H:%M:%S} UTC. All members: "
            f"{whole.members:,}; of them reporting: {whole.reporting:,}; not heard of late: "
            f"{report.silent:,}; reports that wait: {report.waiting:,}."
        )
        self.cell(0, LINE_MM, self.shown(line), new_x="LMARGIN", new_y="NEXT")
        self.ln(1)

    def footer(self) -> None:
        self.set_y(-10)
        self.ours()
        self.cell(0, LINE_MM, f"{self.page_no()} of {{nb}}", align="R")


def write_pdf(report: Report, out: BinaryIO) -> None:
    document = _Document(report)
    document.add_page()
    for what, which in about(report)[3:]:
        text = document.shown(f"{what}: {which}")
        document.multi_cell(0, LINE_MM, text, new_x="LMARGIN", new_y="NEXT")
    document.ln(2)
    columns = _fitting(report.columns)
    _table(document, report, columns)
    if report.total > ROWS:
        left = f"The first {ROWS:,} of {report.total:,} rows; CSV and XLSX hold all."
        document.cell(0, LINE_MM, left, new_x="LMARGIN", new_y="NEXT")
    if len(columns) < len(report.columns) - 1:
        more = f"{len(report.columns) - 1 - len(columns)} more columns are in CSV and XLSX."
        document.cell(0, LINE_MM, more, new_x="LMARGIN", new_y="NEXT")
    out.write(document.output())


def _fitting(columns: Sequence[ReportColumn]) -> list[tuple[int, ReportColumn, float]]:
    """Return the columns that fit side by side, each with its place and its width."""
    found: list[tuple[int, ReportColumn, float]] = []
    left = WIDTH_MM
    for place, column in enumerate(columns):
        width = _WIDTHS.get(column.kind, _NARROW)
        if column.key == "id":
            continue
        if width > left:
            break
        found.append((place, column, width))
        left -= width
    wide = [place for place, column, _ in found if column.kind in (CellKind.TEXT, CellKind.TEXTS)]
    more = left / len(wide) if wide else 0.0
    return [(p, c, w + more if p in wide else w) for p, c, w in found]


def _table(
    document: _Document, report: Report, columns: Sequence[tuple[int, ReportColumn, float]]
) -> None:
    @cache
    def width(sign: str) -> float:
        return float(document.get_string_width(sign))

    def cut(text: str, wide: float) -> str:
        taken, room = 0.0, wide - 2.5
        for place, sign in enumerate(text):
            taken += width(sign)
            if taken > room:
                return f"{text[: max(0, place - 2)]}..."
        return text

    def headings() -> None:
        for _, column, wide in columns:
            align = "L" if column.kind in _LEFT else "R"
            text = cut(document.shown(column.heading), wide)
            document.cell(wide, LINE_MM, text, border="B", align=align)
        document.ln(LINE_MM)

    headings()
    page = document.page
    for row in islice(report.rows, ROWS):
        if document.will_page_break(LINE_MM):
            document.add_page()
        if document.page != page:
            page = document.page
            headings()
        for place, column, wide in columns:
            align = "L" if column.kind in _LEFT else "R"
            text = cut(document.shown(said(row.cells[place], column)), wide)
            document.cell(wide, LINE_MM, text, align=align)
        document.ln(LINE_MM)
