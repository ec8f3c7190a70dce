"""Operations on named reports: which there are, and one of them as a table or as a file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Literal

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.server.collection_checks import may_ask
from patchtide.server.context import Call
from patchtide.server.named_report import Cell, Report, Row
from patchtide.server.named_reports import NAMED, compiled
from patchtide.server.ports.report_files import ReportForm
from patchtide.server.report_scope import AskReport
from patchtide.server.table import API, File, Nothing, Operation, Output, Plane

_READ = Right(Kind.MACHINES, Verb.READ)
_COMMAND = "reports NAME"
_ALSO = (Right(Kind.CATALOG, Verb.READ),)
MEDIA_TYPES: Mapping[ReportForm, str] = MappingProxyType(
    {
        ReportForm.CSV: "text/csv; charset=utf-8",
        ReportForm.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ReportForm.JSON: "application/json",
        ReportForm.PDF: "application/pdf",
    }
)


class ListedReport(Output, kw_only=True, frozen=True):
    name: str
    title: str
    says: str
    takes: tuple[str, ...]
    """Which parameters it takes besides those that say which updates and which machines."""
    states: tuple[str, ...]
    """What `state` may be."""


class ReportList(Output, kw_only=True, frozen=True):
    items: tuple[ListedReport, ...]


class ShownColumn(Output, kw_only=True, frozen=True):
    key: str
    heading: str
    kind: str
    """`text`, `texts`, `number`, `share` (per cent, rounded down), `instant`, `word`, `flag`."""
    words: dict[str, str]
    """What people read for what a `word` says."""
    is_sortable: bool
    falls: bool
    """Sorting by it begins with the greatest."""


class ShownFigure(Output, kw_only=True, frozen=True):
    key: str
    heading: str
    count: int
    of: int | None
    among: str
    """What these are: whom the share speaks of; empty without one."""
    share: float | None
    """In per cent, rounded down: 100 stands for all alone."""
    link: str


class ShownParameter(Output, kw_only=True, frozen=True):
    what: str
    which: str


class ShownRow(Output, kw_only=True, frozen=True):
    cells: dict[str, Any]
    """By column."""
    links: dict[str, str]
    """By column: the page of the console that says more."""


class ShownReport(Output, kw_only=True, frozen=True):
    name: str
    title: str
    site: str
    parameters: tuple[ShownParameter, ...]
    at: datetime
    """As of when: all that was durable then is counted."""
    waiting: int
    """Reports of machines that had come by then, and were not durable yet."""
    members: int
    """The machines that shares speak of: all that are let in and asked about."""
    reporting: int
    """Those of them whose last report is believed."""
    not_reporting: dict[str, int]
    """Why the others do not report: how many for which reason."""
    silent: int
    """Members that were not heard of late."""
    silent_after_s: int
    figures: tuple[ShownFigure, ...]
    columns: tuple[ShownColumn, ...]
    items: tuple[ShownRow, ...]
    first: int
    """Where the page begins, counted from 1."""
    total: int
    """How many rows there are, on all pages."""
    link: str
    """The report's page in the console."""


class DownloadReport(AskReport, kw_only=True, frozen=True):
    format: Annotated[
        Literal["csv", "xlsx", "json", "pdf"], Meta(description="As which kind of file.")
    ]


async def reports(call: Call, principal: Principal, asked: Nothing) -> ReportList:
    return ReportList(
        items=tuple(
            ListedReport(
                name=name,
                title=one.title,
                says=one.says,
                takes=tuple(one.takes),
                states=tuple(one.states),
            )
            for name, one in NAMED.items()
        )
    )


async def show(call: Call, principal: Principal, asked: AskReport) -> ShownReport:
    may_ask(principal, asked.collection, asked.machines)
    context, owner = call.context, principal.actor
    return await call.read_fleet(lambda: shown(compiled(context, asked, owner=owner)))


def shown(report: Report) -> ShownReport:
    keys = [column.key for column in report.columns]
    said = report.denominators
    return ShownReport(
        name=report.name,
        title=report.title,
        site=report.site,
        parameters=tuple(ShownParameter(what=a, which=b) for a, b in report.parameters),
        at=report.at,
        waiting=report.waiting,
        members=said.members,
        reporting=said.reporting,
        not_reporting=dict(said.doubts),
        silent=report.silent,
        silent_after_s=report.silent_after_s,
        figures=tuple(
            ShownFigure(
                key=x.key,
                heading=x.heading,
                count=x.count,
                of=x.of,
                among="" if x.of is None else x.among,
                share=x.share,
                link=x.link,
            )
            for x in report.figures
        ),
        columns=tuple(
            ShownColumn(
                key=x.key,
                heading=x.heading,
                kind=x.kind.value,
                words=dict(x.words),
                is_sortable=x.is_sortable,
                falls=x.falls,
            )
            for x in report.columns
        ),
        items=tuple(shown_row(keys, row) for row in report.rows),
        first=report.first,
        total=report.total,
        link=report.link,
    )


def shown_row(keys: list[str], row: Row) -> ShownRow:
    cells: Mapping[str, Cell] = dict(zip(keys, row.cells, strict=True))
    return ShownRow(cells=dict(cells), links=dict(row.links))


async def download(call: Call, principal: Principal, asked: DownloadReport) -> File:
    """Return all rows as a file. One is written at a time: each takes a processor for seconds.

    Raises:
        TooMuch: many are waiting to be written.
    """
    may_ask(principal, asked.collection, asked.machines)
    context, form = call.context, ReportForm(asked.format)
    fields = {name: getattr(asked, name) for name in AskReport.__struct_fields__}
    about = AskReport(**fields)
    return await context.report_files.in_turn(
        lambda: call.read_fleet(
            lambda: compiled(context, about, owner=principal.actor, is_whole=True)
        ),
        lambda writer, report: File(
            name=file_name(report, form),
            media_type=MEDIA_TYPES[form],
            body=writer.written(report, form),
        ),
    )


def file_name(report: Report, form: ReportForm) -> str:
    """Return a name that says as of when it is."""
    return f"{report.name}-{report.at:%Y-%m-%dT%H%M%SZ}.{form.value}"


REPORTS = (
    Operation(
        name="reports.list",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/reports",
        policy=_READ,
        sentence="List the named reports and what each may be asked for.",
        output=ReportList,
        handler=reports,
        also=_ALSO,
        columns=("name", "title", "takes", "states"),
        narrows=True,
        narrows_updates=True,
    ),
    Operation(
        name="reports.show",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/reports/{name}",
        policy=_READ,
        sentence="Show a page of a named report about some updates and some machines.",
        input=AskReport,
        output=ShownReport,
        handler=show,
        also=_ALSO,
        step_of=_COMMAND,
        narrows=True,
        narrows_updates=True,
    ),
    Operation(
        name="reports.download",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/reports/{name}/{format}",
        policy=_READ,
        sentence="Bring all of a named report as a file: CSV, XLSX, JSON or PDF.",
        input=DownloadReport,
        handler=download,
        also=_ALSO,
        media_types=tuple(MEDIA_TYPES.values()),
        step_of=_COMMAND,
        narrows=True,
        narrows_updates=True,
    ),
)
