"""A verdict in plain words: one sentence for each part of a rule, and one for the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from patchtide.domain.applicability.evaluation import LeafState, Verdict
from patchtide.domain.applicability.explanation import (
    NO_STREAM,
    NOT_COLLECTED,
    NOT_INSTALLED,
    Explanation,
)
from patchtide.domain.applicability.scan import WhyUnknown
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rule_facts import FACTS
from patchtide.domain.catalog.rule_text import part_text
from patchtide.domain.catalog.rules import (
    ASKS_FACTS,
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
    Unsupported,
)

QUESTIONS: Mapping[str, str] = {
    "prerequisite": "is it for this system?",
    "applicable": "is what it concerns here?",
    "installed": "is it installed?",
}
"""What each of the three rules asks, in their order."""
VERDICTS: Mapping[Verdict, str] = {True: "yes", False: "no", None: "unknown"}
_WHY = {
    LeafState.INSTALLED: "what it concerns is here, in the version it brings or a newer one",
    LeafState.REQUIRED: "what it concerns is here, in an older version than it brings",
}
_WHY_ASKED = {
    LeafState.INSTALLED: "what it concerns is here, and its own rule finds it present",
    LeafState.REQUIRED: "what it concerns is here, and its own rule finds it missing",
}
"""Where its rule asks for more than packages and their versions, or it brings none itself."""
_WHY_UNKNOWN = {
    WhyUnknown.CIRCLE: "it depends on itself through other updates; its publisher must mend that",
    WhyUnknown.EVALUATOR: "it is decided by a program, whose verdict only the machine can give",
    WhyUnknown.OPERATOR: "its rule says something that this version cannot read",
    WhyUnknown.LEAF: "it depends on another update whose state is unknown",
    WhyUnknown.FACTS: "facts that its rules ask for are not known of this machine",
}
_PACKAGES = {
    PackageFormat.DEB: "Debian packages",
    PackageFormat.RPM: "RPM packages",
    PackageFormat.MSI: "installed products",
}
_THAN = {
    Comparison.LESS: "older than {}",
    Comparison.AT_MOST: "{} or older",
    Comparison.EQUAL: "{}",
    Comparison.NOT_EQUAL: "another than {}",
    Comparison.AT_LEAST: "{} or newer",
    Comparison.MORE: "newer than {}",
}
_COMPARED = {
    Comparison.LESS: "below {}",
    Comparison.AT_MOST: "{} or below",
    Comparison.EQUAL: "{}",
    Comparison.NOT_EQUAL: "another than {}",
    Comparison.AT_LEAST: "{} or above",
    Comparison.MORE: "above {}",
}


def why(leaf: Leaf, state: LeafState, verdicts: Mapping[str, Verdict]) -> str:
    """Say why a leaf is in a state that its rules could tell. `verdicts`: by the rule's name."""
    if state is not LeafState.NOT_REQUIRED:
        goes_by_versions = (leaf.files or leaf.floors) and not leaf.installed.traits & ASKS_FACTS
        return (_WHY if goes_by_versions else _WHY_ASKED)[state]
    if verdicts["prerequisite"] is False:
        return "it is not for this system"
    return "nothing that it concerns is here"


def why_unknown(reason: WhyUnknown) -> str:
    return _WHY_UNKNOWN[reason]


def sentence(part: Explanation) -> str:
    """Say what this part found, in one sentence."""
    rule = part.rule
    match rule:
        case And():
            return _all(part)
        case Or():
            return _any(part)
        case Not():
            return _not(part)
        case Always():
            return "This always holds."
        case Never():
            return "This never holds."
        case Unsupported(operator):
            return f"Nobody here knows what {operator!r} means; whether it holds is unknown."
        case PackageInstalled():
            return _package(rule, part)
        case OperatingSystem():
            return _system(rule, part)
        case Architecture(names):
            wanted = _or(names)
            return _about("The architecture", part, f"{wanted}", untold="its architecture")
        case ModuleStream(name, stream):
            return _module(name, stream, part)
        case InstalledLeaf(number):
            return _leaf(number, part)
        case FactIs():
            return _fact(rule, part)
        case _:
            assert_never(rule)


