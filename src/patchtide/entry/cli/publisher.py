"""`patchtide publisher`: updates of one's own, defined and checked on this machine.

No server is asked, and none is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec
from cyclopts import App, Parameter

from patchtide.adapters.publisher.folder import Definition, make_definition, read_definitions
from patchtide.adapters.publisher.marked import InvalidDefinition
from patchtide.domain.catalog.rule_mistakes import shown
from patchtide.domain.errors import PatchtideError, Refused
from patchtide.entry.cli.offline import DONE, REFUSED, Document, offline_command
from patchtide.entry.cli.printing import Printer
from patchtide.entry.cli.publisher_trial import tried

HELP = "Updates of your own, defined in YAML; on files of this machine."
_VALIDATE = "Print all mistakes in definitions with their places, or else what they define."

_TEST = "Say how the updates would stand on this machine. It evaluates, and installs nothing."

_Definitions = Annotated[
    Path, Parameter(help="A definition, or a folder with update.yaml or *.update.yaml.")
]
_Json = Annotated[bool, Parameter(help="Print as JSON.", negative=(), show_default=False)]

COMMANDS = {"new": "new hello", "validate": "validate hello", "test": "test hello"}


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
    app.command(_test_command(printer), name="test", help=_TEST, help_epilogue=_example("test"))
    return app


def _example(name: str) -> str:
    return f"Example: patchtide publisher {COMMANDS[name]}"


def _validate_command(printer: Printer) -> Callable[..., int]:
    def validate(
        path: _Definitions,
        /,
        *,
        json: _Json = False,
    ) -> int:
        return _answered(printer, path, _defined, as_json=json)

    # As objects: what is annotated within a function cannot be looked up by its name.
    validate.__annotations__ = get_type_hints(validate, include_extras=True)
    return validate


def _test_command(printer: Printer) -> Callable[..., int]:
    def test(
        path: _Definitions,
        /,
        *,
        platform: Annotated[
            str, Parameter(help="auto, apt or dnf, each with a :ROOT or without; simulated:FILE.")
        ] = "auto",
        json: _Json = False,
    ) -> int:
        return _answered(printer, path, partial(tried, platform=platform), as_json=json)

    test.__annotations__ = get_type_hints(test, include_extras=True)
    return test


def _answered(
    printer: Printer,
    path: Path,
    work: Callable[[Sequence[Definition]], Document],
    *,
    as_json: bool,
) -> int:
    """Print what the work says of the definitions, or else what is wrong with them."""
    try:
        definitions, wrong = read_definitions(path)
        document = _mistakes(wrong) if wrong else work(definitions)
    except OSError as error:
        return _refused(printer, Refused(f"{error.filename}: {error.strerror}"), as_json=as_json)
    except PatchtideError as error:
        return _refused(printer, error, as_json=as_json)
    if wrong and not as_json:
        printer.complain("\n".join(line for error in wrong for line in _lines(error)))
    else:
        printer.show(msgspec.json.encode(document), is_done=not wrong, as_json=as_json)
    return REFUSED if wrong else DONE


def _refused(printer: Printer, error: PatchtideError, *, as_json: bool) -> int:
    document = {"code": error.code, "detail": str(error)}
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
