"""Debian's version order, exactly as `dpkg --compare-versions` has it.

A version becomes a key of bytes whose plain order is the versions' order, so keys can be cached,
sorted and kept in a database column. Every text has a key: what is no version at all (a machine
may report anything) still has one place in the order, and nothing raises.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PARTS = re.compile(rb"([^0-9]*)([0-9]*)")
_EPOCH = re.compile(rb"\s*([0-9]+):")

# dpkg's order of characters: a tilde before the end, the end before letters, letters before all
# others. A digit ends a run of non-digits, so it never meets this table.
_TILDE, _END, _FIRST_LETTER, _FIRST_OTHER = 1, 2, 3, 64


def _rank(byte: int) -> int:
    if byte == ord("~"):
        return _TILDE
    if chr(byte).isalpha() and byte < 128:
        return _FIRST_LETTER + byte - ord("A")
    return min(_FIRST_OTHER + byte, 255)


_RANKS = bytes(_rank(byte) for byte in range(256))
_END_BYTE = bytes([_END])
_NOTHING = _END_BYTE + b"\0" + _END_BYTE


def _number(digits: bytes) -> bytes:
    """Return digits so that the order of bytes is the order of numbers: the length goes first."""
    digits = digits.lstrip(b"0")
    length = len(digits)
    return (bytes((length,)) if length < 255 else b"\xff" + length.to_bytes(8)) + digits


def _part(text: bytes) -> bytes:
    """Return the key of an upstream version or a revision; no key begins another one."""
    if not text:
        return _NOTHING  # an absent revision equals revision 0
    # Joined at once: a version of a megabyte must not cost a minute.
    keys = [
        word.translate(_RANKS) + _END_BYTE + _number(digits)
        for word, digits in _PARTS.findall(text)[:-1]
    ]
    return b"".join(keys) + _END_BYTE


@lru_cache(maxsize=1 << 16)
def deb_key(version: str) -> bytes:
    """Return the sort key of a Debian version: `[epoch:]upstream[-revision]`."""
    text = version.encode("utf-8", "surrogateescape").strip()
    epoch = _EPOCH.match(text)
    if epoch:
        text = text[epoch.end() :]
    upstream, _, revision = text.rpartition(b"-") if b"-" in text else (text, b"", b"")
    return _number(epoch[1] if epoch else b"") + _part(upstream) + _part(revision)


def compare(a: str, b: str) -> int:
    """Return -1, 0 or 1: `a` is older than, equal to or newer than `b`."""
    left, right = deb_key(a), deb_key(b)
    return (left > right) - (left < right)
