"""Version orders at the corners that people argue about; the platforms are asked in property."""

from __future__ import annotations

from itertools import pairwise

import pytest

from patchtide.domain.catalog import versions_deb, versions_rpm

DEB = ["1.0~~", "1.0~rc1-1", "1.0", "1.0-0+a", "1.0-1", "1.0a", "1.0+b", "1.0.1", "1.00.2", "1:0"]
RPM = ["1.0~rc1", "1.0", "1.0-~1", "1.0-1", "1.0^git1", "1.0a", "1.0.1", "1.2", "1:0", "2:0-1"]
EQUAL_DEB = [
    ("1", "0:1"),
    ("1.0", "1.0-0"),
    ("1.0-", "1.0"),
    ("1.01", "1.1"),
    ("a", "a0"),
    ("", "0"),
]
EQUAL_RPM = [("1.0", "1_0"), ("1.", "1"), ("00:1.01", "1.1"), (":1", "1"), ("1.é", "1")]


@pytest.mark.parametrize(("a", "b"), [*pairwise(DEB)])
def test_debian_versions_rise(a: str, b: str) -> None:
    assert (versions_deb.compare(a, b), versions_deb.compare(b, a)) == (-1, 1)


@pytest.mark.parametrize(("a", "b"), [*pairwise(RPM)])
def test_rpm_versions_rise(a: str, b: str) -> None:
    assert (versions_rpm.compare(a, b), versions_rpm.compare(b, a)) == (-1, 1)


@pytest.mark.parametrize(("a", "b"), EQUAL_DEB)
def test_two_spellings_of_a_debian_version_are_equal(a: str, b: str) -> None:
    assert versions_deb.compare(a, b) == 0
    assert versions_deb.deb_key(a) == versions_deb.deb_key(b)


@pytest.mark.parametrize(("a", "b"), EQUAL_RPM)
def test_two_spellings_of_an_rpm_version_are_equal(a: str, b: str) -> None:
    assert versions_rpm.compare(a, b) == 0
    assert versions_rpm.rpm_key(a) == versions_rpm.rpm_key(b)


def test_numbers_of_any_length_compare_as_numbers() -> None:
    long = "9" * 300

    for order in (versions_deb, versions_rpm):
        assert order.compare(long, long + "0") == -1
        assert order.compare("1" + "0" * 300, long) == 1
        assert order.compare("0" * 300 + "1", "1") == 0


def test_what_is_no_version_still_has_a_place() -> None:
    for text in ("", ":", "-", "x:y:z", "a:1", " 1.0 ", "1:", "\udc80\0", "1--"):
        for order in (versions_deb, versions_rpm):
            assert order.compare(text, text) == 0
            assert order.compare(text, "99:1") == -1
