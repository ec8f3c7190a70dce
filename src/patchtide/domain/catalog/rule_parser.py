"""Reads a rule as people write it: `os debian 12 and deb openssl < 3.0.11-1~deb12u2`.

How conditions are combined is in `rule_combinations`, what they may be in `rule_conditions`.
"""

from __future__ import annotations

from patchtide.domain.catalog.rule_combinations import Combinations, Language
from patchtide.domain.catalog.rule_conditions import CONDITIONS
from patchtide.domain.catalog.rule_mistakes import InvalidRule, Mistake
from patchtide.domain.catalog.rule_reading import Reading
from patchtide.domain.catalog.rule_tokens import Token, TokenKind, tokens
from patchtide.domain.catalog.rules import And, Not, Or, Rule

MAX_LENGTH = 1 << 20


def parse_rule(text: str) -> Rule:
    """Return the rule.

    Raises:
        InvalidRule: with every mistake, in the order of their places.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidRule("", [_too_long()])
    parser = Combinations(_LANGUAGE, Reading(text, list(tokens(text))))
    rule = parser.whole()
    mistakes = parser.reading.mistakes
    if mistakes or rule is None:
        ordered = sorted(mistakes, key=lambda mistake: (mistake.line, mistake.column))
        raise InvalidRule(text, ordered)
    return rule


def _too_long() -> Mistake:
    what = f"a rule has at most {MAX_LENGTH} characters"
    return Mistake(line=1, column=1, length=1, what=what)


def _begins(token: Token) -> bool:
    return token.kind is TokenKind.WORD and token.text in CONDITIONS


def _condition(reading: Reading) -> Rule:
    word = reading.here.text
    reading.advance()
    return CONDITIONS[word](reading, word)


_LANGUAGE: Language[Rule] = Language(
    noun="rule",
    both=And,
    either=Or,
    negated=Not,
    begins=_begins,
    condition=_condition,
    beginnings=tuple(CONDITIONS),
    list_hint="a list of rules is written `all of (...)` or `any of (...)`",
    too_many="; make it two updates",
)
