"""Version orders are the platforms' own: dpkg's and rpm's, asked themselves."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cmp_to_key

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.catalog import versions_deb, versions_rpm
from patchtide.domain.catalog.versions_deb import deb_key
from patchtide.domain.catalog.versions_rpm import rpm_key

Compare = Callable[[str, str], int]
ORDERS = [
    pytest.param(versions_deb.compare, deb_key, id="deb"),
    pytest.param(versions_rpm.compare, rpm_key, id="rpm"),
]

# Few letters and much repetition, so that versions are often near each other.
texts = st.text(alphabet="0019aAzZ.+~^-:_é ", max_size=12) | st.text(max_size=6)
EDGES = ("", "0", "~", "^", "1", "01", "1.", "1a", "1~", "1^", "1-0", "1-", "0:1", "1:0", "1.0.0")


def versions(count: int, *, extra: str) -> Iterator[str]:
    """Yield versions that a package could have, many of them near each other."""
    dice = random.Random(20260302)
    characters = "00112259" + "abzAZ" + "..+~~" + extra
    for _ in range(count):
        epoch = dice.choice(("", "", "", "0:", "1:", "01:", "12:"))
        body = dice.choice("0019") + "".join(dice.choices(characters, k=dice.randrange(9)))
        tail = "".join(dice.choices(characters, k=dice.randrange(1, 6)))
        yield epoch + body + dice.choice(("", f"-{tail}", f"-{tail}", "-0"))


def pairs(count: int, *, extra: str) -> list[tuple[str, str]]:
    made = list(versions(count, extra=extra))
    near = [(text, mutated(text, index)) for index, text in enumerate(made)]
    return [*near[: count // 2], *itertools.pairwise(made)][:count]


def mutated(text: str, seed: int) -> str:
    dice = random.Random(seed)
    place = dice.randrange(text.find(":") + 2, len(text) + 1)
    return text[:place] + dice.choice(("0", "~", "a", ".", "+", "00", "1", "")) + text[place:]


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


def dpkg_says(a: str, b: str) -> int:
    for relation, answer in (("lt", -1), ("gt", 1)):
        done = subprocess.run(
            ["dpkg", "--compare-versions", a, relation, b], capture_output=True, check=False
        )
        if done.returncode == 0:
            return answer
        assert done.returncode == 1, done.stderr
    return 0


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="needs dpkg")
def test_the_debian_order_is_that_of_dpkg() -> None:
    for a, b in pairs(1_500, extra="-"):
        a, b = a.rstrip("-"), b.rstrip("-")  # dpkg refuses an empty revision
        assert versions_deb.compare(a, b) == dpkg_says(a, b), (a, b)


@pytest.mark.skipif(shutil.which("rpm") is None, reason="needs rpm")
def test_the_rpm_order_is_that_of_rpm() -> None:
    asked = pairs(4_000, extra="^^_")
    said: list[int] = []
    for start in range(0, len(asked), 500):
        program = "".join(
            f"print(rpm.vercmp('{a}','{b}')..' ')" for a, b in asked[start : start + 500]
        )
        done = subprocess.run(
            ["rpm", "--eval", f"%{{lua:{program}}}"], capture_output=True, text=True, check=True
        )
        said += [sign(int(answer)) for answer in done.stdout.split()]

    assert [versions_rpm.compare(a, b) for a, b in asked] == said


@pytest.mark.parametrize(("compare", "key"), ORDERS)
@given(a=texts, b=texts, c=texts)
def test_it_is_an_order(
    compare: Compare, key: Callable[[str], bytes], a: str, b: str, c: str
) -> None:
    low, middle, high = sorted((a, b, c), key=cmp_to_key(compare))

    assert compare(a, b) == -compare(b, a)
    assert compare(a, a) == 0
    assert compare(low, middle) <= 0 and compare(middle, high) <= 0 and compare(low, high) <= 0
    assert sign((key(a) > key(b)) - (key(a) < key(b))) == compare(a, b)


@pytest.mark.parametrize(("compare", "key"), ORDERS)
def test_no_key_begins_another_one(compare: Compare, key: Callable[[str], bytes]) -> None:
    del compare
    keys = sorted({key(a + b) for a in EDGES for b in EDGES})

    assert not [pair for pair in itertools.pairwise(keys) if pair[1].startswith(pair[0])]
