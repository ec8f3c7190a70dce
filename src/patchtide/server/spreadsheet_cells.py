"""Texts as cells of a spreadsheet, where what begins like a formula would be computed.

A spreadsheet splits a line at the signs that it is set to, whatever the file means: what follows
one of them within a text may become a cell of its own.
"""

from __future__ import annotations

import re

_FORMULA = r"\-=+@＝＋－＠"
"""What begins so is computed; some spreadsheets do it with wide letters, too."""
_SPLITS = r",;|\t\r\n"
_PASSED_OVER = r"""(?:['"]|[^\S\t\r\n])*"""
"""Quotes and blanks that a cell may lose before anybody looks what it begins with."""
_COMPUTED, _MADE_HARMLESS = (
    re.compile(
        rf"(?<=[{_SPLITS}]){mark}(?={_PASSED_OVER}[{_FORMULA}])"
        rf"|\A{mark}(?={_PASSED_OVER}[{_FORMULA}\t\r\n])"
    )
    for mark in ("", "'")
)


def harmless(text: str) -> str:
    """Return the text so that a spreadsheet shows it and computes nothing."""
    return _COMPUTED.sub("'", text)


def meant(text: str) -> str:
    """Return what a cell says that was made harmless, as it was before."""
    return _MADE_HARMLESS.sub("", text)
