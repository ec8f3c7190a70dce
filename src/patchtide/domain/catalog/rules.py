"""Rules as data: what a leaf asks of a machine's facts. Evaluated in `domain.applicability`.

A rule cannot be built deeper than `MAX_DEPTH`, so whoever walks one may recurse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, assert_never

from patchtide.domain.catalog.rule_facts import FACTS
from patchtide.domain.catalog.rule_values import BETWEEN, KINDS, MATCHES
from patchtide.domain.catalog.updates import UpdateNumber

MAX_DEPTH = 32
MAX_NODES = 2_000
"""Of one rule; a large advisory names some hundred packages."""
MAX_TEXT = 256
"""Of a name, a version or any other word in a rule."""
MAX_NAMES = 64
"""Of one list, as in `arch in (...)`."""

NAMES_LEAVES, ASKS_FACTS, HAS_UNSUPPORTED = 1, 2, 4
"""Traits: what is anywhere in a rule, so that a scan need not walk through those without it."""


class PackageFormat(StrEnum):
    """Whose names and whose version order."""

    DEB = "deb"
    RPM = "rpm"
    MSI = "msi"
    """Products of Windows Installer, by their code or the name that they show."""


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
    traits: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class Never:
    """True nowhere."""

    depth: ClassVar[int] = 1
    traits: ClassVar[int] = 0


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
    traits: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if (self.comparison is None) != (not self.version):
            raise ValueError("a comparison and a version come together")


@dataclass(frozen=True, slots=True)
class OperatingSystem:
    """The system has this os-release ID and, when any are named, one of these VERSION_IDs."""

    id: str
    versions: tuple[str, ...] = ()

    depth: ClassVar[int] = 1
    traits: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class Architecture:
    """The machine's own architecture is one of these, as its package tool names it."""

    names: tuple[str, ...]

    depth: ClassVar[int] = 1
    traits: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class ModuleStream:
    """The machine follows this stream of a package module: its package tool takes no other."""

    name: str
    stream: str

    depth: ClassVar[int] = 1
    traits: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class InstalledLeaf:
    """Another leaf's state on this machine is installed."""

    number: UpdateNumber

    depth: ClassVar[int] = 1
    traits: ClassVar[int] = NAMES_LEAVES


@dataclass(frozen=True, slots=True)
class Compared:
    """The fact's value stands so to this one, in the order of the fact's kind."""

    comparison: Comparison
    value: str


@dataclass(frozen=True, slots=True)
class Between:
    """The fact's value is neither below the one nor above the other."""

    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Matches:
    """The whole of the fact's value fits the pattern, in which `*` stands for anything."""

    pattern: str


Test = Compared | Between | Matches


@dataclass(frozen=True, slots=True)
class FactIs:
    """A fact passes a test; one that is yes or no has none, and is to be yes.

    `fact` is a name of the table of facts and `keys` what it is asked for by. What is written in
    the test is spelled as its kind has it.
    """

    fact: str
    keys: tuple[str, ...] = ()
    test: Test | None = None

    depth: ClassVar[int] = 1
    traits: ClassVar[int] = ASKS_FACTS

    def __post_init__(self) -> None:
        declared = FACTS.get(self.fact)
        if declared is None:
            raise ValueError(f"there is no fact {self.fact}")
        least = len(declared.keys)
        if not least <= len(self.keys) <= least + len(declared.may_follow):
            raise ValueError(f"{self.fact} is asked for by {least} words, not {len(self.keys)}")
        if (self.test is None) != declared.is_flag:
            raise ValueError(f"{self.fact} is {'' if declared.is_flag else 'not '}yes or no")
        if self.test is not None:
            _check_test(self.fact, self.test)


def word_of(test: Test) -> str:
    """Return the operator's word."""
    match test:
        case Compared(comparison):
            return comparison.value
        case Between():
            return BETWEEN
        case Matches():
            return MATCHES
        case _:
            assert_never(test)


def _check_test(fact: str, test: Test) -> None:
    declared = FACTS[fact]
    if word_of(test) not in declared.tests:
        raise ValueError(f"{fact} has no {word_of(test)}")
    kind = KINDS[declared.kind]
    match test:
        case Compared(value=value):
            said: tuple[str, ...] = (value,)
        case Between(low, high):
            said = (low, high)
        case Matches():
            return
    if any(kind.spelled(value) != value for value in said):
        raise ValueError(f"{' '.join(said)} is spelled otherwise")
    if len(said) > 1 and kind.key(said[0]) > kind.key(said[1]):
        raise ValueError(f"nothing is between {said[0]} and {said[1]}: the lower one goes first")


@dataclass(frozen=True, slots=True)
class Unsupported:
    """An operator of a newer version: its verdict is unknown, for nobody may guess it."""

    operator: str

    depth: ClassVar[int] = 1
    traits: ClassVar[int] = HAS_UNSUPPORTED


@dataclass(frozen=True, slots=True)
class And:
    """True when all members are. There is at least one."""

    members: tuple[Rule, ...]
    depth: int = field(init=False, repr=False, compare=False)
    traits: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _settle(self, self.members)


@dataclass(frozen=True, slots=True)
class Or:
    """True when some member is. There is at least one."""

    members: tuple[Rule, ...]
    depth: int = field(init=False, repr=False, compare=False)
    traits: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _settle(self, self.members)


@dataclass(frozen=True, slots=True)
class Not:
    """True when the member is false."""

    member: Rule
    depth: int = field(init=False, repr=False, compare=False)
    traits: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _settle(self, (self.member,))


Rule = (
    Always
    | Never
    | PackageInstalled
    | OperatingSystem
    | Architecture
    | ModuleStream
    | InstalledLeaf
    | FactIs
    | Unsupported
    | And
    | Or
    | Not
)


def _settle(combination: And | Or | Not, members: tuple[Rule, ...]) -> None:
    """Work out what holds of the whole, once and for all.

    Raises:
        ValueError: there are no members, or they lie too deep.
    """
    if not members:
        raise ValueError("a combination has at least one member")
    depth = traits = 0
    for member in members:
        depth = max(depth, member.depth)
        traits |= member.traits
    if depth >= MAX_DEPTH:
        raise ValueError(f"a rule is at most {MAX_DEPTH} deep")
    object.__setattr__(combination, "depth", depth + 1)
    object.__setattr__(combination, "traits", traits)


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
    if not rule.traits & NAMES_LEAVES:
        return frozenset()
    return frozenset(node.number for node in nodes(rule) if isinstance(node, InstalledLeaf))
