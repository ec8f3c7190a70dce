"""The kinds of values that facts have: what may be written of each, and how two of them compare.

A value that a machine tells and that is not of its fact's kind has no key: what is asked of it is
unknown, for nobody may guess what was meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from patchtide.domain.catalog.numerals import is_number
from patchtide.domain.catalog.versions_deb import deb_key
from patchtide.domain.catalog.versions_rpm import plain_key, rpm_key
from patchtide.domain.catalog.versions_semver import semver_key
from patchtide.domain.catalog.versions_windows import file_version_key, product_key

BETWEEN, MATCHES = "between", "matches"
EQUALITY = frozenset(("=", "!="))
ORDER = EQUALITY | {"<", "<=", ">=", ">", BETWEEN}
_WIDEST = 30
"""Digits of a number."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}")
_MIDNIGHT = "T00:00:00Z"


class ValueType(StrEnum):
    FLAG = "yes or no"
    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    HASH = "hash"
    VERSION = "version"
    SEMVER = "semver"
    FILE_VERSION = "file version"
    DEB = "Debian version"
    RPM = "RPM version"
    PRODUCT = "product version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is known of one kind of values. `spelled` raises ValueError, with a sentence."""

    says: str
    tests: frozenset[str]
    key: Callable[[str], Any]
    spelled: Callable[[str], str] = str


def _number(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if is_number(digits) and len(digits) <= _WIDEST else None


def _spelled_number(text: str) -> str:
    number = _number(text)
    if number is None:
        raise ValueError(f"must be a whole number of up to {_WIDEST} digits")
    return str(number)


def _date(text: str) -> str | None:
    """Return it in its long form, in which the order of texts is that of time."""
    if not _DATE.fullmatch(text):
        return None
    long = text if "T" in text else text + _MIDNIGHT
    try:
        datetime.fromisoformat(long)
    except ValueError:
        return None
    return long


def _spelled_date(text: str) -> str:
    long = _date(text)
    if long is None:
        raise ValueError("must be a day, as 2026-03-31, or a time in UTC, as 2026-03-31T18:30:00Z")
    return long.removesuffix(_MIDNIGHT)


def _hash(text: str) -> str | None:
    lower = text.lower()
    return lower if _HASH.fullmatch(lower) else None


def _spelled_hash(text: str) -> str:
    lower = _hash(text)
    if lower is None:
        raise ValueError("must be a SHA-256: 64 hexadecimal digits")
    return lower


def _readable(key: Callable[[str], object], what: str) -> Callable[[str], str]:
    def spelled(text: str) -> str:
        if key(text) is None:
            raise ValueError(f"must be {what}")
        return text

    return spelled


KINDS: Mapping[ValueType, Kind] = {
    ValueType.FLAG: Kind(says="It is so, or it is not.", tests=frozenset(), key=str),
    ValueType.TEXT: Kind(
        says="Any text, compared letter by letter.", tests=EQUALITY | {MATCHES}, key=str
    ),
    ValueType.NUMBER: Kind(
        says="A whole number.", tests=ORDER, key=_number, spelled=_spelled_number
    ),
    ValueType.DATE: Kind(
        says="A day (`2026-03-31`: its first second) or a time (`2026-03-31T18:30:00Z`), in UTC.",
        tests=ORDER,
        key=_date,
        spelled=_spelled_date,
    ),
    ValueType.HASH: Kind(
        says="A SHA-256 in hexadecimal digits.", tests=EQUALITY, key=_hash, spelled=_spelled_hash
    ),
    ValueType.VERSION: Kind(
        says="A version of no kind: numbers compare as numbers, words as words.",
        tests=ORDER | {MATCHES},
        key=plain_key,
    ),
    ValueType.SEMVER: Kind(
        says="A version by Semantic Versioning 2.0.0.",
        tests=ORDER | {MATCHES},
        key=semver_key,
        spelled=_readable(semver_key, "a semantic version, as 1.4.0 or 2.0.0-rc.1"),
    ),
    ValueType.FILE_VERSION: Kind(
        says="A version of a Windows file: four numbers; those that are left out are 0.",
        tests=ORDER | {MATCHES},
        key=file_version_key,
        spelled=_readable(file_version_key, "up to four numbers below 65536, as 10.0.19041.1"),
    ),
    ValueType.DEB: Kind(
        says="A version of a Debian package, in dpkg's order.", tests=ORDER | {MATCHES}, key=deb_key
    ),
    ValueType.RPM: Kind(
        says="A version of an RPM package, in rpm's order.", tests=ORDER | {MATCHES}, key=rpm_key
    ),
    ValueType.PRODUCT: Kind(
        says="A version of a Windows Installer product: the first three numbers count.",
        tests=ORDER | {MATCHES},
        key=product_key,
    ),
}


def fits_pattern(pattern: str, text: str) -> bool:
    """Say whether the whole text fits: `*` stands for any characters, or none; all else for itself.

    Each piece is taken at its first place behind the one before, which is never a wrong choice:
    so the text is gone through once, however the pattern is made.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *between, last = rest
    if not text.startswith(first) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in between:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return text.endswith(last)
