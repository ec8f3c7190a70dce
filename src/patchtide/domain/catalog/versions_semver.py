"""Semantic Versioning 2.0.0, its precedence: section 11 of the standard, and nothing looser.

A text that is no semantic version has no place in this order, so it has no key. A leading `v`
is no part of one, and build metadata (`+...`) does not count.
"""

from __future__ import annotations

from functools import lru_cache

from patchtide.domain.catalog.numerals import is_number

Identifier = tuple[int, int, str]
SemverKey = tuple[int, int, int, int, tuple[Identifier, ...]]
_LETTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-")
_RELEASE = 1
"""Of the fourth place: a pre-release (0) comes before its release."""


@lru_cache(maxsize=1 << 12)
def semver_key(version: str) -> SemverKey | None:
    """Return the sort key; None: this is no semantic version."""
    rest, plus, build = version.partition("+")
    core, dash, before = rest.partition("-")
    numbers = core.split(".")
    if len(numbers) != 3 or not all(map(_is_plain, numbers)):
        return None
    if plus and not all(map(_is_identifier, build.split("."))):
        return None
    marks = before.split(".") if dash else []
    if not all(_is_identifier(mark) and _is_precise(mark) for mark in marks):
        return None
    major, minor, patch = map(int, numbers)
    return major, minor, patch, 0 if dash else _RELEASE, tuple(map(_identifier, marks))


def _identifier(mark: str) -> Identifier:
    """Numbers come before words; numbers compare as numbers, words by their bytes."""
    return (0, int(mark), "") if is_number(mark) else (1, 0, mark)


def _is_identifier(mark: str) -> bool:
    return bool(mark) and _LETTERS.issuperset(mark)


def _is_precise(mark: str) -> bool:
    return not is_number(mark) or _is_plain(mark)


def _is_plain(digits: str) -> bool:
    return is_number(digits) and (digits == "0" or digits[0] != "0")
