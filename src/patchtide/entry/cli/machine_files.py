"""`patchtide machines import` and `export`: machines and what people say of them, as CSV."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from patchtide.domain.errors import InvalidDocument, Problem, Refused
from patchtide.entry.cli.client import Answer
from patchtide.entry.cli.names import Ask
from patchtide.entry.cli.options import Raw, option
from patchtide.entry.cli.printing import Printer
from patchtide.entry.cli.proposed import is_proposed, tell_proposed
from patchtide.server.machine_import import ImportedMachines
from patchtide.server.operations import OPERATIONS

IMPORT = "Say of machines what a CSV file says: owner, tags, criticality, schedule and the rest."
EXPORT = "Write machines and what people say of them as CSV, to be imported again."
IMPORT_EXAMPLE = "machines import machines.csv --expect --dry-run"
EXPORT_EXAMPLE = "machines export -o machines.csv --machines 'platform = debian-12'"
_COLUMNS = ("name", "attribute", "was", "now")
_SHOWN = 500


def machine_file_commands(
    ask: Ask, printer: Printer, exit_code: Callable[[Answer], int]
) -> Mapping[str, tuple[Callable[..., int], str, str]]:
    """Return name -> the command, its help, its example."""

    def import_(
        file: _File,
        *,
        expect: _Expect = False,
        dry_run: _DryRun = False,
        plan: _Plan = None,
        json: Raw = False,
    ) -> int:
        said: dict[str, Any] = {"csv": _text(file)}
        said |= {"expect": True} if expect else {}
        said |= {"dry_run": True} if dry_run else {}
        said |= {"plan": plan} if plan else {}
        operation = OPERATIONS["machines.import"]
        answer = ask(operation, said)
        if is_proposed(operation, answer):
            return tell_proposed(answer, printer, as_json=json)
        if not answer.is_done or json:
            printer.show(answer.body, is_done=answer.is_done, as_json=json)
        else:
            told = msgspec.json.decode(answer.body, type=ImportedMachines)
            _tell(printer, told, is_dry=dry_run, file=file)
        return exit_code(answer)

    def export(*, output: _Output = None, machines: _Machines = None) -> int:
        said = {"machines": machines} if machines else {}
        answer = ask(OPERATIONS["machines.export"], said)
        if not answer.is_done:
            printer.show(answer.body, is_done=False, as_json=False)
        elif output is None:
            printer.text(answer.body.decode())
        else:
            _put(output, answer.body)
            printer.complain(f"{output}: {len(answer.body):,} bytes")
        return exit_code(answer)

    return {
        "import": (_told(import_), IMPORT, IMPORT_EXAMPLE),
        "export": (_told(export), EXPORT, EXPORT_EXAMPLE),
    }


def _tell(printer: Printer, told: ImportedMachines, *, is_dry: bool, file: Path) -> None:
    shown = told.changes[:_SHOWN]
    rows: Sequence[Mapping[str, str]] = [
        {name: getattr(one, name) or "-" for name in _COLUMNS} for one in shown
    ]
    if rows:
        body = msgspec.json.encode({"items": rows})
        printer.show(body, is_done=True, as_json=False, columns=_COLUMNS)
    if left := len(told.changes) - len(shown) + told.changes_left_out:
        printer.text(f"and {left:,} more changes; --json prints more of them")
    for one in told.unknown[:_SHOWN]:
        printer.text(f"line {one.line}: no machine is called {one.name}")
    would = "would " if is_dry else ""
    printer.text(
        f"{told.lines:,} lines: {told.changed:,} machines {would}change,"
        f" {told.expected:,} are{' to be' if is_dry else ''} expected,"
        f" {told.unchanged:,} stay as they are, {len(told.unknown):,} are not known"
    )
    if told.unknown:
        printer.text("with --expect, those that are not known are expected until they enrol")
    elif is_dry and (told.changed or told.expected):
        printer.text(f"to do just this: patchtide machines import {file} --plan {told.plan}")


def _text(file: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidDocument([Problem(f"line {line}", "is not UTF-8")]) from error


def _put(output: Path, body: bytes) -> None:
    try:
        output.write_bytes(body)
    except OSError as error:
        raise Refused(f"{output}: {error.strerror}") from error


def _told(command: Callable[..., int]) -> Callable[..., int]:
    """Have its annotations be types, not their names, which nobody finds from elsewhere."""
    signature = inspect.signature(command, eval_str=True)
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return command


_File = Annotated[Path, Parameter(help="The file; `-` is what comes through a pipe.")]
_Expect = Annotated[
    bool, option("Machines that are not known yet are expected, until they enrol by name.")
]
_DryRun = Annotated[bool, option("Only tell what would change.")]
_Plan = Annotated[
    str | None,
    option("Do it only if it is what the dry run told of."),
]
_Output = Annotated[Path | None, option("Write it into this file.", "-o")]
_Machines = Annotated[
    str | None,
    option("Only machines that answer to this query."),
]
