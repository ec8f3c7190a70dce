"""RPM's version order: `rpmvercmp` over epoch, version and release, with `~` and `^`.

A version becomes a key of bytes whose plain order is the versions' order. The segments of a
version compare one by one, and at each place: `~` < end < `^` < letters < number.

A version without release comes before the same version with one. (RPM's own dependency check
takes a missing release for any release, which is no order: 1.0-1 = 1.0 = 1.0-2. A rule names
the release when it means one.)
"""

from __future__ import annotations

import re
from functools import lru_cache

_EPOCH = re.compile(r"([0-9]*):")
_SEGMENT = re.compile(r"[0-9]+|[A-Za-z]+|[~^]")
_DIGITS = "0123456789"

_END = b"\x02"
_MARKS = {"~": b"\x01", "^": b"\x03"}
_NO_RELEASE, _WITH_RELEASE = b"\x00", b"\x01"
_LETTERS, _NUMBER = b"\x04", b"\x05"


def _number(digits: str) -> bytes:
    digits = digits.lstrip("0")
    length = len(digits)
    prefix = bytes((length,)) if length < 255 else b"\xff" + length.to_bytes(8)
    return prefix + digits.encode()


_NO_EPOCH = _number("")


@lru_cache(maxsize=1 << 12)
def segment_key(text: str) -> bytes:
    """Return the key of a run of digits or letters, or of a mark; most runs recur."""
    if text[0] in _DIGITS:
        return _NUMBER + _number(text)
    return _MARKS.get(text) or _LETTERS + text.encode() + b"\0"


def _part(text: str) -> bytes:
    """Return the key of one of epoch, version, release; no key begins another one."""
    return b"".join(map(segment_key, _SEGMENT.findall(text))) + _END


@lru_cache(maxsize=1 << 12)
def plain_key(version: str) -> bytes:
    """Return the sort key of a version of no kind: its numbers as numbers, its words as words.

    RPM's order without epoch and release: for kernels' releases, systems' versions, and whatever
    says of itself only that it is a version.
    """
    return _part(version)


@lru_cache(maxsize=1 << 16)
def rpm_key(version: str) -> bytes:
    """Return the sort key of an RPM version: `[epoch:]version[-release]`."""
    epoch, main = _NO_EPOCH, version
    if ":" in version and (begins := _EPOCH.match(version)):
        epoch, main = _number(begins[1]), version[begins.end() :]
    main, dash, release = main.rpartition("-") if "-" in main else (main, "", "")
    return epoch + _part(main) + (_WITH_RELEASE + _part(release) if dash else _NO_RELEASE)


def compare(a: str, b: str) -> int:
    """Return -1, 0 or 1: `a` is older than, equal to or newer than `b`."""
    left, right = rpm_key(a), rpm_key(b)
    return (left > right) - (left < right)
