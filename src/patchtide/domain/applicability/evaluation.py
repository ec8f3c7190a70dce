"""A rule's verdict on a machine's facts: true, false or unknown (None), in Kleene's logic.

| and | T | F | ? |    | or | T | F | ? |    | not |   |
| --- | - | - | - |    | -- | - | - | - |    | --- | - |
| T   | T | F | ? |    | T  | T | T | T |    | T   | F |
| F   | F | F | F |    | F  | T | F | ? |    | F   | T |
| ?   | ? | F | ? |    | ?  | T | ? | ? |    | ?   | ? |

So an unknown part makes the whole unknown only where it could change the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import eq, ge, gt, le, lt, ne
from typing import Any, assert_never

from patchtide.domain.applicability.facts import Answer, Asked, Facts, InstalledPackage
from patchtide.domain.catalog.rule_facts import FACTS
from patchtide.domain.catalog.rule_values import KINDS, fits_pattern
from patchtide.domain.catalog.rules import (
    Always,
    And,
    Architecture,
    Between,
    Compared,
    Comparison,
    FactIs,
    InstalledLeaf,
    Matches,
    ModuleStream,
    Never,
    Not,
    OperatingSystem,
    Or,
    PackageFormat,
    PackageInstalled,
    Rule,
    Test,
    Unsupported,
)
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.catalog.versions_deb import deb_key
from patchtide.domain.catalog.versions_rpm import rpm_key
from patchtide.domain.catalog.versions_windows import product_key

Verdict = bool | None
"""None is unknown."""


class LeafState(StrEnum):
    """How a leaf stands on a machine."""

    INSTALLED = "installed"
    REQUIRED = "required"
    NOT_REQUIRED = "not-required"
    UNKNOWN = "unknown"


States = Mapping[UpdateNumber, LeafState]

_ANY_ARCHITECTURE = frozenset({"all", "noarch"})
PACKAGE_ORDER: Mapping[PackageFormat, Callable[[str], bytes]] = {
    PackageFormat.DEB: deb_key,
    PackageFormat.RPM: rpm_key,
    PackageFormat.MSI: product_key,
}
_COMPARE: Mapping[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.LESS: lt,
    Comparison.AT_MOST: le,
    Comparison.EQUAL: eq,
    Comparison.NOT_EQUAL: ne,
    Comparison.AT_LEAST: ge,
    Comparison.MORE: gt,
}
_REFLEXIVE = frozenset((Comparison.AT_MOST, Comparison.EQUAL, Comparison.AT_LEAST))


@dataclass(frozen=True, slots=True)
class Ground:
    """What a verdict stands on: the machine's facts, and other leaves' states.

    `known` holds verdicts found already, by the rule's identity; only of rules that stay alive.
    """

    facts: Facts
    states: States
    known: dict[int, tuple[Verdict]] = field(default_factory=dict)


def evaluate(rule: Rule, facts: Facts, *, states: States | None = None) -> Verdict:
    """Return the verdict. `states` answers for other leaves; one that is not in it is unknown."""
    return verdict_on(rule, Ground(facts, states or {}))


def verdict_on(rule: Rule, ground: Ground) -> Verdict:
    return _VERDICTS[type(rule)](rule, ground)


def fits(rule: PackageInstalled, instance: InstalledPackage) -> bool:
    """Say whether one installed instance is what the rule asks for."""
    own, wanted = instance.architecture, rule.architecture
    if wanted is not None and own != wanted and own not in _ANY_ARCHITECTURE:
        return False
    by = rule.comparison
    if by is None:
        return True
    if instance.version == rule.version:
        return by in _REFLEXIVE  # most often so, and no key need be made
    key = PACKAGE_ORDER[rule.format]
    return _COMPARE[by](key(instance.version), key(rule.version))


def leaf_verdict(state: LeafState | None) -> Verdict:
    """Return what `installed(leaf)` makes of the leaf's state."""
    match state:
        case LeafState.INSTALLED:
            return True
        case LeafState.REQUIRED | LeafState.NOT_REQUIRED:
            return False
        case LeafState.UNKNOWN | None:
            return None
        case _:
            assert_never(state)


