"""Definitions that strangers wrote in YAML: read as they are meant, or refused with every place.

`PATCHTIDE_TORTURE_ROUNDS` rounds of half a second each. What fails is printed with its seed.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from patchtide.adapters.publisher.definition import read_definition
from patchtide.adapters.publisher.marked import InvalidDefinition
from patchtide.adapters.publisher.template import TEMPLATE
from patchtide.domain.errors import Refused
from tests.unit.adapters.publisher.test_definition import DEB, PROGRAM

ROUNDS = int(os.environ.get("PATCHTIDE_TORTURE_ROUNDS", "10"))
ROUND_S = 0.5
ENOUGH = 100
"""So many are tried however slow the machine is: one in six is left as it was."""
SEEDS = (TEMPLATE, DEB, PROGRAM)
WORDS = (
    *sorted({word for text in SEEDS for word in text.split()}),
    "\n", "\n  ", "\n- ", ": ", "- ", "&a ", "*a", "<<: *a", "!!python/object:os.system ", "!x ",
    "|\n", ">-\n", "'", '"', "[", "]", "{", "}", "? ", "#", "---\n", "...\n", "%YAML 9.9\n",
    "\t", "\0", "\ufeff", "\u2028", "\x85", "\ud800", '"\\u0000"', "\\", "9" * 400, "~", "-1",
)  # fmt: skip


def mutated(dice: random.Random) -> str:
    text = dice.choice(SEEDS)
    for _ in range(dice.randrange(6)):
        at = dice.randrange(len(text) + 1)
        end = min(len(text), at + dice.choice((0, 1, 6, 40, 400)))
        match dice.randrange(4):
            case 0:
                text = text[:at] + dice.choice(WORDS) + text[end:]
            case 1:
                text = text[:at] + text[end:]
            case 2:
                text = text[:at] + text[at:end] * dice.choice((2, 3, 60)) + text[end:]
            case _:
                text = text[:at] + dice.choice(SEEDS)[: dice.randrange(300)] + text[at:]
    return text


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_definition_is_read_or_every_mistake_has_its_place(seed: int) -> None:
    dice, end = random.Random(seed), time.monotonic() + ROUND_S
    read = tried = 0
    while time.monotonic() < end or tried < ENOUGH:
        tried += 1
        text = mutated(dice)
        try:
            update = read_definition(text, file="u.yaml", measure=lambda name: (b"\7" * 32, 5))
        except InvalidDefinition as refused:
            lines = max(1, len(text.splitlines()) + 1)
            assert refused.mistakes, repr(text)
            assert all(1 <= m.line <= lines and m.column >= 1 for m in refused.mistakes), repr(text)
            assert str(refused).isprintable(), repr(text)
            continue
        except Refused:
            continue
        except Exception as error:
            pytest.fail(f"seed {seed}: {text!r}: {error!r}")
        assert update.title.isprintable()
        read += 1
    assert read > 0
