"""The commands, derived from the operation table: parse, ask, print. None is written by hand."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_type_hints

import msgspec
from cyclopts import App, CycloptsError
from msgspec.structs import fields
from rich.console import Console

from patchtide import __version__
from patchtide.adapters.publisher.marked import InvalidDefinition
from patchtide.domain.catalog.rule_mistakes import Misread
from patchtide.domain.errors import InvalidDocument, PatchtideError, Refused
from patchtide.entry.cli import PROCESSES
from patchtide.entry.cli.apart import add_apart
from patchtide.entry.cli.carrying import carrying_commands
from patchtide.entry.cli.client import Answer, Client, Misconfigured, Unreachable
from patchtide.entry.cli.explaining import in_words
from patchtide.entry.cli.following import completed, followed, telling
from patchtide.entry.cli.machine_files import machine_file_commands
from patchtide.entry.cli.names import (
    Ask,
    NotOneCollection,
    NotOneMachine,
    NotOneUpdate,
    with_ids,
)
from patchtide.entry.cli.parameters import BY_TITLE, default_of, parameters, parted, typed
from patchtide.entry.cli.printing import Printer, tame
from patchtide.entry.cli.proposed import is_proposed, tell_proposed
from patchtide.entry.cli.reporting import EXAMPLE as REPORTS_EXAMPLE
from patchtide.entry.cli.reporting import HELP as REPORTS
from patchtide.entry.cli.reporting import report_command
from patchtide.entry.cli.rule_files import mistakes_in, placed, with_rules
from patchtide.server.operations import OPERATIONS
from patchtide.server.table import Operation

NAMING = (NotOneMachine, NotOneCollection, NotOneUpdate)
WHATIF = "whatif"
"""Is asked again until it is complete."""
DONE, REFUSED, MISUSED, NO_SERVER = 0, 1, 2, 3

_HELP = "Update management for whole fleets: ask a Patchtide server, or start one of its processes."
_EPILOGUE = """\
Processes: patchtide agent | serve | simulate | demo (each has its own --help).

PATCHTIDE_URL names the server, PATCHTIDE_TOKEN the token, PATCHTIDE_CA the file of the site's CA.

