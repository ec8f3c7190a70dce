"""`patchtide publisher`: updates of one's own, defined, checked and signed on this machine.

Until they are published no server is asked, and none is needed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, get_type_hints

import msgspec
from cyclopts import App, Parameter

from patchtide.adapters.publisher.folder import Definition, make_definition, read_definitions
from patchtide.adapters.publisher.marked import InvalidDefinition
from patchtide.adapters.trust.keys import read_key_file
from patchtide.domain.catalog.custom import named_update
from patchtide.domain.catalog.rule_mistakes import shown
from patchtide.domain.catalog.updates import UpdateId
from patchtide.domain.errors import InvalidDocument, PatchtideError, Problem, Refused
from patchtide.entry.cli.client import Client, Misconfigured, Unreachable
from patchtide.entry.cli.names import Ask, NotOneMachine
from patchtide.entry.cli.offline import DONE, REFUSED, Document, offline_command
from patchtide.entry.cli.options import AsJson
from patchtide.entry.cli.printing import Printer
from patchtide.entry.cli.publisher_signing import Publishing, published
from patchtide.entry.cli.publisher_site import Known, open_site
from patchtide.entry.cli.publisher_stored import stood
from patchtide.entry.cli.publisher_trial import tried

HELP = "Updates of your own, defined in YAML: checked, tried, signed and published."
_VALIDATE = "Print all mistakes in definitions with their places, or else what they define."

_TEST = "Say how updates would stand, here or on a machine of the site; nothing is installed."

_Path = Annotated[
    Path, Parameter(help="A definition, or a folder with update.yaml or *.update.yaml.")
]

COMMANDS = {
    "new": "new hello",
    "validate": "validate hello",
    "test": "test hello --machine web-1",
    "publish": "publish hello backup/update.yaml --sign-with anna.pem",
    "expire": "expire acme/backup/2.3 --sign-with anna.pem",
}
_PUBLISH = "Publish updates, or new revisions of them, signed on this machine."
_EXPIRE = "Take updates back: they are offered no more, and shown as expired."
_SignWith = Annotated[
    tuple[Path, ...],
    Parameter(help="Key file of a publisher; none: the keys on the server sign.", negative=()),
]
_Trust = Annotated[
    Path | None, Parameter(help="Folder that remembers which sites this machine trusts.")
]
_Root = Annotated[
    Path | None, Parameter(help="The site's first root, as a file brought from there.")
]
_RootDigest = Annotated[
    str | None,
    Parameter(help="SHA-256 of the site's first root; `patchtide trust status` says it there."),
]


def new(
    folder: Annotated[Path, Parameter(help="Folder of the update; made if needed.")], /
) -> Document:
    """Write a definition to start from into a folder."""
    file = make_definition(folder)
    then = f"put the package beside it, fill it in, then: patchtide publisher validate {folder}"
    return {"file": str(file), "next": then}


def publisher_app(printer: Printer, ask: Ask) -> App:
    app = App(name="publisher", help=HELP, help_epilogue="", version_flags=[])
    app.command(offline_command(new, printer), name="new", help_epilogue=_example("new"))
    app.command(
        _validate_command(printer),
        name="validate",
        help=_VALIDATE,
        help_epilogue=_example("validate"),
    )
    app.command(
        _test_command(printer, ask), name="test", help=_TEST, help_epilogue=_example("test")
    )
    app.command(
        _publish_command(printer),
        name="publish",
        help=_PUBLISH,
        help_epilogue=_example("publish"),
    )
    app.command(
        offline_command(expire, printer),
        name="expire",
        help=_EXPIRE,
        help_epilogue=_example("expire"),
    )
    return app


def _example(name: str) -> str:
    return f"Example: patchtide publisher {COMMANDS[name]}"


def _validate_command(printer: Printer) -> Callable[..., int]:
    def validate(
        path: _Path,
        /,
        *,
        json: AsJson = False,
    ) -> int:
        return _answered(printer, [path], _defined, as_json=json)

    # As objects: what is annotated within a function cannot be looked up by its name.
    validate.__annotations__ = get_type_hints(validate, include_extras=True)
    return validate


def _test_command(printer: Printer, ask: Ask) -> Callable[..., int]:
    def test(
        path: _Path,
        /,
        *,
        platform: Annotated[
            str, Parameter(help="auto, apt or dnf, each with a :ROOT or without; simulated:FILE.")
        ] = "auto",
        machine: Annotated[
            str | None,
            Parameter(help="A machine of the site by name or id: by what it has told, not here."),
        ] = None,
        json: AsJson = False,
    ) -> int:
        def work(definitions: Sequence[Definition]) -> Document:
            if machine is None:
                return tried(definitions, platform)
            return stood(definitions, machine, ask)

        return _answered(printer, [path], work, as_json=json)

    test.__annotations__ = get_type_hints(test, include_extras=True)
    return test


def _publish_command(printer: Printer) -> Callable[..., int]:
    def publish(
        path: _Path,
        /,
        *paths: _Path,
        sign_with: _SignWith = (),
        trust: _Trust = None,
        root: _Root = None,
        root_sha256: _RootDigest = None,
        json: AsJson = False,
    ) -> int:
        def work(definitions: Sequence[Definition]) -> Document:
            known = Known(file=root, sha256=root_sha256, is_needed=bool(sign_with))
            return _published(sign_with, trust, known, definitions=definitions)

        return _answered(printer, (path, *paths), work, as_json=json)

    publish.__annotations__ = get_type_hints(publish, include_extras=True)
    return publish


def expire(
    update: Annotated[str, Parameter(help="Its id, as its definition has it, or its UUID.")],
    /,
    *updates: Annotated[str, Parameter(help="More of them.")],
    sign_with: _SignWith = (),
    trust: _Trust = None,
    root: _Root = None,
    root_sha256: _RootDigest = None,
) -> Document:
    """Take updates back: they are offered no more, and shown as expired."""
    named = {name: named_update(name) for name in (update, *updates)}
    if strange := [name for name, one in named.items() if one is None]:
        raise InvalidDocument([Problem(name, "is no id of an update") for name in strange])
    expired = tuple(one for one in named.values() if one is not None)
    known = Known(file=root, sha256=root_sha256, is_needed=bool(sign_with))
    try:
        return _published(sign_with, trust, known, expired=expired)
    except InvalidDocument as error:
        typed = {str(one): name for name, one in named.items()}
        told = [Problem(typed.get(one.where, one.where), one.what) for one in error.problems]
        raise InvalidDocument(told) from error


def _published(
    sign_with: Sequence[Path],
    trust: Path | None,
    known: Known,
    *,
    definitions: Sequence[Definition] = (),
    expired: Sequence[UpdateId] = (),
) -> Document:
    asked = Publishing(
        definitions=definitions,
        expired=expired,
        signers=[read_key_file(path) for path in sign_with],
    )
    with ExitStack() as opened:
        # What a server said when nothing was at stake is not remembered as what it is known by.
        folder = trust or _trust_folder()
        if not known.is_needed:
            folder = Path(opened.enter_context(TemporaryDirectory()))
        site = opened.enter_context(open_site(Client.of(os.environ), folder, known))
        return published(site, asked, now=time.time())


def _trust_folder() -> Path:
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "patchtide" / "publisher"


def _answered(
    printer: Printer,
    paths: Sequence[Path],
    work: Callable[[Sequence[Definition]], Document],
    *,
    as_json: bool,
) -> int:
    """Print what the work says of the definitions, or else what is wrong with them."""
    try:
        definitions, wrong = read_definitions(*paths)
        document = _mistakes(wrong) if wrong else work(definitions)
    except OSError as error:
        return _refused(printer, Refused(f"{error.filename}: {error.strerror}"), as_json=as_json)
    except (Misconfigured, NotOneMachine, Unreachable):
        raise
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
