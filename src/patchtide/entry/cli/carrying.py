"""`patchtide catalog export` and `import`: a whole catalog, carried in a file.

Both are made of operations that anybody may ask for: pieces go over the line one by one, so what
was cut off goes on where it was, and nothing of a file is ever held in memory but one piece.
"""

from __future__ import annotations

import inspect
import os
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.text import Text

from patchtide.domain.errors import PatchtideError, Refused
from patchtide.entry.cli.client import Answer, Misconfigured, Unreachable
from patchtide.entry.cli.following import followed, telling
from patchtide.entry.cli.names import Ask
from patchtide.entry.cli.options import Raw, option
from patchtide.entry.cli.printing import Printer
from patchtide.server.catalog_exchange import PIECE_BYTES
from patchtide.server.operations import OPERATIONS
from patchtide.wire.catalog_file import (
    CatalogFileDamaged,
    check_parts,
    name_of,
    read_head,
    read_manifest,
)

TOO_OFTEN, REFUSED_STATUS = 429, 409
WAITS = 60
"""How often in a row a server may say that it is asked too often."""
EXPORT = "Export the whole catalog and its packages to a signed file; goes on where it was cut off."
IMPORT = "Take in a catalog that another site exported; goes on where it was cut off."
EXPORT_EXAMPLE = "catalog export catalog.ptc"
IMPORT_EXAMPLE = "catalog import catalog.ptc --json"


class _Answered(Exception):
    """The server said something else than what was asked for: that is what is printed."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class Carrier:
    """One of the two commands at work."""

    def __init__(self, ask: Ask, printer: Printer, sleep: Callable[[float], None]) -> None:
        self._ask = ask
        self._printer = printer
        self._sleep = sleep

    def exported(self, file: Path, *, without_content: bool) -> Answer:
        """Raises Refused: what came is not what the server said it has made."""
        made = self._asked("catalog.make-export", without_content=without_content)
        export, size = str(made["export"]), int(made["size_bytes"])
        part = file.with_name(f"{file.name}.{export[:16]}.part")
        with part.open("ab") as out, self._printer.err.status(Text("fetching")) as line:
            while out.tell() < size:
                piece = self._asked("catalog.export-piece", export=export, offset=out.tell())
                data = msgspec.convert(piece["data"], bytes)
                if not data:
                    raise Refused("the server has less of it than it said")
                out.write(data)
                line.update(Text(_progress("fetching", out.tell(), size)))
            out.flush()
            os.fsync(out.fileno())
        try:
            is_right = checked(part) == export
        except CatalogFileDamaged:
            is_right = False
        if not is_right:
            part.unlink()
            raise Refused("what came is not what the server has made; export again")
        part.replace(file)
        return _answer({**made, "file": str(file)})

    def imported(self, file: Path) -> Answer:
        name = checked(file)
        size = file.stat().st_size
        with file.open("rb") as source, self._printer.err.status(Text("sending")) as line:
            at = self._sent(name, 0, b"")
            while at < size:
                source.seek(at)
                at = self._sent(name, at, source.read(PIECE_BYTES))
                line.update(Text(_progress("sending", at, size)))
        begun = self._ask(OPERATIONS["catalog.take-in"], {"export": name})
        if not begun.is_done:
            return begun
        look = OPERATIONS["catalog.synchronisations"]
        return followed(begun, lambda: self._ask(look, {}), self._printer, self._sleep)

    def _sent(self, name: str, at: int, data: bytes) -> int:
        said = {"data": b64encode(data).decode()} if data else {}
        answer = self._asked("catalog.import-piece", export=name, offset=at, **said)
        return int(answer["received"])

    def _asked(self, operation: str, **values: object) -> dict[str, Any]:
        given = {name: value for name, value in values.items() if value is not False}
        for _ in range(WAITS):
            answer = self._ask(OPERATIONS[operation], given)
            if answer.status != TOO_OFTEN:
                break
            self._sleep(1.0)
        if not answer.is_done:
            raise _Answered(answer)
        return msgspec.json.decode(answer.body, type=dict[str, Any])


def checked(file: Path) -> str:
    """Return what a file is called, if it is whole; who signed it, the server looks at.

    Raises:
        CatalogFileDamaged: it is not.
    """
    with file.open("rb") as source:
        _, told = read_head(source.read)
        check_parts(source.read, read_manifest(told).parts)
    return name_of(told)


def carrying_commands(
    ask: Ask, printer: Printer, exit_code: Callable[[Answer], int]
) -> Mapping[str, tuple[Callable[..., int], str, str]]:
    """Return name -> the command, its help, its example."""

    def said(work: Callable[[Carrier], Answer], *, as_json: bool) -> int:
        try:
            answer = work(Carrier(ask, printer, time.sleep))
        except _Answered as stopped:
            answer = stopped.answer
        except (Misconfigured, Unreachable):
            raise  # as of every other command
        except PatchtideError as error:
            answer = _refusal(error.code, str(error))
        except OSError as error:
            answer = _refusal("refused", f"{error.filename}: {error.strerror}")
        if answer.is_done and not as_json:
            answer = telling(answer)
        printer.show(answer.body, is_done=answer.is_done, as_json=as_json)
        return exit_code(answer)

    def export(file: _File, *, without_content: _WithoutContent = False, json: Raw = False) -> int:
        return said(lambda c: c.exported(file, without_content=without_content), as_json=json)

    def import_(file: _File, *, json: Raw = False) -> int:
        return said(lambda c: c.imported(file), as_json=json)

    return {
        "export": (_told(export), EXPORT, EXPORT_EXAMPLE),
        "import": (_told(import_), IMPORT, IMPORT_EXAMPLE),
    }


def _told(command: Callable[..., int]) -> Callable[..., int]:
    """Have its annotations be types, not their names, which nobody finds from elsewhere."""
    signature = inspect.signature(command, eval_str=True)
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return command


def _progress(what: str, done: int, of: int) -> str:
    return f"{what}, {done >> 20} of {of >> 20} MiB"


def _answer(document: Mapping[str, Any], status: int = 200) -> Answer:
    return Answer(status=status, body=msgspec.json.encode(document))


def _refusal(code: str, detail: str) -> Answer:
    return _answer({"code": code, "detail": detail}, REFUSED_STATUS)


_File = Annotated[Path, Parameter(help="The file.")]
_WithoutContent = Annotated[
    bool,
    option("Only what is told of updates, not the packages that lie at the server."),
]