def _all(part: Explanation) -> str:
    failing = sum(below.verdict is False for below in part.parts)
    unknown = sum(below.verdict is None for below in part.parts)
    if len(part.parts) == 1:
        return _only(part)
    if failing:
        return f"{failing} of these {len(part.parts)} do not hold, and all would have to."
    if unknown:
        return f"None of these fails, but {unknown} of {len(part.parts)} are unknown."
    return f"All of these {len(part.parts)} hold."


def _any(part: Explanation) -> str:
    holding = sum(below.verdict is True for below in part.parts)
    unknown = sum(below.verdict is None for below in part.parts)
    if len(part.parts) == 1:
        return _only(part)
    if holding:
        verb = "holds" if holding == 1 else "hold"
        return f"{holding} of these {len(part.parts)} {verb}, and one is enough."
    if unknown:
        return f"None of these is known to hold, but {unknown} of {len(part.parts)} are unknown."
    return f"None of these {len(part.parts)} holds."


def _only(part: Explanation) -> str:
    """Say of the one part that there is what all of them would say."""
    if part.verdict is None:
        return "Whether this holds is unknown, as what follows is."
    return "What follows holds." if part.verdict else "What follows does not hold, and must."


def _not(part: Explanation) -> str:
    if part.verdict is None:
        return "Whether this does not hold is unknown, as what follows is."
    return "What follows does not hold." if part.verdict else "What follows holds, and must not."


def _package(rule: PackageInstalled, part: Explanation) -> str:
    if part.seen == NOT_COLLECTED:
        return f"The machine has not told its {_PACKAGES[rule.format]}."
    if part.seen == NOT_INSTALLED:
        return f"{rule.name} is not installed."
    named = f"{rule.name} is installed in version {part.seen}"
    for_which = f" for {rule.architecture}" if rule.architecture else ""
    if rule.comparison is None:
        return f"{named}." if part.verdict else f"{named}, but not{for_which}."
    wanted = _THAN[rule.comparison].format(rule.version)
    return f"{named}: {'that is' if part.verdict else 'not'} {wanted}{for_which}."


def _system(rule: OperatingSystem, part: Explanation) -> str:
    wanted = f"{rule.id} {_or(rule.versions)}" if rule.versions else rule.id
    return _about("The system", part, wanted, untold="its operating system")


def _module(name: str, stream: str, part: Explanation) -> str:
    if part.seen == NOT_COLLECTED:
        return "The machine has not told its module streams."
    if part.seen == NO_STREAM:
        return f"The machine follows no stream of the module {name}."
    return f"The module {name} is at stream {part.seen}{'' if part.verdict else f', not {stream}'}."


def _leaf(number: int, part: Explanation) -> str:
    if part.verdict is None:
        return f"The state of update {number} is unknown here: {part.seen}."
    return f"Update {number} is {part.seen.replace('-', ' ')} here."


def _fact(rule: FactIs, part: Explanation) -> str:
    declared = FACTS[rule.fact]
    what = part_text(FactIs(rule.fact, rule.keys, rule.test))
    if part.seen == NOT_COLLECTED:
        return f"The machine has not told what `{what}` asks for."
    if declared.is_flag:
        return f"`{what}` is so." if part.verdict else f"`{what}` is not so."
    if part.verdict is None:
        return f"What is there cannot be compared: {part.seen}."
    return f"What is there is {part.seen}: {'that is' if part.verdict else 'not'} {_test(rule)}."


def _test(rule: FactIs) -> str:
    match rule.test:
        case Compared(comparison, value):
            return _COMPARED[comparison].format(value)
        case Between(low, high):
            return f"between {low} and {high}"
        case Matches(pattern):
            return f"like {pattern}"
        case None:
            return "there"
        case _:
            assert_never(rule.test)


def _about(what: str, part: Explanation, wanted: str, *, untold: str) -> str:
    if part.verdict is None:
        return f"The machine has not told {untold}."
    return f"{what} is {part.seen}{'' if part.verdict else f', not {wanted}'}."


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(names)
