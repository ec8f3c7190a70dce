"""Numbers as texts have them: digits of ASCII, and few enough to be read at once."""

from __future__ import annotations

MAX_DIGITS = 1_000
"""Python itself refuses to read a number of some thousand digits."""


def is_number(text: str) -> bool:
    """Say whether the text is a whole number that is not negative."""
    return text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
