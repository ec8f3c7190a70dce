"""Rules in words, one line a part, as people read them; deeper parts are further in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

from patchtide.domain.catalog.rules import (
    Always,
    And,
    Architecture,
    Comparison,
    InstalledLeaf,
    ModuleStream,
    Never,
    Not,
    OperatingSystem,
    Or,
    PackageInstalled,
    Rule,
    Unsupported,
    parts,
)

_COMPARED: Mapping[Comparison, str] = {
    Comparison.LESS: "older than",
    Comparison.AT_MOST: "at most",
    Comparison.EQUAL: "exactly",
    Comparison.NOT_EQUAL: "other than",
    Comparison.AT_LEAST: "at least",
    Comparison.MORE: "newer than",
}


@dataclass(frozen=True, slots=True)
class Line:
    depth: int
    text: str


def lines(rule: Rule, *, depth: int = 0) -> Iterator[Line]:
    """Yield the rule's own line, then those of its parts."""
    yield Line(depth, _said(rule))
    for part in parts(rule):
        yield from lines(part, depth=depth + 1)


def _said(rule: Rule) -> str:
    match rule:
        case Always():
            return "always"
        case Never():
            return "never"
        case PackageInstalled():
            return _package(rule)
        case OperatingSystem(id, versions):
            return f"the system is {' '.join((id, _either(versions))).strip()}"
        case Architecture(names):
            return f"the architecture is {_either(names)}"
        case ModuleStream(name, stream):
            return f"module {name} follows stream {stream}"
        case InstalledLeaf(number):
            return f"update number {number} is installed"
        case Unsupported(operator):
            return f"something this version has no word for: {operator}"
        case And():
            return "all of these"
        case Or():
            return "any of these"
        case Not():
            return "not this"
        case _:
            assert_never(rule)


def _package(rule: PackageInstalled) -> str:
    name = rule.name if rule.architecture is None else f"{rule.name} ({rule.architecture})"
    if rule.comparison is None:
        return f"{name} is installed"
    return f"{name} is installed, {_COMPARED[rule.comparison]} {rule.version}"


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(words)
