"""A custom update's definition in YAML, read into what the domain knows.

Everything that is wrong is told at once, each with line and column. Names and versions cannot
begin with a dash or hold what a tool's command line could take for something else (S05).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from patchtide.adapters.publisher.fields import Fields, TooManyMistakes
from patchtide.adapters.publisher.marked import (
    InvalidDefinition,
    Node,
    Row,
    Unreadable,
    Word,
    read_marked,
)
from patchtide.domain.catalog.custom import (
    ID,
    CustomUpdate,
    named_update,
)
from patchtide.domain.catalog.details import Classification, Severity
from patchtide.domain.catalog.installers import (
    FILE_NAME,
    LONGEST_RUN,
    MAX_CODE,
    Installer,
    InstallerKind,
)
from patchtide.domain.catalog.rules import MAX_DEPTH, Never, Rule
from patchtide.domain.catalog.updates import LeafFile, Restart, UpdateId
from patchtide.domain.errors import PatchtideError

Measure = Callable[[str], tuple[bytes, int]]
"""SHA-256 and size of a file beside the definition, by its relative path."""

MAX_SIZE = (1 << 53) - 1

_NEEDED = (
    "id",
    "title",
    "vendor",
    "classification",
    "products",
    "rules",
    "installer",
    "files",
)
_KNOWN = (
    *_NEEDED,
    "description",
    "severity",
    "languages",
    "architectures",
    "restart",
    "maximum_run_time",
    "licence",
    "supersedes",
    "cves",
)
_RULES = ("prerequisite", "applicable", "installed")
_OF_PROGRAMS = ("program", "arguments", "success_codes", "restart_codes")
_OF_FILES = ("path", "name", "package", "version", "sha256", "size")
_LINE = re.compile(r".+")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", re.ASCII)
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,127}", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.:~^_-]{0,127}", re.ASCII)
_FILE = FILE_NAME
_PATH = re.compile(rf"({_FILE.pattern}/){{0,8}}{_FILE.pattern}", re.ASCII)
_ID = "write small letters, digits and . _ + / -, at most 127"
_FILE_HINT = "write letters, digits and . _ + ~ ^ -; it has no folder and begins with no dot"
_PATH_HINT = "write it from the definition's folder on, with slashes and without `..`"
_NOWHERE: Rule = Never()
_NO_TIME = timedelta(0)
_WELL, _NO_CODES = frozenset((0,)), frozenset[int]()
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}", re.ASCII)


Value = TypeVar("Value")


def read_definition(text: str, *, file: str, measure: Measure) -> CustomUpdate:
    """Return the update that a definition describes; `file` is its name, to be told.

    Raises:
        InvalidDefinition: with every mistake up to the fiftieth, in the order of their places.
    """
    try:
        node = read_marked(text)
    except Unreadable as error:
        raise InvalidDefinition(file, text, [error.mistake]) from error
    fields = Fields(text)
    try:
        update = _update(_Part(fields, node, _KNOWN, _NEEDED), measure)
    except TooManyMistakes as error:
        raise InvalidDefinition(file, text, fields.mistakes) from error
    if fields.mistakes:
        raise InvalidDefinition(file, text, fields.mistakes)
    return update


class _Part:
    """A table of the definition. What is missing or wrong is read as a stand-in, and noted."""

    def __init__(
        self, fields: Fields, node: Node, known: Sequence[str], needed: Sequence[str] = ()
    ) -> None:
        self.fields = fields
        self.node = node
        self.said = fields.table(node, known, needed)

    def read(self, key: str, how: Callable[[Node], Value | None], otherwise: Value) -> Value:
        node = self.said.get(key)
        value = None if node is None else how(node)
        return otherwise if value is None else value

    def word(self, key: str, form: re.Pattern[str], what: str, hint: str = "") -> str:
        return self.read(key, lambda node: self.fields.fitting(node, form, what, hint), "")

    def words(self, key: str, form: re.Pattern[str], what: str, hint: str = "") -> tuple[str, ...]:
        none: list[str] = []
        found = self.read(key, lambda node: self.fields.words(node, form, what, hint), none)
        return tuple(dict.fromkeys(found))


def _update(part: _Part, measure: Measure) -> CustomUpdate:
    fields = part.fields
    prerequisite, applicable, installed = _rules(part)
    installer = _installer(part)
    name = part.word("id", ID, "id of an update", _ID)
    return CustomUpdate(
        id=name,
        title=part.read("title", fields.word, ""),
        description=part.read("description", fields.text, "").strip(),
        vendor=part.read("vendor", fields.word, ""),
        classification=part.read(
            "classification", lambda n: fields.choice(n, Classification), Classification.GENERAL
        ),
        severity=part.read("severity", lambda n: fields.choice(n, Severity), Severity.NONE),
        products=_products(part),
        languages=part.words("languages", _LANGUAGE, "language", "write de or pt-BR"),
        architectures=part.words("architectures", _ARCHITECTURE, "architecture", "write amd64"),
        prerequisite=prerequisite,
        applicable=applicable,
        installed=installed,
        installer=installer or Installer(kind=InstallerKind.DEB),
        restart=_restart(part, installer),
        max_run_time=part.read(
            "maximum_run_time", lambda n: fields.duration(n, LONGEST_RUN), _NO_TIME
        )
        or None,
        files=_files(part, installer, measure),
        licence=part.read("licence", fields.text, "").strip(),
        supersedes=_superseded(part, name),
        cves=part.words("cves", _CVE, "CVE", "write CVE-2026-12345"),
    )


def _products(part: _Part) -> tuple[str, ...]:
    node = part.said.get("products")
    products = part.words("products", _LINE, "product")
    if isinstance(node, Row) and not node.members:
        part.fields.refuse(node, "an update is for a product", "write at least one")
    return products or ("",)


def _rules(part: _Part) -> tuple[Rule, Rule, Rule]:
    fields, node = part.fields, part.said.get("rules")
    if node is None:
        return _NOWHERE, _NOWHERE, _NOWHERE
    rules = _Part(fields, node, _RULES, _RULES)
    one, two, three = (rules.read(name, fields.rule, _NOWHERE) for name in _RULES)
    if one.depth >= MAX_DEPTH:  # the architectures are put beside it
        fields.refuse(rules.said["prerequisite"], "this rule lies too deep", "take a level out")
    return one, two, three


def _installer(part: _Part) -> Installer | None:
    fields, node = part.fields, part.said.get("installer")
    if node is None:
        return None
    said = _Part(fields, node, ("kind", *_OF_PROGRAMS), ("kind",))
    kind = said.read("kind", lambda n: fields.choice(n, InstallerKind), None)
    if kind is None:
        return None
    if kind is not InstallerKind.PROGRAM:
        _refuse(said, _OF_PROGRAMS, "is for programs; packages are installed by their own tool")
        return Installer(kind=kind)
    if "program" not in said.said:
        fields.refuse(node, "`program` is missing", "name the file that is run")
    return _program(said)


def _program(said: _Part) -> Installer:
    fields = said.fields
    success = said.read("success_codes", _codes(fields), _WELL)
    restart = said.read("restart_codes", _codes(fields), _NO_CODES)
    if both := sorted(success & restart):
        hint = "leave it out of success_codes"
        fields.refuse(said.said["restart_codes"], f"{both[0]} is a success code too", hint)
    return Installer(
        kind=InstallerKind.PROGRAM,
        program=said.word("program", _FILE, "name of a file", _FILE_HINT),
        arguments=tuple(said.read("arguments", lambda n: _arguments(fields, n), [])),
        success_codes=success,
        restart_codes=restart,
    )


def _codes(fields: Fields) -> Callable[[Node], frozenset[int]]:
    return lambda node: fields.numbers(node, MAX_CODE)


def _arguments(fields: Fields, node: Node) -> list[str]:
    """Return what the program is given, each as it is: no shell splits or expands it."""
    if isinstance(node, Word):
        fields.refuse(node, "arguments are a list", "no shell splits them: write [one, another]")
        return []
    return fields.words(node, _LINE, "argument")


def _restart(part: _Part, installer: Installer | None) -> Restart:
    unsaid = Restart.MAY if installer and installer.restart_codes else Restart.NEVER
    return part.read("restart", lambda node: part.fields.choice(node, Restart), unsaid)


def _superseded(part: _Part, own: str) -> tuple[UpdateId, ...]:
    fields, node = part.fields, part.said.get("supersedes")
    if node is None:
        return ()
    found: dict[UpdateId, None] = {}
    for member in fields.items(node):
        said = fields.word(member)
        update = named_update(said) if said else None
        if said and (update is None or said == own):
            what = "an update does not supersede itself" if update else f"{said[:40]} is no id"
            fields.refuse(member, what, _ID if update is None else "name the older one")
        elif update is not None:
            found[update] = None
    return tuple(found)


def _files(part: _Part, installer: Installer | None, measure: Measure) -> tuple[LeafFile, ...]:
    fields, node = part.fields, part.said.get("files")
    if node is None:
        return ()
    found: dict[str, LeafFile] = {}
    names: set[str] = set()
    for member in fields.items(node):
        file, name = _file(_Part(fields, member, _OF_FILES), installer, measure)
        if file.name and file.name in found:
            fields.refuse(member, f"`{file.name}` is here twice", "leave one of them out")
        found[file.name] = file
        names.add(name)
    if isinstance(node, Row) and not node.members:
        fields.refuse(node, "an update has at least one file", "name it by its path")
    if installer and installer.program and installer.program not in names:
        what = f"no file is named {installer.program}, which is to be run"
        fields.refuse(node, what, "name it among the files")
    return tuple(found.values())


def _file(said: _Part, installer: Installer | None, measure: Measure) -> tuple[LeafFile, str]:
    path = said.word("path", _PATH, "path within this folder", _PATH_HINT)
    name = said.word("name", _FILE, "name of a file", _FILE_HINT) or path.rpartition("/")[2]
    is_package = installer is not None and installer.kind is not InstallerKind.PROGRAM
    if is_package:
        _require(said, ("package", "version"))
    elif installer:
        _refuse(said, ("package", "version"), "is for packages")
    package = said.word("package", _PACKAGE, "name of a package", "write it as its tool does")
    version = said.word("version", _VERSION, "version", "write it as the package's tool does")
    digest, size = _content(said, path, measure)
    known = LeafFile(
        name=package if is_package else name, version=version, sha256=digest, size_bytes=size
    )
    return known, name


def _require(said: _Part, keys: Sequence[str]) -> None:
    for key in keys:
        if key not in said.said:
            said.fields.refuse(said.node, f"`{key}` is missing", f"add `{key}:` to this file")


def _refuse(said: _Part, keys: Sequence[str], why: str) -> None:
    for key in keys:
        if key in said.said:
            said.fields.refuse(said.said[key], f"`{key}` {why}", "leave it out")


def _content(said: _Part, path: str, measure: Measure) -> tuple[bytes, int]:
    """Return digest and size: measured where the file lies here, and else as they are said."""
    fields = said.fields
    digest = bytes.fromhex(said.word("sha256", _SHA256, "SHA-256", "write 64 hex digits") or "")
    size = said.read("size", lambda node: fields.number(node, MAX_SIZE), None)
    if "path" not in said.said:
        _require(said, ("name", "sha256", "size"))
        return digest, size or 0
    if not path:
        return digest, 0
    try:
        measured = measure(path)
    except PatchtideError as error:
        fields.refuse(said.said["path"], str(error), "put the file there, or mend the path")
        return digest, 0
    for key, value, found in (("sha256", digest, measured[0]), ("size", size, measured[1])):
        if value and value != found:
            shown = found.hex() if isinstance(found, bytes) else found
            fields.refuse(said.said[key], f"the file's {key} is {shown}", "take the right file")
    return measured
