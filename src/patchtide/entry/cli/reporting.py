"""`patchtide reports NAME`: a named report as a table on the terminal, or as a file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from rich.text import Text

from patchtide.domain.errors import Refused
from patchtide.entry.cli.client import Answer, Misconfigured
from patchtide.entry.cli.names import Ask, with_ids
from patchtide.entry.cli.options import option
from patchtide.entry.cli.printing import Printer
from patchtide.server.operations import OPERATIONS

FORMATS = ("table", "json", "csv", "xlsx", "pdf")
HELP = "Named reports: where machines stand on updates, as a table or a file."
EXAMPLE = "reports by-update --list baseline --machines 'platform = debian-12' -o needed.xlsx"
_Document = Mapping[str, Any]


def report_command(
    ask: Ask, printer: Printer, exit_code: Callable[[Answer], int]
) -> Callable[..., int]:
    def reports(
        name: _Name,
        *,
        list: _List = None,
        search: _Search = None,
        query: _Query = None,
        update: _Update = None,
        machines: _Machines = None,
        machine: _Machine = None,
        collection: _Collection = None,
        by: _By = None,
        state: _State = None,
        doubt: _Doubt = None,
        error: _Error = None,
        risk: _Risk = None,
        days_back: _Days = None,
        sort: _Sort = None,
        page: _Page = None,
        limit: _Limit = None,
        format: _Format = None,
        output: _Output = None,
        json: _Json = False,
    ) -> int:
        said = {
            "name": name, "list": list, "search": search, "query": query, "update": update,
            "machines": machines, "machine": machine,
            "collection": collection, "by": by, "state": state, "doubt": doubt,
            "error": error, "risk": risk, "days_back": days_back, "sort": sort,
        }  # fmt: skip
        form = "json" if json else format or _form_of(output)
        if form in ("xlsx", "pdf") and output is None:
            raise Misconfigured(f"a report as {form} goes into a file: say --output FILE")
        told = {key: value for key, value in said.items() if value is not None}
        meant = with_ids(told, ask, by_title=True)
        if isinstance(meant, Answer):
            return _refused(printer, meant, exit_code)
        if form == "table":
            pages = {"page": page, "limit": limit}
            shown = {**meant, **{k: v for k, v in pages.items() if v is not None}}
            return _as_table(ask(OPERATIONS["reports.show"], shown), printer, exit_code)
        with printer.err.status(Text("the server writes the report")):
            answer = ask(OPERATIONS["reports.download"], {**meant, "format": form})
        return _as_file(answer, output, printer, exit_code)

    signature = inspect.signature(reports, eval_str=True)
    reports.__signature__ = signature  # type: ignore[attr-defined]
    reports.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return reports


def _as_table(answer: Answer, printer: Printer, exit_code: Callable[[Answer], int]) -> int:
    if not answer.is_done:
        return _refused(printer, answer, exit_code)
    _tell(printer, msgspec.json.decode(answer.body))
    return exit_code(answer)


def _as_file(
    answer: Answer, output: Path | None, printer: Printer, exit_code: Callable[[Answer], int]
) -> int:
    if not answer.is_done:
        return _refused(printer, answer, exit_code)
    if output is None:
        printer.text(answer.body.decode())
    else:
        _put(output, answer.body)
        printer.complain(f"{output}: {len(answer.body):,} bytes")
    return exit_code(answer)


def _form_of(output: Path | None) -> str:
    """Return the format that a file's name speaks of; without any, a table."""
    ending = output.suffix.removeprefix(".").lower() if output else ""
    return ending if ending in FORMATS else "table" if output is None else "csv"


def _put(output: Path, body: bytes) -> None:
    try:
        output.write_bytes(body)
    except OSError as error:
        raise Refused(f"{output}: {error.strerror}") from error


def _refused(printer: Printer, answer: Answer, exit_code: Callable[[Answer], int]) -> int:
    printer.show(answer.body, is_done=False, as_json=False)
    return exit_code(answer)


def _tell(printer: Printer, report: _Document) -> None:
    about = [f"{one['what']}: {one['which']}" for one in report["parameters"]]
    figures = [_figure(one) for one in report["figures"]]
    counted = (
        f"All members: {report['members']:,}; reporting: {report['reporting']:,}; not heard of"
        f" late: {report['silent']:,}; reports that wait: {report['waiting']:,}"
    )
    head = (
        f"{report['title']}, as of {report['at'][:16].replace('T', ' ')} UTC",
        *about,
        counted,
        *(["; ".join(figures)] if figures else []),
    )
    printer.text("\n".join(head))
    columns = [column for column in report["columns"] if column["key"] != "id"]
    rows = [
        {x["heading"]: _in_words(row["cells"][x["key"]], x) for x in columns}
        for row in report["items"]
    ]
    body = msgspec.json.encode({"items": rows})
    printer.show(body, is_done=True, as_json=False, columns=[x["heading"] for x in columns])
    last = report["first"] + len(rows) - 1
    if rows and (report["first"], last) != (1, report["total"]):
        printer.text(f"rows {report['first']} to {last} of {report['total']}: --page says which")


def _figure(figure: _Document) -> str:
    share = "" if figure["share"] is None else f" ({figure['share']} % of {figure['among']})"
    return f"{figure['heading']}: {figure['count']:,}{share}"


def _in_words(cell: Any, column: _Document) -> Any:
    if column["kind"] == "share":
        return "" if cell is None else f"{cell:.1f} %"
    return column["words"].get(cell, cell) if isinstance(cell, str) else cell


_Name = Annotated[str, Parameter(help="Which report: `patchtide reports list` says which.")]
_List = Annotated[str | None, option("Only updates on this list.")]
_Search = Annotated[str | None, option("Only updates that this saved search finds.")]
_Query = Annotated[str | None, option("Only updates that answer to this query.")]
_Update = Annotated[str | None, option("Only this update: its id, or words that only it has.")]
_Machines = Annotated[
    str | None, option("Only machines that answer to this query: `platform = debian-12`.")
]
_Machine = Annotated[str | None, option("Only this machine: its id or name.")]
_Collection = Annotated[str | None, option("Only machines in this collection: its id or name.")]
_By = Annotated[
    Literal[
        "platform", "group", "owner", "exposure", "location", "site", "management-group", "machine"
    ]
    | None,
    option("What machines are put side by side by."),
]
_State = Annotated[str | None, option("Only rows in this state; `reports list` says which.")]
_Doubt = Annotated[str | None, option("Only machines that are unknown for this reason.")]
_Error = Annotated[str | None, option("Only machines that met this very error.")]
_Risk = Annotated[
    Literal["emergency", "high", "medium", "low"] | None,
    option("Of targets: only updates of this risk class."),
]
_Days = Annotated[int | None, option("Of history: how many days back; without it 90.")]
_Sort = Annotated[str | None, option("The column to sort by; a minus turns it round.")]
_Page = Annotated[int | None, option("Which page of a table.")]
_Limit = Annotated[int | None, option("How many rows a page has.")]
_Format = Annotated[
    Literal["table", "json", "csv", "xlsx", "pdf"] | None,
    option("As what; without it, as the file's name says."),
]
_Output = Annotated[Path | None, option("Write it into this file, all rows.", "-o")]
_Json = Annotated[bool, option("As --format json.")]
