"""A leaf on the wire: what evaluation and installation need, and no texts to read.

A leaf's document is kept as the bytes it came in, so a field that this version does not know
is still there after an upgrade of whoever stored it.

A leaf with an installer has another word for its evaluator: who knows nothing of installers does
not know the word, takes the leaf for one that it cannot judge, says so, and never installs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import Rule, Unsupported
from patchtide.domain.catalog.updates import (
    Evaluator,
    LeafFile,
    Origin,
    PackageFloor,
    Restart,
    Revision,
    UpdateId,
    UpdateNumber,
)
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.wire.installers import read_installer, said_installer
from patchtide.wire.messages import Digest, Text, Uuid, decode, encode
from patchtide.wire.rules import decode_rule, encode_rule

MAX_FILES = 2_000
MAX_SHARED = 1_000
WITH_INSTALLER = "rules-and-installer"
"""For an evaluator: its rules decide, and whoever installs it has to know its installer."""
Number = Annotated[int, Meta(ge=0, lt=2**32)]
Size = Annotated[int, Meta(ge=0, lt=2**53)]


class FileV1(Struct, frozen=True, array_like=True):
    name: Text
    version: Text
    sha256: Digest
    size_bytes: Size


class FloorV1(Struct, frozen=True, array_like=True):
    name: Text
    version: Text


class LeafV1(Struct, kw_only=True, frozen=True, omit_defaults=True):
    update: Uuid
    prerequisite: msgspec.Raw
    """The three rules are structured forms (wire.rules). Most leaves of a shard share this one."""
    applicable: Any
    installed: Any
    origin: Text
    title: Text = ""
    files: Annotated[tuple[FileV1, ...], Meta(max_length=MAX_FILES)] = ()
    floors: Annotated[tuple[FloorV1, ...], Meta(max_length=MAX_FILES)] | None = None
    """None stands for what is nearly always so: each file's package at its version."""
    restart: Text = "never"
    exclusive: bool = False
    evaluator: Text = "rules"
    payload: Annotated[bytes, Meta(max_length=1 << 20)] = b""
    installer: Any = None
    """An InstallerV1 (wire.installers); read apart, so that an unknown one spoils nothing else."""


class LeafEntryV1(Struct, frozen=True, array_like=True):
    """A leaf in a shard: what is compared apart, and its document (a LeafV1) as it came."""

    number: Number
    revision: Number
    document: msgspec.Raw

    @property
    def body(self) -> bytes:
        return bytes(self.document)


def entry(number: int, revision: int, document: bytes) -> LeafEntryV1:
    """Return the entry of a stored document."""
    return LeafEntryV1(number, revision, msgspec.Raw(document))


def encode_leaf(leaf: Leaf) -> LeafEntryV1:
    """Return the leaf's entry.

    Raises:
        InvalidDocument: a reader would refuse it: a rule too large, a text too long.
    """
    made = entry(leaf.number, leaf.revision, leaf_document(leaf))
    decode_leaf(made)
    return made


def leaf_document(leaf: Leaf) -> bytes:
    """Return the document alone, for whoever has it read by another at once, or compares it.

    Equal leaves have equal documents; their numbers and revisions are not in them.

    Raises:
        InvalidDocument: a rule holds what has no form here.
    """
    return encode(
        LeafV1(
            update=leaf.update.bytes,
            prerequisite=msgspec.Raw(msgspec.msgpack.encode(encode_rule(leaf.prerequisite))),
            applicable=encode_rule(leaf.applicable),
            installed=encode_rule(leaf.installed),
            origin=leaf.origin.text,
            title=leaf.title,
            files=tuple(FileV1(f.name, f.version, f.sha256, f.size_bytes) for f in leaf.files),
            floors=_floors_to_say(leaf),
            restart=leaf.restart.value,
            exclusive=leaf.exclusive,
            evaluator=_evaluator_to_say(leaf),
            payload=leaf.payload,
            installer=said_installer(leaf.installer) if leaf.installer else None,
        )
    )


def decode_leaf(said: LeafEntryV1, shared: dict[bytes, Rule] | None = None) -> Leaf:
    """Return the leaf; what is new in it is taken for the most careful thing known here.

    `shared` holds prerequisites by their bytes: of leaves that are read with the same one, those
    that are equal become one object.

    Raises:
        InvalidDocument: with all mistakes of its three rules, or the first one elsewhere.
    """
    document = decode(said.body, LeafV1)
    rules, problems = _read_rules(document, {} if shared is None else shared)
    if problems:
        raise InvalidDocument(problems)
    return _leaf(said, document, rules)


