"""A custom update's definition in YAML, read into what the domain knows.

Everything that is wrong is told at once, each with line and column. Names and versions cannot
begin with a dash or hold what a tool's command line could take for something else (S05).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import StrEnum

from patchtide.adapters.publisher.fields import Fields, Part, TooManyMistakes
from patchtide.adapters.publisher.files import (
    ARCHITECTURE,
    FILE_HINT,
    DefinedFile,
    Identify,
    Measure,
    nobody_knows,
    read_files,
)
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
from patchtide.domain.catalog.updates import Restart, UpdateId

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
    "advisories",
    "exclusive",
    "can_uninstall",
)
_RULES = ("prerequisite", "applicable", "installed")
_OF_PROGRAMS = ("program", "arguments", "success_codes", "restart_codes")
_LINE = re.compile(r".+")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", re.ASCII)
_ID = "write small letters, digits and . _ + / -, at most 127"
_NOWHERE: Rule = Never()
_NO_TIME = timedelta(0)
_WELL, _NO_CODES = frozenset((0,)), frozenset[int]()
_ADVISORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,63}", re.ASCII)
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}", re.ASCII)


class _Answer(StrEnum):
    YES = "yes"
    NO = "no"


def read_definition(
    text: str, *, file: str, measure: Measure, identify: Identify = nobody_knows
) -> CustomUpdate:
    """Return the update that a definition describes; `file` is its name, to be told.

    What packages say of themselves is filled in where it is not said, and else compared.

    Raises:
        InvalidDefinition: with every mistake up to the fiftieth, in the order of their places.
    """
    try:
        node = read_marked(text)
    except Unreadable as error:
        raise InvalidDefinition(file, text, [error.mistake]) from error
    fields = Fields(text)
    try:
        update = _update(Part(fields, node, _KNOWN, _NEEDED), measure, identify)
    except TooManyMistakes as error:
        raise InvalidDefinition(file, text, fields.mistakes) from error
    if fields.mistakes:
        raise InvalidDefinition(file, text, fields.mistakes)
    return update


def _update(part: Part, measure: Measure, identify: Identify) -> CustomUpdate:
    fields = part.fields
    prerequisite, applicable, installed = _rules(part)
    installer = _installer(part)
    files = read_files(part, installer, measure, identify)
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
        architectures=_architectures(part, files),
        prerequisite=prerequisite,
        applicable=applicable,
        installed=installed,
        installer=installer or Installer(kind=InstallerKind.DEB),
        restart=_restart(part, installer),
        max_run_time=part.read(
            "maximum_run_time", lambda n: fields.duration(n, LONGEST_RUN), _NO_TIME
        )
        or None,
        files=tuple(one.file for one in files),
        only_for=tuple(one.architecture for one in files),
        licence=part.read("licence", fields.text, "").strip(),
        supersedes=_superseded(part, name),
        cves=part.words("cves", _CVE, "CVE", "write CVE-2026-12345"),
        advisories=part.words("advisories", _ADVISORY, "id of an advisory", "write ACME-2026-7"),
        exclusive=_says_yes(part, "exclusive"),
        can_uninstall=_can_uninstall(part, installer),
    )


def _says_yes(part: Part, name: str) -> bool:
    said = part.read(name, lambda node: part.fields.choice(node, _Answer), _Answer.NO)
    return said is _Answer.YES


def _can_uninstall(part: Part, installer: Installer | None) -> bool:
    is_said = _says_yes(part, "can_uninstall")
    if is_said and installer and installer.kind is InstallerKind.PROGRAM:
        what = "nobody knows how a program is removed"
        part.fields.refuse(part.said["can_uninstall"], what, "leave it out; packages can be")
    return is_said


def _architectures(part: Part, files: Sequence[DefinedFile]) -> tuple[str, ...]:
    """Return those that are said: each has its file, and no file is for another one."""
    said = part.words("architectures", ARCHITECTURE, "architecture", "write amd64")
    node, own = part.said.get("architectures"), {x.architecture for x in files if x.architecture}
    if node is None or not said or not own:
        return said
    for name in sorted(own.difference(said)):
        part.fields.refuse(node, f"a file is for {name}", f"add {name}, or leave the file out")
    for name in sorted(set(said) - own):
        part.fields.refuse(node, f"no file is for {name}", "leave it out, or add its file")
    return said


def _products(part: Part) -> tuple[str, ...]:
    node = part.said.get("products")
    products = part.words("products", _LINE, "product")
    if isinstance(node, Row) and not node.members:
        part.fields.refuse(node, "an update is for a product", "write at least one")
    return products or ("",)


def _rules(part: Part) -> tuple[Rule, Rule, Rule]:
    fields, node = part.fields, part.said.get("rules")
    if node is None:
        return _NOWHERE, _NOWHERE, _NOWHERE
    rules = Part(fields, node, _RULES, _RULES)
    one, two, three = (rules.read(name, fields.rule, _NOWHERE) for name in _RULES)
    if one.depth >= MAX_DEPTH:  # the architectures are put beside it
        fields.refuse(rules.said["prerequisite"], "this rule lies too deep", "take a level out")
    return one, two, three


def _installer(part: Part) -> Installer | None:
    fields, node = part.fields, part.said.get("installer")
    if node is None:
        return None
    said = Part(fields, node, ("kind", *_OF_PROGRAMS), ("kind",))
    kind = said.read("kind", lambda n: fields.choice(n, InstallerKind), None)
    if kind is None:
        return None
    if kind is not InstallerKind.PROGRAM:
        said.refuse(_OF_PROGRAMS, "is for programs; packages are installed by their own tool")
        return Installer(kind=kind)
    if "program" not in said.said:
        fields.refuse(node, "`program` is missing", "name the file that is run")
    return _program(said)


def _program(said: Part) -> Installer:
    fields = said.fields
    success = said.read("success_codes", _codes(fields), _WELL)
    restart = said.read("restart_codes", _codes(fields), _NO_CODES)
    if both := sorted(success & restart):
        hint = "leave it out of success_codes"
        fields.refuse(said.said["restart_codes"], f"{both[0]} is a success code too", hint)
    return Installer(
        kind=InstallerKind.PROGRAM,
        program=said.word("program", FILE_NAME, "name of a file", FILE_HINT),
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


def _restart(part: Part, installer: Installer | None) -> Restart:
    unsaid = Restart.MAY if installer and installer.restart_codes else Restart.NEVER
    return part.read("restart", lambda node: part.fields.choice(node, Restart), unsaid)


def _superseded(part: Part, own: str) -> tuple[UpdateId, ...]:
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
