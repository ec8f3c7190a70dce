"""A named report in each kind of file, read back by a reader of that kind."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from patchtide.adapters.reports import pdf_file
from patchtide.adapters.reports.writer import ReportFiles
from patchtide.server.named_report import (
    Cell,
    CellKind,
    Denominators,
    Figure,
    Report,
    ReportColumn,
    Row,
    Rows,
    number,
)
from patchtide.server.ports.report_files import ReportForm

AT = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
COLUMNS = (
    ReportColumn(key="name", heading="Machine"),
    ReportColumn(
        key="standing", heading="Standing", kind=CellKind.WORD, words={"required": "Needs updates"}
    ),
    number("required", "Needed"),
    ReportColumn(key="of_members", heading="Of all members", kind=CellKind.SHARE),
    ReportColumn(key="reported_at", heading="Last report", kind=CellKind.INSTANT),
    ReportColumn(key="cves", heading="CVEs", kind=CellKind.TEXTS),
    ReportColumn(key="restart", heading="Restart", kind=CellKind.FLAG),
    ReportColumn(key="id", heading="Id"),
)
EVIL = "=cmd|' /C calc'!A0"
ROWS: Sequence[tuple[Cell, ...]] = (
    ("web-1", "required", 12, 99.9, AT, ("CVE-2026-1", "CVE-2026-2"), True, "u-1"),
    (EVIL, "required", 0, None, None, ("@SUM(A1)",), False, "u-2"),
    ("伺服器-三 \x1b]0;x\x07", "required", 3, 100.0, AT, (), False, "u-3"),
)
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def a_report(rows: Sequence[tuple[Cell, ...]] = ROWS) -> Report:
    return Report(
        name="by-machine",
        title="Compliance by machine",
        says="",
        site="hq",
        parameters=[("Updates", "the list baseline (100)"), ("Machines", "all (3)")],
        at=AT,
        waiting=4,
        silent=1,
        silent_after_s=10_800,
        denominators=Denominators(members=3, reporting=2, doubts={"stale": 1}),
        figures=[Figure(key="required", heading="Needs updates", count=3, of=3)],
        columns=COLUMNS,
        rows=Rows(rows, Row),
        total=len(rows),
    )


def written(report: Report, form: ReportForm) -> bytes:
    with ReportFiles().written(report, form) as file:
        return file.read()


@pytest.mark.parametrize("form", ReportForm)
def test_a_file_that_fails_half_way_leaves_nothing_behind(
    form: ReportForm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(cells: tuple[Cell, ...]) -> Row:
        if cells is ROWS[-1]:
            raise OSError("no space left on device")
        return Row(cells)

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(OSError, match="no space"):
        written(replace(a_report(), rows=Rows(ROWS, rows)), form)

    assert list(tmp_path.iterdir()) == []


def test_csv_has_a_line_of_headings_and_no_formula() -> None:
    text = written(a_report(), ReportForm.CSV).decode()

    head, *rows = csv.reader(io.StringIO(text, newline=""))
    assert head == [column.key for column in COLUMNS]
    assert rows[0][:5] == ["web-1", "required", "12", "99.9", "2026-03-02T12:30:00Z"]
    assert rows[1][0] == f"'{EVIL}"
    assert rows[1][5] == "'@SUM(A1)"
    assert rows[2][0] == ROWS[2][0]


def test_json_is_the_answer_of_the_interface_with_all_rows() -> None:
    read = json.loads(written(a_report(), ReportForm.JSON))

    assert [row["cells"]["name"] for row in read["items"]] == [row[0] for row in ROWS]
    assert (read["members"], read["reporting"], read["waiting"]) == (3, 2, 4)
    assert read["not_reporting"] == {"stale": 1}


def sheets(body: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(body)) as book:
        return [book.read(f"xl/worksheets/sheet{n}.xml").decode() for n in (1, 2)]


def test_a_workbook_says_whom_it_speaks_of_and_holds_texts_only_as_texts() -> None:
    about, table = sheets(written(a_report(), ReportForm.XLSX))

    told = [cell.text for cell in ElementTree.fromstring(about).iter(f"{SHEET}t")]
    assert {"As of", "2026-03-02 12:30:00 UTC", "All members", "Reporting members"} <= set(told)
    cells = ElementTree.fromstring(table)
    texts = [cell.text for cell in cells.iter(f"{SHEET}t")]
    assert EVIL in texts
    assert "Needs updates" in texts
    assert "0.999" in [cell.text for cell in cells.iter(f"{SHEET}v")]
    assert not list(cells.iter(f"{SHEET}f"))
    assert "hyperlink" not in table


def text_of(document: bytes) -> str:
    """Return what a document without a font of its own shows."""
    parts = re.findall(rb"stream\n(.*?)\nendstream", document, re.DOTALL)
    shown = b"".join(zlib.decompress(part) for part in parts if part[:1] == b"\x78")
    return shown.decode("latin-1")


def test_each_page_of_a_document_says_as_of_when_and_of_whom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pdf_file, "FONTS", ())
    rows = [(f"web-{n}", *ROWS[0][1:]) for n in range(60)]

    document = written(a_report(rows), ReportForm.PDF)

    text, pages = text_of(document), document.count(b"/Type /Page\n")
    assert pages > 1
    assert (
        text.count("as of 2026-03-02 12:30:00 UTC. All members: 3; of them reporting: 2") == pages
    )
    assert "web-0" in text and "web-59" in text


def test_without_a_font_what_cannot_be_shown_has_a_sign_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pdf_file, "FONTS", ())

    assert "???-? ?]0;x?" in text_of(written(a_report(), ReportForm.PDF))


@pytest.mark.skipif(pdf_file.font() is None, reason="there is no font on this system")
def test_with_a_font_any_text_is_written() -> None:
    assert b"/ToUnicode" in written(a_report(), ReportForm.PDF)


def test_a_document_of_too_many_rows_says_where_the_others_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pdf_file, "FONTS", ())
    monkeypatch.setattr(pdf_file, "ROWS", 2)

    text = text_of(written(replace(a_report(), total=3), ReportForm.PDF))

    assert "The first 2 of 3 rows; CSV and XLSX hold all." in text
