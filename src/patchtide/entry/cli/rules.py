"""`patchtide rules`: rules as people write them, checked on this machine. No server is asked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec
from cyclopts import App, Parameter

from patchtide.domain.applicability.facts import asked_by
from patchtide.domain.catalog.rule_mistakes import InvalidRule
from patchtide.domain.catalog.rule_parser import MAX_LENGTH, parse_rule
from patchtide.domain.catalog.rule_text import laid_out, rule_text
from patchtide.domain.errors import PatchtideError, Refused
from patchtide.entry.cli.options import AsJson
from patchtide.entry.cli.printing import Printer
from patchtide.wire.rules import encode_rule

HELP = "Rules that say which machines need an update; on files of this machine."
_DONE, _REFUSED, _MISUSED = 0, 1, 2
_BYTES = 4 * MAX_LENGTH
_HELP_CHECK = "Print all mistakes in a rule with their places, or else its canonical text."

COMMANDS = {"check": "check openssl.rule"}


def rules_app(printer: Printer) -> App:
    app = App(name="rules", help=HELP, help_epilogue="", version_flags=[])
    app.command(
        _check_command(printer),
        name="check",
        help=_HELP_CHECK,
        help_epilogue=f"Example: patchtide rules {COMMANDS['check']}",
    )
    return app


def _check_command(printer: Printer) -> Callable[..., int]:
    def check(
        file: Annotated[
            str,
            Parameter(
                help="File with one rule; - is the standard input.", allow_leading_hyphen=True
            ),
        ],
        /,
        *,
        json: AsJson = False,
    ) -> int:
        try:
            text = _text(file)
            rule = parse_rule(text)
            structured = encode_rule(rule)
        except InvalidRule as error:
            if json:
                printer.text(_encoded(_mistakes(error)))
            else:
                printer.complain("\n".join(error.shown()))
            return _MISUSED
        except PatchtideError as error:
            refusal = {"code": error.code, "detail": str(error)}
            printer.show(_encoded(refusal).encode(), is_done=False, as_json=json)
            return _REFUSED
        asked = sorted(f"{fact} {' '.join(keys)}" for fact, keys in asked_by(rule))
        document = {"rule": rule_text(rule), "structured": structured, "asks": asked}
        printer.text(_encoded(document) if json else "\n".join(laid_out(rule)))
        return _DONE

    # As objects: what is annotated within a function cannot be looked up by its name.
    check.__annotations__ = get_type_hints(check, include_extras=True)
    return check


def _text(file: str) -> str:
    """Raises Refused."""
    try:
        if file == "-":
            said = sys.stdin.buffer.read(_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                said = opened.read(_BYTES + 1)
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}") from error
    try:
        return said.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"{file} is no text in UTF-8: byte {error.start} is not") from error


def _mistakes(error: InvalidRule) -> dict[str, Any]:
    problems = [
        {
            "where": mistake.where,
            "what": mistake.what,
            "hint": mistake.hint,
            "line": mistake.line,
            "column": mistake.column,
            "length": mistake.length,
        }
        for mistake in error.mistakes
    ]
    return {"code": error.code, "detail": str(error), "problems": problems}


def _encoded(document: dict[str, Any]) -> str:
    return msgspec.json.encode(document).decode()
