"""A named report as JSON: what the interface answers, with all of its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

import msgspec

from patchtide.server.named_report import Report
from patchtide.server.report_operations import shown, shown_row

_HERE = b'"items":[]'
"""Where the rows go. It stands there once: within a text a quote has a backslash before it."""


def write_json(report: Report, out: BinaryIO) -> None:
    keys = [column.key for column in report.columns]
    before, after = msgspec.json.encode(shown(replace(report, rows=()))).split(_HERE)
    out.write(before + _HERE[:-1])
    for place, row in enumerate(report.rows):
        out.write((b",\n" if place else b"\n") + msgspec.json.encode(shown_row(keys, row)))
    out.write(b"]" + after + b"\n")
