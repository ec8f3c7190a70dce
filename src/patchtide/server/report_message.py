"""A report as a message: its figures in the text, and all of it in a file or in the document."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

import msgspec

from patchtide.server.context import Context
from patchtide.server.named_report import Figure, Report
from patchtide.server.named_reports import compiled
from patchtide.server.ports.notifying import MOST_ATTACHED, Attachment, Channel, Message
from patchtide.server.ports.report_files import ReportForm
from patchtide.server.report_operations import MEDIA_TYPES, file_name
from patchtide.server.subscription_book import Subscription

MOST_ROWS = 20_000
"""Of more no file is written: it would take a processor for long, and be too large for mail."""
WHOLE = "All of it is attached."
CUT = "It is too large to be sent; its page has all of it."


async def report_message(
    context: Context, one: Subscription, channel: Channel, *, address: str
) -> Message:
    """Return the report as of now, for that channel; `address` is the console's.

    Raises:
        InvalidDocument, InvalidQuery, NotFound: what it was asked with is not there any more.
    """
    asked = one.asked()
    report = await context.fleet.run(
        lambda: compiled(context, asked, owner=one.owner, is_whole=True)
    )
    is_mail = channel.kind == "email"
    form = ReportForm(one.format) if is_mail else ReportForm.JSON
    body = await _written(context, report, form) if report.total <= MOST_ROWS else None
    file = None
    if is_mail and body is not None:
        file = Attachment(name=file_name(report, form), media_type=MEDIA_TYPES[form], body=body)
    return Message(
        id=secrets.token_hex(16),
        at=context.clock.now(),
        kind="report",
        subject=f"{report.title} ({one.name})",
        text="\n".join(_lines(report, one, address, is_whole=body is not None)),
        data={} if is_mail else await _document(context, report, one, body),
        attachment=file,
    )


async def _document(
    context: Context, report: Report, one: Subscription, body: bytes | None
) -> dict[str, object]:
    """Return the report as `reports NAME --format json` has it; one too large without its rows."""
    is_whole = body is not None
    if body is None:
        body = await _written(context, replace(report, rows=()), ReportForm.JSON) or b"null"
    return {
        "subscription": one.name,
        "is_whole": is_whole,
        "report": msgspec.json.decode(body),
    }


async def _written(context: Context, report: Report, form: ReportForm) -> bytes | None:
    return await context.report_files(lambda writer: _bounded(writer.written(report, form)))


def _bounded(file: BinaryIO) -> bytes | None:
    with file:
        body = file.read(MOST_ATTACHED + 1)
    return body if len(body) <= MOST_ATTACHED else None


def _lines(report: Report, one: Subscription, address: str, *, is_whole: bool) -> Iterator[str]:
    said = report.denominators
    yield f"{report.title}, as of {report.at:%Y-%m-%d %H:%M} UTC"
    yield ""
    yield from (f"{what}: {which}" for what, which in report.parameters)
    yield f"All members: {said.members:,}; reporting: {said.reporting:,};"
    yield f"not heard of late: {report.silent:,}; reports that wait: {report.waiting:,}"
    yield ""
    yield from map(_figure, report.figures)
    yield f"Rows: {report.total:,}. {WHOLE if is_whole else CUT}"
    yield ""
    yield f"{address}{report.link}"
    yield f"Sent for {one.owner_name or one.owner}, who subscribed to it as {one.name}."


def _figure(figure: Figure) -> str:
    share = "" if figure.share is None else f" ({figure.share} % of {figure.among})"
    return f"{figure.heading}: {figure.count:,}{share}"
