"""Texts as cells of a spreadsheet, where what begins like a formula would be computed."""

from __future__ import annotations

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""A cell that begins so would be computed by a spreadsheet; some do it with wide letters, too."""


def harmless(text: str) -> str:
    """Return the text so that a spreadsheet shows it and computes nothing."""
    return f"'{text}" if text.startswith(FORMULA) else text


def meant(text: str) -> str:
    """Return what a cell says that was made harmless, as it was before."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text
