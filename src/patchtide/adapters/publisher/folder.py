"""Definitions on this machine's disk: a file, or a folder of them with the files they name."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from patchtide.adapters.publisher.definition import read_definition
from patchtide.adapters.publisher.files import Measure
from patchtide.adapters.publisher.marked import MAX_LENGTH, InvalidDefinition
from patchtide.adapters.publisher.packages import identity_of
from patchtide.adapters.publisher.template import TEMPLATE
from patchtide.domain.catalog.custom import CustomUpdate, feed_update
from patchtide.domain.catalog.rule_mistakes import Mistake
from patchtide.domain.errors import InvalidDocument, Refused
from patchtide.wire.leaves import encode_leaf

NAME = "update.yaml"
"""Of a definition in a folder; `<anything>.update.yaml` is one too."""
MAX_DEFINITIONS = 10_000
_BYTES = 4 * MAX_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """An update, and the file that defines it."""

    path: Path
    update: CustomUpdate
    files: Mapping[bytes, Path] = field(default_factory=dict)
    """Where those of its files lie that are on this machine, by SHA-256."""


def make_definition(folder: Path) -> Path:
    """Write a definition to start from, and return its path.

    Raises:
        Refused: there is one already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    try:
        with path.open("x", encoding="utf-8") as opened:
            opened.write(TEMPLATE)
    except FileExistsError as error:
        raise Refused(f"{path} is there already; choose another folder") from error
    return path


def read_definitions(*paths: Path) -> tuple[list[Definition], list[InvalidDefinition]]:
    """Return the updates of files and folders, and what is wrong with the others.

    Raises:
        Refused: there are none, or too many.
        OSError
    """
    found: dict[str, Definition] = {}
    wrong: list[InvalidDefinition] = []
    for file in dict.fromkeys(chain.from_iterable(map(_definitions, paths))):
        try:
            text = _text(file)
            measured: dict[bytes, Path] = {}
            update = _checked(file, text, measured)
            if update.id in found:
                what = f"{found[update.id].path} has the same id, {update.id}"
                raise _wrong(file, text, what, "give each update an id of its own")
            found[update.id] = Definition(path=file, update=update, files=measured)
        except InvalidDefinition as error:
            wrong.append(error)
    return list(found.values()), wrong


def _definitions(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in _walked(path) if f".{file.name}".endswith(f".{NAME}"))
    if not found:
        raise Refused(f"{path} holds no {NAME} and no *.{NAME}; make one: patchtide publisher new")
    if len(found) > MAX_DEFINITIONS:
        raise Refused(f"{path} holds more than {MAX_DEFINITIONS} definitions")
    return found


def _walked(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        yield from (Path(where, name) for name in names)


def _checked(file: Path, text: str, measured: dict[bytes, Path]) -> CustomUpdate:
    update = read_definition(
        text,
        file=str(file),
        measure=_measure(file.parent, measured),
        identify=lambda name, kind: identity_of(file.parent / name, kind),
    )
    try:
        for leaf in feed_update(update).leaves:
            encode_leaf(leaf)
    except InvalidDocument as error:
        raise _wrong(file, text, str(error), "make it smaller") from error
    return update


def _wrong(file: Path, text: str, what: str, hint: str) -> InvalidDefinition:
    mistake = Mistake(line=1, column=1, length=1, what=what, hint=hint)
    return InvalidDefinition(str(file), text, [mistake])


def _text(file: Path) -> str:
    with file.open("rb") as opened:
        said = opened.read(_BYTES + 1)
    try:
        return said.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"this is no text in UTF-8: byte {error.start} is not"
        raise _wrong(file, "", what, "save it as UTF-8") from error


def _measure(folder: Path, measured: dict[bytes, Path]) -> Measure:
    """Return what measures files within the folder, and no other one (no link leads out)."""

    def measure(name: str) -> tuple[bytes, int]:
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise Refused(f"{name} leads out of the definition's folder")
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise Refused(f"{name} is no file")
            with path.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").digest()
                measured[digest] = path
                return digest, opened.tell()
        except OSError as error:
            raise Refused(f"{name} cannot be read: {error.strerror}") from error

    return measure
