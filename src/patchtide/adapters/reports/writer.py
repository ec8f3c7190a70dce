"""Writes named reports as files: rows go through memory one by one, whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import BinaryIO, cast

from patchtide.adapters.reports.csv_file import write_csv
from patchtide.adapters.reports.json_file import write_json
from patchtide.server.named_report import Report
from patchtide.server.ports.report_files import ReportForm


def _write_pdf(report: Report, out: BinaryIO) -> None:
    """No start waits for the libraries of fonts and pages: they are a fifth of what it loads."""
    from patchtide.adapters.reports.pdf_file import write_pdf

    write_pdf(report, out)


def _write_xlsx(report: Report, out: BinaryIO) -> None:
    from patchtide.adapters.reports.xlsx_file import write_xlsx

    write_xlsx(report, out)


_WRITERS: Mapping[ReportForm, Callable[[Report, BinaryIO], None]] = MappingProxyType(
    {
        ReportForm.CSV: write_csv,
        ReportForm.XLSX: _write_xlsx,
        ReportForm.JSON: write_json,
        ReportForm.PDF: _write_pdf,
    }
)


class ReportFiles:
    """Files without names, so that nothing is left behind.

    But a workbook puts its parts in a folder of its own while it is made: that goes in any case,
    except that whoever is killed leaves it to those who tidy the system's temporary folder.
    """

    def written(self, report: Report, form: ReportForm) -> BinaryIO:
        out = cast("BinaryIO", TemporaryFile(prefix="patchtide-report-"))  # noqa: SIM115
        try:
            _WRITERS[form](report, out)
            out.seek(0)
        except BaseException:
            out.close()
            raise
        return out
