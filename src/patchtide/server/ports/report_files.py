"""What named reports need of those who write them as files."""

from __future__ import annotations

from enum import StrEnum
from typing import BinaryIO, Protocol

from patchtide.server.named_report import Report


class ReportForm(StrEnum):
    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"
    PDF = "pdf"


class ReportWriter(Protocol):
    def written(self, report: Report, form: ReportForm) -> BinaryIO:
        """Return the report as a file, at its beginning, that is gone once it is closed.

        It blocks, for seconds where there are a hundred thousand rows.
        """
        ...
