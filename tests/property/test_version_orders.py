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
from patchtide.domain.catalog.versions_rpm import plain_key, rpm_key
from patchtide.domain.catalog.versions_semver import semver_key
from patchtide.domain.catalog.versions_windows import file_version_key, product_key

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


@given(a=texts, b=texts)
def test_a_version_of_no_kind_compares_as_rpm_compares_what_has_no_release(a: str, b: str) -> None:
    a, b = (text.replace("-", ".").replace(":", ".") for text in (a, b))

    assert (plain_key(a) < plain_key(b)) is (rpm_key(a) < rpm_key(b))


@pytest.mark.parametrize(
    "ascending",
    [
        ["6.1.0-9-amd64", "6.1.0-18", "6.1.0-18-amd64", "6.1.0-20", "6.1.10-1", "6.10"],
        ["8", "8.10", "9", "9.4", "10", "12", "22.04", "22.10", "24.04"],
    ],
    ids=["kernels", "systems"],
)
def test_versions_of_no_kind_ascend_as_people_count(ascending: list[str]) -> None:
    assert [plain_key(text) for text in ascending] == sorted(map(plain_key, ascending))


SEMVER_ASCENDING = (
    # Sections 9 to 11 of the standard, in its own examples.
    *("0.0.4", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2"),
    *("1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.9.0", "1.10.0", "1.11.0"),
    *("2.0.0", "2.1.0", "2.1.1", "10.20.30"),
)
SEMVER_WRONG = (
    *("", "1", "1.2", "1.2.3.4", "v1.2.3", "01.1.1", "1.01.1", "1.2.3-", "1.2.3-01", "1.2.3-a..b"),
    *("1.2.3+", "1.2.3+a+b", "1.2.3-é", "1.2.-3", " 1.2.3", "1.2.3-a_b", "²1.0.0", "1.1.²"),
)


def test_semantic_versions_ascend_as_the_standard_has_them() -> None:
    keys = [semver_key(text) for text in SEMVER_ASCENDING]

    assert None not in keys and len(set(keys)) == len(keys)
    assert sorted(keys) == keys
    assert semver_key("1.0.0+20130313144700") == semver_key("1.0.0+exp.sha-5114f85")
    assert semver_key("1.0.0-0A.is.legal") is not None


@pytest.mark.parametrize("text", SEMVER_WRONG)
def test_what_is_no_semantic_version_has_no_place_in_the_order(text: str) -> None:
    assert semver_key(text) is None


marks = st.lists(
    st.from_regex(r"(0|[1-9][0-9]{0,3}|[0-9]{0,2}[a-zA-Z-][0-9a-zA-Z-]{0,3})", fullmatch=True),
    max_size=4,
)
semvers = st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 2), marks)


@given(semvers, semvers)
def test_semantic_precedence_is_rule_eleven_word_for_word(
    a: tuple[int, int, int, list[str]], b: tuple[int, int, int, list[str]]
) -> None:
    left, right = (semver_key(written(version)) for version in (a, b))

    assert left is not None and right is not None
    assert sign((left > right) - (left < right)) == by_rule_eleven(a, b)


def written(version: tuple[int, int, int, list[str]]) -> str:
    *core, marks = version
    return ".".join(map(str, core)) + (f"-{'.'.join(marks)}" if marks else "")


def by_rule_eleven(a: tuple[int, int, int, list[str]], b: tuple[int, int, int, list[str]]) -> int:
    for left, right in zip(a[:3], b[:3], strict=True):
        if left != right:  # 11.2: numerically, from left to right
            return -1 if left < right else 1
    if not a[3] or not b[3]:  # 11.3: a pre-release is lower than its release
        return bool(b[3]) - bool(a[3])
    for own, other in zip(a[3], b[3], strict=False):
        if own == other:
            continue
        if own.isdecimal() and other.isdecimal():  # 11.4.1
            return -1 if int(own) < int(other) else 1
        if own.isdecimal() != other.isdecimal():  # 11.4.3: numbers are lower
            return -1 if own.isdecimal() else 1
        return -1 if own < other else 1  # 11.4.2: in ASCII order
    return sign(len(a[3]) - len(b[3]))  # 11.4.4: more fields are higher


fields = st.integers(0, 0xFFFF)
file_versions = st.tuples(fields, fields, fields, fields)


@given(file_versions, file_versions)
def test_versions_of_files_compare_as_their_64_packed_bits(
    a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    left, right = (file_version_key(".".join(map(str, version))) for version in (a, b))

    assert left is not None and right is not None
    assert (left < right) is (packed(a, 16, 16, 16, 16) < packed(b, 16, 16, 16, 16))


products = st.tuples(st.integers(0, 255), st.integers(0, 255), fields, fields)


@given(products, products)
def test_versions_of_products_compare_as_the_installers_own_32_bits(
    a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    """The Installer packs three fields into one number; a fourth one is not looked at."""
    left, right = (product_key(".".join(map(str, version))) for version in (a, b))
    own, other = (packed(version[:3], 8, 8, 16) for version in (a, b))

    assert (left < right, left == right) == (own < other, own == other)


def packed(version: tuple[int, ...], *bits: int) -> int:
    number = 0
    for field, width in zip(version, bits, strict=True):
        number = number << width | field
    return number


def test_missing_fields_are_zeros_and_what_is_no_version_is_told_apart() -> None:
    assert file_version_key("10.0") == file_version_key("10.0.0.0") == (10, 0, 0, 0)
    assert product_key("2") == product_key("2.0.0") == product_key("2.0.0.99")
    wrong = ("", "1.", "1.2.3.4.5", "65536", "1.x", "-1", "1,2", "²")
    assert [file_version_key(text) for text in wrong] == [None] * len(wrong)
    assert product_key("no version") < product_key("0.0.0")
