"""`patchtide publisher`: updates of one's own, defined and checked on this machine.

No server is asked, and none is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec
from cyclopts import App, Parameter

from patchtide.adapters.publisher.folder import Definition, make_definition, read_definitions
from patchtide.adapters.publisher.marked import InvalidDefinition
from patchtide.domain.catalog.rule_mistakes import shown
from patchtide.domain.errors import Refused
from patchtide.entry.cli.offline import DONE, REFUSED, Document, offline_command
from patchtide.entry.cli.printing import Printer

HELP = "Updates of your own, defined in YAML; on files of this machine."
_VALIDATE = "Print all mistakes in definitions with their places, or else what they define."

COMMANDS = {"new": "new hello", "validate": "validate hello"}


def new(
    folder: Annotated[Path, Parameter(help="Folder of the update; made if needed.")], /
) -> Document:
    """Write a definition to start from into a folder."""
    return {"file": str(make_definition(folder))}


def publisher_app(printer: Printer) -> App:
    app = App(name="publisher", help=HELP, help_epilogue="", version_flags=[])
    app.command(offline_command(new, printer), name="new", help_epilogue=_example("new"))
    app.command(
        _validate_command(printer),
        name="validate",
        help=_VALIDATE,
        help_epilogue=_example("validate"),
    )
    return app


def _example(name: str) -> str:
    return f"Example: patchtide publisher {COMMANDS[name]}"


def _validate_command(printer: Printer) -> Callable[..., int]:
    def validate(
        path: Annotated[
            Path, Parameter(help="A definition, or a folder with update.yaml or *.update.yaml.")
        ],
        /,
        *,
        json: Annotated[
            bool, Parameter(help="Print as JSON.", negative=(), show_default=False)
        ] = False,
    ) -> int:
        try:
            definitions, wrong = read_definitions(path)
        except (Refused, OSError) as error:
            return _refused(printer, error, as_json=json)
        if wrong and not json:
            printer.complain("\n".join(line for error in wrong for line in _lines(error)))
        else:
            document = _mistakes(wrong) if wrong else _defined(definitions)
            printer.show(msgspec.json.encode(document), is_done=not wrong, as_json=json)
        return REFUSED if wrong else DONE

    # As objects: what is annotated within a function cannot be looked up by its name.
    validate.__annotations__ = get_type_hints(validate, include_extras=True)
    return validate


def _refused(printer: Printer, error: Refused | OSError, *, as_json: bool) -> int:
    said = error if isinstance(error, Refused) else Refused(f"{error.filename}: {error.strerror}")
    document = {"code": said.code, "detail": str(said)}
    printer.show(msgspec.json.encode(document), is_done=False, as_json=as_json)
    return REFUSED


def _lines(error: InvalidDefinition) -> Sequence[str]:
    return [error.file, *(f"  {line}" for line in shown(error.text, error.mistakes))]


def _mistakes(wrong: Sequence[InvalidDefinition]) -> Document:
    problems: list[Mapping[str, Any]] = [
        {
            "file": error.file,
            "where": mistake.where,
            "what": mistake.what,
            "hint": mistake.hint,
            "line": mistake.line,
            "column": mistake.column,
            "length": mistake.length,
        }
        for error in wrong
        for mistake in error.mistakes
    ]
    detail = f"{len(problems)} mistakes in {len(wrong)} definitions"
    return {"code": InvalidDefinition.code, "detail": detail, "problems": problems}


def _defined(definitions: Sequence[Definition]) -> Document:
    rows = [
        {
            "file": str(definition.path),
            "id": definition.update.id,
            "title": definition.update.title,
            "installer": definition.update.installer.kind.value,
            "files": len(definition.update.files),
            "update": str(definition.update.update),
        }
        for definition in definitions
    ]
    return {"items": rows}