Exit codes: 0 done, 1 refused, 2 misused, 3 the server cannot be reached,
4 proposed: it waits for a second person."""
_GROUPS = {
    "alerts": "What is watched, and what is wrong now.",
    "channels": "By which ways alerts are told.",
    "site": "The server itself.",
    "machines": "Machines of the site.",
    "keys": "Your own security keys.",
    "windows": "When machines may be changed.",
    "freezes": "When they are not, whatever windows say.",
    "hours": "When people work at machines: business hours and holidays.",
    "collections": "Machines put together, by name, by query or of other collections.",
    "settings": "What holds for the whole site.",
    "searches": "Queries over updates, saved under names.",
    "lists": "Lists of updates: nothing but lists.",
    "history": "How machines stood day by day.",
    "targets": "How soon updates are to be there, and will be.",
    "reports": REPORTS,
    "subscriptions": "Reports that are sent by themselves.",
    "updates": "Updates that exist, and who needs them.",
    "tokens": "Tokens that let machines enrol.",
    "api-tokens": "Keys of people and programs to this interface.",
    "users": "People who may sign in.",
    "roles": "What people may do, as sets of rights under a name.",
    "proposals": "What waits for a second person.",
    "audit": "Who decided what, and when.",
    "catalog": "What is published to machines.",
    "feeds": "Where updates come from.",
}


def run(arguments: Sequence[str], *, ask: Ask | None = None, console: Console | None = None) -> int:
    """Run one command and return its exit code."""
    out = console or Console()
    err = console or Console(stderr=True)
    url = os.environ.get("PATCHTIDE_URL", "").rstrip("/")
    meant = next(iter(arguments), "")
    app = build(ask or _ask, Printer(out=out, err=err, url=url), meant=meant)
    try:
        code = app(
            arguments,
            console=out,
            error_console=err,
            exit_on_error=False,
            result_action="return_value",
        )
    except CycloptsError:
        return MISUSED
    except (Misconfigured, *NAMING, InvalidDocument, Refused) as error:
        return _said(err, error, MISUSED)
    except Unreachable as error:
        return _said(err, error, NO_SERVER)
    return code if isinstance(code, int) else DONE


def build(ask: Ask, printer: Printer, *, meant: str = "") -> App:
    app = App(
        name="patchtide",
        help=_HELP,
        help_epilogue=_EPILOGUE,
        help_format="plaintext",
        version=__version__,
    )
    groups: dict[str, App] = {}
    for operation in OPERATIONS:
        # What only people may do a token, which is all a command has, cannot.
        if not operation.plane.is_interface or operation.step_of or operation.only_people:
            continue
        parent = app
        if operation.group:
            if operation.group not in groups:
                groups[operation.group] = App(
                    name=operation.group,
                    help=_GROUPS[operation.group],
                    help_epilogue="",
                    version_flags=[],
                )
                app.command(groups[operation.group])
            parent = groups[operation.group]
        # The commands of one group are asked for; to make all takes longer than most of them.
        if meant in _GROUPS and operation.group != meant:
            continue
        parent.command(
            _command(operation, ask, printer),
            name=operation.verb,
            help=operation.sentence,
            help_epilogue=f"Example: patchtide {example_of(operation)}",
        )
    for name, (command, text, example) in carrying_commands(ask, printer, exit_code).items():
        groups["catalog"].command(
            command, name=name, help=text, help_epilogue=f"Example: patchtide {example}"
        )
    for name, (command, text, example) in machine_file_commands(ask, printer, exit_code).items():
        groups["machines"].command(
            command, name=name, help=text, help_epilogue=f"Example: patchtide {example}"
        )
    groups["reports"].default(report_command(ask, printer, exit_code))
    groups["reports"].help_epilogue = f"Example: patchtide {REPORTS_EXAMPLE}"
    add_apart(app, printer, ask, meant=meant)
    app.command(_completion(app, printer), name="completion", help_epilogue="")
    return app


def exit_code(answer: Answer) -> int:
    if answer.is_done:
        return DONE
    if answer.status == 400:
        return MISUSED
    return NO_SERVER if answer.status in (502, 503, 504) else REFUSED


def _ask(operation: Operation, values: Mapping[str, Any]) -> Answer:
    return Client.of(os.environ).ask(operation, values)


def _said(err: Console, error: PatchtideError, code: int) -> int:
    err.print(tame(str(error)), markup=False, highlight=False, soft_wrap=True)
    return code


def _command(operation: Operation, ask: Ask, printer: Printer) -> Callable[..., int]:
    secret, given = parted(fields(operation.input))
    defaults = {field.name: default_of(field) for field in given}
    is_formless = operation.output is None and operation.status == 200

    def command(*positional: Any, **named: Any) -> int:
        asked = signature.bind(*positional, **named).arguments
        raw, waits = asked.pop("json", False), asked.pop("wait", False)
        said = {k: v for k, v in asked.items() if v not in (None, defaults[k])}
        said |= {field.name: typed(field) for field in secret}
        try:
            said = dict(with_rules(said))
        except (Misread, InvalidDefinition) as error:
            return _misread(printer, error, as_json=raw)
        meant = with_ids(said, ask, by_title=operation.name in BY_TITLE)
        if isinstance(meant, Answer):
            answer = meant
        else:
            answer = _answered(operation, meant, ask, printer, waits=waits)
            if is_proposed(operation, answer):
                return tell_proposed(answer, printer, as_json=raw)
            if waits and answer.is_done and not raw:
                answer = telling(answer)
        text = in_words(operation, answer.body) if answer.is_done and not raw else None
        if text is not None:
            printer.text(text)
            return DONE
        # What has no declared form has no table either.
        as_json = raw or (is_formless and answer.is_done)
        printer.show(
            answer.body, is_done=answer.is_done, as_json=as_json, columns=operation.columns
        )
        return exit_code(answer)

    signature = inspect.Signature(parameters(given, operation))
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    command.__name__ = operation.name
    return command


def _answered(
    operation: Operation, meant: Mapping[str, Any], ask: Ask, printer: Printer, *, waits: bool
) -> Answer:
    """Ask, and where the first answer is only the beginning, until the end if that is wanted."""
    answer = ask(operation, meant)
    if waits and answer.is_done:
        return followed(answer, lambda: ask(OPERATIONS[operation.watch], {}), printer)
    if operation.name == WHATIF:
        return completed(answer, lambda: ask(operation, meant), printer)
    return answer


def _misread(printer: Printer, error: Misread | InvalidDefinition, *, as_json: bool) -> int:
    """Say what is wrong with a rule before anybody is asked."""
    if as_json:
        problems = [placed(mistake) for mistake in error.mistakes]
        document = {"code": error.code, "detail": str(error), "problems": problems}
        printer.text(msgspec.json.encode(document).decode())
    else:
        printer.complain("\n".join(mistakes_in(error)))
    return MISUSED


def example_of(operation: Operation) -> str:
    return operation.example or operation.name.replace(".", " ")


def _completion(app: App, printer: Printer) -> Callable[..., int]:
    def completion(shell: Literal["bash", "zsh", "fish"]) -> int:
        """Print the script that completes commands in a shell.

        Parameters
        ----------
        shell
            Which shell.
        """
        for process in PROCESSES:
            app.command(App(name=process))  # not run here, but a command like any other to type
        printer.text(app.generate_completion(shell=shell))
        return DONE

    completion.__annotations__ = get_type_hints(completion)
    return completion
