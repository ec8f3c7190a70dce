"""Rules that strangers wrote, as text and on the wire: nearly right, and never misread.

`PATCHTIDE_TORTURE_ROUNDS` rounds of half a second each, for each form. What fails is printed.
"""

from __future__ import annotations

import os
import random
import time

import msgspec
import pytest

from patchtide.domain.applicability.evaluation import evaluate
from patchtide.domain.applicability.explanation import explain
from patchtide.domain.applicability.facts import Facts
from patchtide.domain.catalog.rule_facts import FACTS
from patchtide.domain.catalog.rule_guide import COMBINATIONS, CONDITIONS, TESTS
from patchtide.domain.catalog.rule_mistakes import InvalidRule
from patchtide.domain.catalog.rule_parser import parse_rule
from patchtide.domain.catalog.rule_text import laid_out, rule_text
from patchtide.domain.catalog.rules import HAS_UNSUPPORTED, Rule
from patchtide.domain.errors import InvalidDocument
from patchtide.wire.rules import decode_rule, encode_rule

ROUNDS = int(os.environ.get("PATCHTIDE_TORTURE_ROUNDS", "10"))
ROUND_S = 0.5
SEEDS = (
    *(fact.example for fact in FACTS.values()),
    *(text for said in (*COMBINATIONS, *CONDITIONS, *TESTS) for text in said.examples),
)
WORDS = (*sorted({word for text in SEEDS for word in text.split()}), *'()",:=<>!#\\\n', "\\u{41}")
FORMS = tuple(
    msgspec.msgpack.encode(encode_rule(rule))
    for rule in map(parse_rule, SEEDS)
    if not rule.traits & HAS_UNSUPPORTED
)


def mutated_text(dice: random.Random) -> str:
    text = dice.choice(SEEDS)
    for _ in range(dice.randrange(6)):
        at = dice.randrange(len(text) + 1)
        match dice.randrange(4):
            case 0:
                text = text[:at] + dice.choice(WORDS) + text[at:]
            case 1:
                text = text[:at] + text[at + dice.randrange(6) :]
            case 2:
                text += dice.choice((" and ", " or ", ", ", " ")) + dice.choice(SEEDS)
            case _:
                odd = dice.choice((dice.randrange(128), dice.randrange(0x3000), 0xD800, 0x202E))
                text = text[:at] + chr(odd) + text[at:]
    return text


def mutated_form(dice: random.Random) -> bytes:
    data = bytearray(dice.choice(FORMS))
    for _ in range(dice.randrange(4)):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(3):
            case 0:
                data[at : at + 1] = dice.randbytes(1)
            case 1:
                del data[at : at + dice.randrange(4)]
            case _:
                data[at:at] = dice.choice(FORMS)
    return bytes(data)


def check_rule(rule: Rule) -> None:
    text = rule_text(rule)
    assert text.isprintable()
    assert parse_rule(text) == rule
    assert parse_rule("\n".join(laid_out(rule, width=20))) == rule
    assert explain(rule, Facts()).verdict is evaluate(rule, Facts())
    if not rule.traits & HAS_UNSUPPORTED:
        assert decode_rule(encode_rule(rule)) == rule


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_text_is_read_as_it_is_meant_or_its_mistakes_are_shown(seed: int) -> None:
    dice, end = random.Random(seed), time.monotonic() + ROUND_S
    while time.monotonic() < end:
        text = mutated_text(dice)
        try:
            rule = parse_rule(text)
        except InvalidRule as refused:
            assert list(refused.shown()), repr(text)
            continue
        except Exception as error:
            pytest.fail(f"seed {seed}: {text!r}: {error!r}")
        check_rule(rule)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_structured_form_is_read_as_it_is_meant_or_refused(seed: int) -> None:
    dice, end = random.Random(seed), time.monotonic() + ROUND_S
    while time.monotonic() < end:
        data = mutated_form(dice)
        try:
            rule = decode_rule(msgspec.msgpack.decode(data))
        except (msgspec.DecodeError, UnicodeDecodeError, InvalidDocument):
            continue
        except Exception as error:
            pytest.fail(f"seed {seed}: {data.hex()}: {error!r}")
        check_rule(rule)