def read_leaves(entries: Iterable[LeafEntryV1]) -> tuple[list[Leaf], list[Problem]]:
    """Return all leaves and what was wrong with some.

    A leaf whose document or rule cannot be read stays in the catalog with a state that is
    unknown: dropped, it would count as not required.
    """
    leaves: list[Leaf] = []
    problems: list[Problem] = []
    shared: dict[bytes, Rule] = {}
    for said in entries:
        try:
            leaves.append(decode_leaf(said, shared))
        except InvalidDocument as error:
            place = f"leaf {said.number}"
            problems += [Problem(f"{place} {p.where}", p.what) for p in error.problems]
            leaves.append(_unreadable(said))
    return leaves, problems


def _read_rules(document: LeafV1, shared: dict[bytes, Rule]) -> tuple[list[Rule], list[Problem]]:
    rules: list[Rule] = []
    problems: list[Problem] = []
    try:
        rules.append(_prerequisite(bytes(document.prerequisite), shared))
    except InvalidDocument as error:
        problems += error.problems
    for name in ("applicable", "installed"):
        try:
            rules.append(decode_rule(getattr(document, name), where=name))
        except InvalidDocument as error:
            problems += error.problems
    return rules, problems


def _prerequisite(form: bytes, shared: dict[bytes, Rule]) -> Rule:
    known = shared.get(form)
    if known is None:
        known = decode_rule(_unpacked(form), where="prerequisite")
        if len(shared) < MAX_SHARED:
            shared[form] = known
    return known


def _unpacked(form: bytes) -> object:
    try:
        return msgspec.msgpack.decode(form)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidDocument([Problem("prerequisite", str(error))]) from error


def _leaf(said: LeafEntryV1, document: LeafV1, rules: list[Rule]) -> Leaf:
    evaluator = _EVALUATORS.get(document.evaluator, Evaluator.UNSUPPORTED)
    names = {file.name for file in document.files}
    installer = read_installer(document.installer, files=names)
    if (installer is not None) is not (document.evaluator == WITH_INSTALLER):
        evaluator, installer = Evaluator.UNSUPPORTED, None
    return Leaf(
        number=UpdateNumber(said.number),
        revision=Revision(said.revision),
        update=UpdateId(UUID(bytes=document.update)),
        title=document.title,
        prerequisite=rules[0],
        applicable=rules[1],
        installed=rules[2],
        files=tuple(
            LeafFile(name=f.name, version=f.version, sha256=f.sha256, size_bytes=f.size_bytes)
            for f in document.files
        ),
        floors=tuple(PackageFloor(f.name, f.version) for f in _said_floors(document)),
        origin=Origin(document.origin),
        restart=_RESTARTS.get(document.restart, Restart.ALWAYS),
        exclusive=document.exclusive,
        evaluator=evaluator,
        payload=document.payload,
        installer=installer,
    )


def _evaluator_to_say(leaf: Leaf) -> str:
    if leaf.installer is None:
        return leaf.evaluator.value
    flaw = leaf.installer.flaw({file.name for file in leaf.files})
    if leaf.evaluator is not Evaluator.RULES or flaw:
        raise InvalidDocument([Problem("installer", flaw or "is for what rules decide")])
    return WITH_INSTALLER


def _floors_to_say(leaf: Leaf) -> tuple[FloorV1, ...] | None:
    if leaf.floors == tuple(PackageFloor(file.name, file.version) for file in leaf.files):
        return None
    return tuple(FloorV1(floor.name, floor.version) for floor in leaf.floors)


def _said_floors(document: LeafV1) -> Iterable[FloorV1 | FileV1]:
    return document.files if document.floors is None else document.floors


def _unreadable(said: LeafEntryV1) -> Leaf:
    nothing = Unsupported("unreadable")
    return Leaf(
        number=UpdateNumber(said.number),
        revision=Revision(said.revision),
        update=UpdateId(UUID(int=0)),
        prerequisite=nothing,
        applicable=nothing,
        installed=nothing,
        origin=Origin(""),
        restart=Restart.ALWAYS,
        evaluator=Evaluator.UNSUPPORTED,
    )


_RESTARTS = {member.value: member for member in Restart}
_EVALUATORS = {
    Evaluator.RULES.value: Evaluator.RULES,
    Evaluator.WINDOWS.value: Evaluator.WINDOWS,
    WITH_INSTALLER: Evaluator.RULES,
}
