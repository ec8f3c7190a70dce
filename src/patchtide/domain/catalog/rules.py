"""Rules as data: what a leaf asks of a machine's facts. Evaluated in `domain.applicability`.

A rule cannot be built deeper than `MAX_DEPTH`, so whoever walks one may recurse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from patchtide.domain.catalog.updates import UpdateNumber

MAX_DEPTH = 32
MAX_NODES = 2_000
"""Of one rule; a large advisory names some hundred packages."""


class PackageFormat(StrEnum):
    """Whose names and whose version order."""

    DEB = "deb"
    RPM = "rpm"


class Comparison(StrEnum):
    """How an installed version must stand to the rule's."""

    LESS = "<"
    AT_MOST = "<="
    EQUAL = "="
    NOT_EQUAL = "!="
    AT_LEAST = ">="
    MORE = ">"


@dataclass(frozen=True, slots=True)
class Always:
    """True everywhere."""

    depth: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Never:
    """True nowhere."""

    depth: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class PackageInstalled:
    """Some installed instance of the package has the version and the architecture asked for.

    Several versions can be installed side by side (kernels, multiarch); one that fits is enough.
    Without `comparison` any version fits; without `architecture` any architecture does, and
    architecture-independent packages fit every one.
    """

    format: PackageFormat
    name: str
    comparison: Comparison | None = None
    version: str = ""
    architecture: str | None = None

    depth: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if (self.comparison is None) != (not self.version):
            raise ValueError("a comparison and a version come together")


@dataclass(frozen=True, slots=True)
class OperatingSystem:
    """The system has this os-release ID and, when any are named, one of these VERSION_IDs."""

    id: str
    versions: tuple[str, ...] = ()

    depth: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Architecture:
    """The machine's own architecture is one of these, as its package tool names it."""

    names: tuple[str, ...]

    depth: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class ModuleStream:
    """The machine follows this stream of a package module: its package tool takes no other."""

    name: str
    stream: str

    depth: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class InstalledLeaf:
    """Another leaf's state on this machine is installed."""

    number: UpdateNumber

    depth: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Unsupported:
    """An operator of a newer version: its verdict is unknown, for nobody may guess it."""

    operator: str

    depth: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class And:
    """True when all members are. There is at least one."""

    members: tuple[Rule, ...]
    depth: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _depth_over(self.members))


@dataclass(frozen=True, slots=True)
class Or:
    """True when some member is. There is at least one."""

    members: tuple[Rule, ...]
    depth: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _depth_over(self.members))


@dataclass(frozen=True, slots=True)
class Not:
    """True when the member is false."""

    member: Rule
    depth: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _depth_over((self.member,)))


Rule = (
    Always
    | Never
    | PackageInstalled
    | OperatingSystem
    | Architecture
    | ModuleStream
    | InstalledLeaf
    | Unsupported
    | And
    | Or
    | Not
)


def _depth_over(members: tuple[Rule, ...]) -> int:
    if not members:
        raise ValueError("a combination has at least one member")
    depth = 1 + max(member.depth for member in members)
    if depth > MAX_DEPTH:
        raise ValueError(f"a rule is at most {MAX_DEPTH} deep")
    return depth


def parts(rule: Rule) -> tuple[Rule, ...]:
    """Return the rules that this one is made of."""
    match rule:
        case And(members=members) | Or(members=members):
            return members
        case Not(member=member):
            return (member,)
        case _:
            return ()


def nodes(rule: Rule) -> Iterator[Rule]:
    """Yield the rule and everything in it."""
    waiting = [rule]
    while waiting:
        node = waiting.pop()
        yield node
        if node.depth > 1:
            waiting.extend(parts(node))


def leaves_named(rule: Rule) -> frozenset[UpdateNumber]:
    """Return the numbers of the other leaves that the rule speaks of."""
    if rule.depth == 1:
        return frozenset((rule.number,)) if isinstance(rule, InstalledLeaf) else frozenset()
    return frozenset(node.number for node in nodes(rule) if isinstance(node, InstalledLeaf))