def _package(rule: PackageInstalled, ground: Ground) -> Verdict:
    packages = ground.facts.packages.get(rule.format)
    if packages is None:
        return None
    for instance in packages.get(rule.name, ()):  # noqa: SIM110 - a scan spends its time here
        if fits(rule, instance):
            return True
    return False


def _system(rule: OperatingSystem, ground: Ground) -> Verdict:
    facts = ground.facts
    if facts.os_id is None:
        return None
    if facts.os_id != rule.id:
        return False
    if not rule.versions:
        return True
    return None if facts.os_version is None else facts.os_version in rule.versions


def _architecture(rule: Architecture, ground: Ground) -> Verdict:
    own = ground.facts.architecture
    return None if own is None else own in rule.names


def _module(rule: ModuleStream, ground: Ground) -> Verdict:
    streams = ground.facts.modules
    return None if streams is None else streams.get(rule.name) == rule.stream


def answer(rule: FactIs, facts: Facts) -> Answer | None:
    """Return what the fact says here; None: it was not collected."""
    match FACTS[rule.fact].subject, rule.keys:
        case ("deb" | "rpm" | "msi") as kind, keys:
            return _versions(facts, PackageFormat(kind), keys)
        case "os", (id,):
            own = facts.os_version
            if facts.os_id is not None and facts.os_id != id:
                return ()
            return None if facts.os_id is None or own is None else (own,)
        case "language", _:
            return None if facts.language is None else (facts.language,)
        case "kernel", _:
            return None if facts.kernel is None else (facts.kernel,)
        case _:
            return facts.answers.get(Asked(rule.fact, rule.keys))


def _versions(facts: Facts, kind: PackageFormat, keys: tuple[str, ...]) -> Answer | None:
    packages = facts.packages.get(kind)
    if packages is None:
        return None
    name, *rest = keys
    wanted = PackageInstalled(kind, name, architecture=rest[0] if rest else None)
    return tuple(found.version for found in packages.get(name, ()) if fits(wanted, found))


def _fact(rule: FactIs, ground: Ground) -> Verdict:
    """One of several values that passes is enough; one that cannot be read leaves it open."""
    said = answer(rule, ground.facts)
    if said is None:
        return None
    test = rule.test
    if test is None:
        return bool(said)
    key = KINDS[FACTS[rule.fact].kind].key
    verdicts = [_passes(test, value, key) for value in said]
    return True if True in verdicts else (None if None in verdicts else False)


def _passes(test: Test, value: str, key: Callable[[str], Any]) -> Verdict:
    if isinstance(test, Matches):
        return fits_pattern(test.pattern, value)
    own = key(value)
    if own is None:
        return None
    match test:
        case Compared(comparison, wanted):
            return _COMPARE[comparison](own, key(wanted))
        case Between(low, high):
            return bool(key(low) <= own <= key(high))
        case _:
            assert_never(test)


def _and(rule: And, ground: Ground) -> Verdict:
    verdict: Verdict = True
    for member in rule.members:
        found = _VERDICTS[type(member)](member, ground)
        if found is False:
            return False
        if found is None:
            verdict = None
    return verdict


def _or(rule: Or, ground: Ground) -> Verdict:
    verdict: Verdict = False
    for member in rule.members:
        found = _VERDICTS[type(member)](member, ground)
        if found:
            return True
        if found is None:
            verdict = None
    return verdict


def _not(rule: Not, ground: Ground) -> Verdict:
    found = verdict_on(rule.member, ground)
    return None if found is None else not found


# A table instead of `match`: a scan asks this some ten thousand times. A test holds it complete.
_VERDICTS: Mapping[type, Callable[[Any, Ground], Verdict]] = {
    Always: lambda rule, ground: True,
    Never: lambda rule, ground: False,
    Unsupported: lambda rule, ground: None,
    PackageInstalled: _package,
    OperatingSystem: _system,
    Architecture: _architecture,
    ModuleStream: _module,
    FactIs: _fact,
    InstalledLeaf: lambda rule, ground: leaf_verdict(ground.states.get(rule.number)),
    And: _and,
    Or: _or,
    Not: _not,
}
