"""The structured form of rules: nested arrays, an operator first. Carried in shards.

```text
["always"]  ["never"]
["pkg", format, name]                            any version, any architecture
["pkg", format, name, arch]                      any version, this architecture
["pkg", format, name, comparison, version]       = != < <= > >=, in the format's own order
["pkg", format, name, comparison, version, arch]
["os", id]  ["os", id, [version ids]]
["arch", [names]]
["module", name, stream]                         the module follows this stream here
["leaf", number]                                 the leaf with this number is installed
["fact", name, [keys]]                           a fact that is yes or no
["fact", name, [keys], comparison, value]        = != < <= > >=, in the order of the fact's kind
["fact", name, [keys], "between", low, high]
["fact", name, [keys], "matches", pattern]       `*` is any run of characters
["and", rule...]  ["or", rule...]  ["not", rule]
```

An operator, a package format, a fact, or a comparison that the reader does not know becomes an
`Unsupported` node, whose verdict is unknown: an old agent with a new rule never guesses. Every
other departure is a mistake and refuses the rule. So a new meaning always needs a new operator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from patchtide.domain.catalog.rule_facts import FACTS
from patchtide.domain.catalog.rule_values import BETWEEN, MATCHES
from patchtide.domain.catalog.rules import (
    MAX_DEPTH,
    MAX_NAMES,
    MAX_NODES,
    MAX_TEXT,
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
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.wire.sets import MAX_NUMBER

Structured = list[Any]
_FORMATS = {member.value: member for member in PackageFormat}
_COMPARISONS = {member.value: member for member in Comparison}


def encode_rule(rule: Rule) -> Structured:
    """Return the structured form.

    Raises:
        InvalidDocument: the rule holds an `Unsupported` node, whose form is not known here.
    """
    match rule:
        case Always():
            return ["always"]
        case Never():
            return ["never"]
        case PackageInstalled():
            return _encode_package(rule)
        case OperatingSystem(id, versions):
            return ["os", id, list(versions)] if versions else ["os", id]
        case Architecture(names):
            return ["arch", list(names)]
        case ModuleStream(name, stream):
            return ["module", name, stream]
        case InstalledLeaf(number):
            return ["leaf", number]
        case FactIs():
            return _encode_fact(rule)
        case And(members):
            return ["and", *map(encode_rule, members)]
        case Or(members):
            return ["or", *map(encode_rule, members)]
        case Not(member):
            return ["not", encode_rule(member)]
        case Unsupported(operator):
            raise InvalidDocument([Problem("rule", f"operator {operator!r} is not known here")])
        case _:
            assert_never(rule)


def _encode_package(rule: PackageInstalled) -> Structured:
    form: Structured = ["pkg", rule.format.value, rule.name]
    if rule.comparison is not None:
        form += [rule.comparison.value, rule.version]
    if rule.architecture is not None:
        form.append(rule.architecture)
    return form


def _encode_fact(rule: FactIs) -> Structured:
    form: Structured = ["fact", rule.fact, list(rule.keys)]
    match rule.test:
        case None:
            return form
        case Compared(comparison, value):
            return [*form, comparison.value, value]
        case Between(low, high):
            return [*form, BETWEEN, low, high]
        case Matches(pattern):
            return [*form, MATCHES, pattern]
        case _:
            assert_never(rule.test)


def decode_rule(form: object, *, where: str = "rule") -> Rule:
    """Return the rule.

    Raises:
        InvalidDocument: with every mistake and its place, as in `rule[2][1]`.
    """
    reading = _Reading()
    rule = _read(form, reading, where=where, depth=1)
    if reading.problems or rule is None:
        raise InvalidDocument(reading.problems)
    return rule


@dataclass(slots=True)
class _Reading:
    """What one decoding gathers on its way."""

    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def refuse(self, where: str, what: str) -> None:
        self.problems.append(Problem(where, what))

    def text(self, value: object, where: str) -> str:
        if isinstance(value, str) and 0 < len(value) <= MAX_TEXT:
            return value
        self.refuse(where, f"must be a text of 1 to {MAX_TEXT} characters")
        return ""

    def names(self, value: object, where: str) -> tuple[str, ...]:
        if isinstance(value, list) and 0 < len(value) <= MAX_NAMES:
            return tuple(self.text(name, f"{where}[{at}]") for at, name in enumerate(value))
        self.refuse(where, f"must be a list of 1 to {MAX_NAMES} texts")
        return ()

    def arity(self, form: Sequence[object], where: str, *, least: int, most: int) -> bool:
        if least <= len(form) - 1 <= most:
            return True
        wanted = str(least) if least == most else f"{least} to {most}"
        self.refuse(where, f"{form[0]!r} takes {wanted} arguments, not {len(form) - 1}")
        return False


def _read(form: object, reading: _Reading, *, where: str, depth: int) -> Rule | None:
    """Return the node, or None when there was a mistake in it; the reading holds which."""
    reading.nodes += 1
    if reading.nodes > MAX_NODES:
        if reading.nodes == MAX_NODES + 1:
            reading.refuse(where, f"is more than {MAX_NODES} parts of one rule")
        return None
    if depth > MAX_DEPTH:
        reading.refuse(where, f"lies more than {MAX_DEPTH} deep")
        return None
    if not isinstance(form, list) or not form or not isinstance(form[0], str):
        reading.refuse(where, "must be an array that begins with an operator")
        return None
    if form[0] in _COMBINATIONS:
        return _read_combination(form, reading, where=where, depth=depth)
    read = _OPERATORS.get(form[0])
    return read(form, reading, where) if read else Unsupported(form[0][:MAX_TEXT])


def _read_combination(
    form: Structured, reading: _Reading, *, where: str, depth: int
) -> Rule | None:
    fits = reading.arity(form, where, least=1, most=1 if form[0] == "not" else MAX_NODES)
    read = [
        _read(part, reading, where=f"{where}[{at}]", depth=depth + 1)
        for at, part in enumerate(form[1:], 1)
        if reading.nodes <= MAX_NODES
    ]
    members = tuple(part for part in read if part is not None)
    if not fits or reading.problems:
        return None
    return _COMBINATIONS[form[0]](members)


def _read_package(form: Structured, reading: _Reading, where: str) -> Rule | None:
    if not reading.arity(form, where, least=2, most=5):
        return None
    texts = [reading.text(value, f"{where}[{at}]") for at, value in enumerate(form[1:], 1)]
    if not all(texts):
        return None
    kind, name, *rest = texts
    if kind not in _FORMATS:
        return Unsupported(f"pkg {kind}")
    architecture = rest.pop() if len(rest) in (1, 3) else None
    if not rest:
        return PackageInstalled(_FORMATS[kind], name, architecture=architecture)
    if rest[0] not in _COMPARISONS:
        return Unsupported(f"pkg {rest[0]}")
    return PackageInstalled(_FORMATS[kind], name, _COMPARISONS[rest[0]], rest[1], architecture)


def _read_system(form: Structured, reading: _Reading, where: str) -> Rule | None:
    if not reading.arity(form, where, least=1, most=2):
        return None
    system = reading.text(form[1], f"{where}[1]")
    versions = reading.names(form[2], f"{where}[2]") if len(form) > 2 else ()
    return OperatingSystem(system, versions)


def _read_architecture(form: Structured, reading: _Reading, where: str) -> Rule | None:
    if not reading.arity(form, where, least=1, most=1):
        return None
    return Architecture(reading.names(form[1], f"{where}[1]"))


def _read_module(form: Structured, reading: _Reading, where: str) -> Rule | None:
    if not reading.arity(form, where, least=2, most=2):
        return None
    name, stream = (reading.text(value, f"{where}[{at}]") for at, value in enumerate(form[1:], 1))
    return ModuleStream(name, stream)


def _read_leaf(form: Structured, reading: _Reading, where: str) -> Rule | None:
    if not reading.arity(form, where, least=1, most=1):
        return None
    number = form[1]
    if type(number) is not int or not 0 <= number <= MAX_NUMBER:
        reading.refuse(f"{where}[1]", "must be an update number of 32 bits")
        return None
    return InstalledLeaf(UpdateNumber(number))


def _read_fact(form: Structured, reading: _Reading, where: str) -> Rule | None:
    if not reading.arity(form, where, least=2, most=5):
        return None
    name = reading.text(form[1], f"{where}[1]")
    if name and name not in FACTS:
        return Unsupported(f"fact {name}")
    keys = reading.names(form[2], f"{where}[2]") if form[2] != [] else ()
    words = [reading.text(value, f"{where}[{at}]") for at, value in enumerate(form[3:], 3)]
    if not all((name, *keys, *words)):
        return None
    if words and words[0] not in FACTS[name].tests:
        return Unsupported(f"{name} {words[0]}")
    try:
        return FactIs(name, keys, _test(words))
    except ValueError as error:
        reading.refuse(where, str(error))
        return None


def _test(words: Sequence[str]) -> Test | None:
    """Raises ValueError."""
    match words:
        case []:
            return None
        case [operator, low, high] if operator == BETWEEN:
            return Between(low, high)
        case [operator, pattern] if operator == MATCHES:
            return Matches(pattern)
        case [operator, value] if operator in _COMPARISONS:
            return Compared(_COMPARISONS[operator], value)
        case _:
            raise ValueError(f"{words[0]!r} is asked otherwise")


def _read_constant(form: Structured, reading: _Reading, where: str) -> Rule | None:
    if not reading.arity(form, where, least=0, most=0):
        return None
    return Always() if form[0] == "always" else Never()


_COMBINATIONS: dict[str, Callable[[tuple[Rule, ...]], Rule]] = {
    "and": And,
    "or": Or,
    "not": lambda members: Not(members[0]),
}
_OPERATORS: dict[str, Callable[[Structured, _Reading, str], Rule | None]] = {
    "always": _read_constant,
    "never": _read_constant,
    "pkg": _read_package,
    "os": _read_system,
    "arch": _read_architecture,
    "module": _read_module,
    "leaf": _read_leaf,
    "fact": _read_fact,
}
