"""The conditions of the rule language, each by the word that it begins with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from patchtide.domain.catalog.rule_facts import FACTS, SUBJECTS, Declared
from patchtide.domain.catalog.rule_mistakes import Span, did_you_mean, in_sight
from patchtide.domain.catalog.rule_reading import INSTEAD, Reading
from patchtide.domain.catalog.rule_text import RESERVED
from patchtide.domain.catalog.rule_tokens import Token, TokenKind
from patchtide.domain.catalog.rule_values import BETWEEN, KINDS, MATCHES
from patchtide.domain.catalog.rules import (
    Always,
    Architecture,
    Between,
    Compared,
    Comparison,
    FactIs,
    InstalledLeaf,
    Matches,
    ModuleStream,
    Never,
    OperatingSystem,
    PackageFormat,
    PackageInstalled,
    Rule,
    Test,
    Unsupported,
)
from patchtide.domain.catalog.updates import UpdateNumber

_COMPARISONS = {member.value: member for member in Comparison}
_HIGHEST_NUMBER = (1 << 32) - 1

Condition = Callable[[Reading, str], Rule]
"""Reads what follows the first word. Raises Lost when that makes no sense."""


def _package(reading: Reading, word: str) -> Rule:
    kind = PackageFormat(word)
    name, architecture = _parted_name(reading, "a package's name", "an architecture")
    declared = FACTS[f"{word}.version"]
    if reading.is_at(BETWEEN, MATCHES):
        keys = (name,) if architecture is None else (name, architecture)
        return FactIs(declared.name, keys, _test(reading, declared))
    if reading.here.kind is TokenKind.OPERATOR:
        comparison = _comparison(reading)
        return PackageInstalled(kind, name, comparison, reading.name("a version"), architecture)
    reading.take("installed")
    return PackageInstalled(kind, name, architecture=architecture)


def _module(reading: Reading, word: str) -> Rule:
    here = reading.here
    name, stream = _parted_name(reading, "a module's name", "a stream")
    if stream is None:
        reading.lose(here, "the module's stream is missing", "it is written as `nodejs:18`")
    return ModuleStream(name, stream)


def _parted_name(reading: Reading, whose: str, of: str) -> tuple[str, str | None]:
    """Read `libc6`, `libc6:amd64`, `"any name"` or `"any name":amd64`."""
    first = reading.here
    name = reading.name(whose)
    part: str | None = None
    if first.kind is TokenKind.WORD:
        name, colon, said = name.partition(":")
        part = said if colon else None
    elif _is_joined(first, reading.here) and reading.here.text.startswith(":"):
        part = reading.advance().text.removeprefix(":")
        first = reading.here
    if part == "" and reading.here.kind is TokenKind.QUOTED:
        part = reading.name(of)
    if part == "" or not name:
        missing = of if name else whose
        reading.lose(
            first, f"{missing} is missing at the colon", "a name with one stands in quotes"
        )
    return name, part


def _is_joined(first: Token, second: Token) -> bool:
    return first.span.end == second.span.start and second.kind is TokenKind.WORD


def _system(reading: Reading, word: str) -> Rule:
    declared = FACTS["os.version"]
    name = reading.name("a system's id, as debian or rhel,")
    here = reading.here
    if here.is_word("in"):
        reading.advance()
        return OperatingSystem(name, reading.names("a version"))
    if here.kind is TokenKind.OPERATOR and here.text == "=":
        reading.advance()
        return OperatingSystem(name, (reading.name("a version"),))
    if here.kind is TokenKind.OPERATOR or reading.is_at(BETWEEN, MATCHES):
        return FactIs(declared.name, (name,), _test(reading, declared))
    is_bare = here.kind is TokenKind.WORD and here.text not in (*RESERVED, *CONDITIONS)
    if is_bare or here.kind is TokenKind.QUOTED:
        return OperatingSystem(name, (reading.name("a version"),))
    return OperatingSystem(name)


def _architecture(reading: Reading, word: str) -> Rule:
    if reading.take("in"):
        return Architecture(reading.names("an architecture"))
    if reading.here.kind is TokenKind.OPERATOR and reading.here.text == "=":
        reading.advance()
    return Architecture((reading.name("an architecture"),))


def _update(reading: Reading, word: str) -> Rule:
    here = reading.here
    said = reading.name("an update's number")
    if not (said.isascii() and said.isdecimal() and len(said) <= 10):
        reading.lose(here, "an update is named by its number")
    if int(said) > _HIGHEST_NUMBER:
        reading.lose(here, f"there is no number above {_HIGHEST_NUMBER}")
    if not reading.take("installed"):
        reading.lose(reading.here, "`installed` is missing here", "only that is asked of an update")
    return InstalledLeaf(UpdateNumber(int(said)))


def _unsupported(reading: Reading, word: str) -> Rule:
    return Unsupported(reading.name("an operator's name"))


def _constant(reading: Reading, word: str) -> Rule:
    return Always() if word == "always" else Never()


def _fact(reading: Reading, word: str) -> Rule:
    known = SUBJECTS[word]
    keys = tuple(reading.name(f"the {key} of this {word}") for key in _keys(known))
    declared = known[""] if "" in known else _attribute(reading, word, known)
    return FactIs(declared.name, keys, None if declared.is_flag else _test(reading, declared))


def _keys(known: Mapping[str, Declared]) -> Sequence[str]:
    return next(iter(known.values())).keys


def _attribute(reading: Reading, word: str, known: Mapping[str, Declared]) -> Declared:
    here = reading.here
    if here.kind is TokenKind.WORD and here.text in known:
        reading.advance()
        return known[here.text]
    what = f"what of this {word} is meant is missing"
    hint = f"say {_either([f'`{name}`' for name in known])}"
    if here.kind is TokenKind.WORD and here.text not in ("and", "or"):
        what = f"nothing of a {word} is called {in_sight(here.text)}"
        hint = did_you_mean(here.text, list(known)) or hint
    return reading.lose(here, what, hint)


def _test(reading: Reading, declared: Declared) -> Test:
    here = reading.here
    if here.kind is not TokenKind.OPERATOR and not reading.is_at(BETWEEN, MATCHES):
        hint = did_you_mean(here.text, (BETWEEN, MATCHES)) or f"say {_either(_tests(declared))}"
        reading.lose(here, "what must hold is missing here", hint)
    known = here.text in _COMPARISONS or here.kind is TokenKind.WORD
    if known and here.text not in declared.tests:
        hint = f"say {_either(_tests(declared))}"
        reading.lose(
            here, f"{in_sight(here.text)} cannot be asked of a {declared.kind.value}", hint
        )
    if reading.take(MATCHES):
        return Matches(reading.name("a pattern"))
    if reading.take(BETWEEN):
        return _between(reading, declared)
    return Compared(_comparison(reading), _value(reading, declared))


def _between(reading: Reading, declared: Declared) -> Test:
    begin = reading.here
    low = _value(reading, declared)
    if not reading.take("and"):
        reading.lose(reading.here, "`and` and the upper end are missing here")
    end = reading.here
    high = _value(reading, declared)
    key = KINDS[declared.kind].key
    if key(low) > key(high):
        both = Token(begin.kind, "", Span(begin.span.start, end.span.end))
        nothing = f"nothing is between {in_sight(low)} and {in_sight(high)}"
        reading.lose(both, nothing, "the lower one goes first")
    return Between(low, high)


def _comparison(reading: Reading) -> Comparison:
    here = reading.here
    if here.text not in _COMPARISONS:
        hint = INSTEAD.get(here.text) or f"there is {_either(list(_COMPARISONS))}"
        reading.lose(here, f"{in_sight(here.text)} is no comparison", hint)
    reading.advance()
    return _COMPARISONS[here.text]


def _value(reading: Reading, declared: Declared) -> str:
    here = reading.here
    said = reading.name(f"a {declared.kind.value}")
    try:
        return KINDS[declared.kind].spelled(said)
    except ValueError as error:
        return reading.lose(here, f"{in_sight(said)} {error}")


def _tests(declared: Declared) -> list[str]:
    order = [*_COMPARISONS, BETWEEN, MATCHES]
    return [f"`{test}`" for test in order if test in declared.tests]


def _either(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


CONDITIONS: Mapping[str, Condition] = {
    "os": _system,
    "arch": _architecture,
    "module": _module,
    **{kind.value: _package for kind in PackageFormat},
    **dict.fromkeys(SUBJECTS, _fact),
    "update": _update,
    "always": _constant,
    "never": _constant,
    "unsupported": _unsupported,
}
"""The first words, in the order of the reference page."""
