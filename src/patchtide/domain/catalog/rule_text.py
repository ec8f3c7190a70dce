r"""Rules as people read them: the canonical text, which `rule_parser` reads back to the same rule.

A word that could be taken for something else stands in quotes. Within them a backslash is one, as
paths of Windows have it; only `\u{...}` is something else, a character by its hexadecimal number.
So nothing that a rule carries can break a line, move text about or end its own quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from patchtide.domain.catalog.rule_facts import FACTS, SUBJECTS
from patchtide.domain.catalog.rule_values import BETWEEN, MATCHES
from patchtide.domain.catalog.rules import (
    Always,
    And,
    Architecture,
    Between,
    Compared,
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
    parts,
)

RESERVED = frozenset(
    (
        *("all", "always", "and", "any", "between", "enabled", "exists", "in", "installed"),
        *("matches", "never", "not", "of", "or", "running"),
    )
)
"""Words of the language that are nobody's name unless they stand in quotes."""
_BEGINNINGS = frozenset(
    ("os", "arch", "module", "update", "unsupported", *PackageFormat, *SUBJECTS)
)
"""Words that begin the next condition where a system's version could stand."""
WIDTH = 100
_BARE = re.compile(r"[A-Za-z0-9._+~^/@%-][A-Za-z0-9._+~^/@%:-]*", re.ASCII)
_ESCAPE = re.compile(r"\\(?=u\{)")
_QUOTED_KEYS = frozenset(("path", "key", "value"))


@dataclass(frozen=True, slots=True)
class Line:
    depth: int
    text: str


def rule_text(rule: Rule) -> str:
    """Return the canonical text, in one line."""
    match rule:
        case And(members):
            return _joined("and", members)
        case Or(members):
            return _joined("or", members)
        case Not(member):
            return f"not {_inner(member)}"
        case _:
            return _condition(rule)


def lines(rule: Rule, *, depth: int = 0) -> Iterator[Line]:
    """Yield the rule one part a line, the whole before its parts."""
    yield Line(depth, part_text(rule))
    for part in parts(rule):
        yield from lines(part, depth=depth + 1)


def part_text(rule: Rule) -> str:
    """Return the rule's own words; those of its parts, if it has any, are to follow."""
    match rule:
        case And():
            return "all of"
        case Or():
            return "any of"
        case Not():
            return "not"
        case _:
            return _condition(rule)


def laid_out(rule: Rule, *, indent: str = "", tail: str = "", width: int = WIDTH) -> Iterator[str]:
    """Yield the text in lines that fit where they can; they are read back to the same rule."""
    short = f"{indent}{rule_text(rule)}{tail}"
    if rule.depth == 1 or len(short) <= width:
        yield short
        return
    before = ""
    while isinstance(rule, Not):
        before, rule = before + "not ", rule.member
    if not isinstance(rule, And | Or):
        yield short
        return
    yield f"{indent}{before}{part_text(rule)} ("
    for member in rule.members:
        yield from laid_out(member, indent=indent + "  ", tail=",", width=width)
    yield f"{indent}){tail}"


def _joined(word: str, members: tuple[Rule, ...]) -> str:
    if len(members) == 1:
        return f"{'all' if word == 'and' else 'any'} of ({rule_text(members[0])})"
    return f" {word} ".join(map(_inner, members))


def _inner(rule: Rule) -> str:
    """Return the text of a part, in parentheses where it would fall apart without."""
    if isinstance(rule, And | Or) and len(rule.members) > 1:
        return f"({rule_text(rule)})"
    return rule_text(rule)


def _condition(
    rule: Always
    | Never
    | PackageInstalled
    | OperatingSystem
    | Architecture
    | ModuleStream
    | InstalledLeaf
    | FactIs
    | Unsupported,
) -> str:
    match rule:
        case Always():
            return "always"
        case Never():
            return "never"
        case PackageInstalled():
            return _package(rule)
        case OperatingSystem(id, versions):
            return f"os {word(id)}{_either(versions, but=_BEGINNINGS) if versions else ''}"
        case Architecture(names):
            return f"arch{_either(names)}"
        case ModuleStream(name, stream):
            return f"module {_name(name, stream)}"
        case InstalledLeaf(number):
            return f"update {number} installed"
        case FactIs():
            return _fact(rule)
        case Unsupported(operator):
            return f"unsupported {quoted(operator)}"
        case _:
            assert_never(rule)


def _package(rule: PackageInstalled) -> str:
    name = f"{rule.format.value} {_name(rule.name, rule.architecture)}"
    if rule.comparison is None:
        return f"{name} installed"
    return f"{name} {rule.comparison.value} {word(rule.version)}"


def _name(name: str, part: str | None = None) -> str:
    """Return a name, and behind a colon what part of it is meant: an architecture, a stream."""
    own, *rest = (quoted(said) if ":" in said else word(said) for said in (name, part or ""))
    return own if part is None else f"{own}:{rest[0]}"


def _either(words: tuple[str, ...], *, but: frozenset[str] = frozenset()) -> str:
    said = ", ".join(quoted(text) if text in but else word(text) for text in words)
    return f" {said}" if len(words) == 1 else f" in ({said})"


def _fact(rule: FactIs) -> str:
    declared = FACTS[rule.fact]
    said = [declared.subject]
    if declared.may_follow:
        said.append(_name(*rule.keys))
    else:
        named = zip(declared.keys, rule.keys, strict=True)
        said += [quoted(key) if kind in _QUOTED_KEYS else word(key) for kind, key in named]
    if declared.attribute and declared.is_spoken:
        said.append(declared.attribute)
    if rule.test is not None:
        said.append(_test(rule.test))
    return " ".join(said)


def _test(test: Test) -> str:
    match test:
        case Compared(comparison, value):
            return f"{comparison.value} {word(value)}"
        case Between(low, high):
            return f"{BETWEEN} {word(low)} and {word(high)}"
        case Matches(pattern):
            return f"{MATCHES} {quoted(pattern)}"
        case _:
            assert_never(test)


def word(text: str) -> str:
    """Return the word as it is where that cannot be misread, or else in quotes."""
    return text if _BARE.fullmatch(text) and text not in RESERVED else quoted(text)


def quoted(text: str) -> str:
    safe = _ESCAPE.sub(r"\\u{5c}", text)
    return '"' + "".join(map(_character, safe)) + '"'


def _character(character: str) -> str:
    plain = character.isprintable() and character != '"'
    return character if plain else f"\\u{{{ord(character):x}}}"
