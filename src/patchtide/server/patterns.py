"""Forms of names in inputs; each goes up to the very end, and takes no line break there."""

from __future__ import annotations

from typing import Final

END: Final = r"$(?![\s\S])"
"""`$` alone takes a line break after what it ends."""
SLUG: Final = r"^[a-z0-9][a-z0-9-]{0,63}" + END
LABEL: Final = r"^[a-z0-9][a-z0-9-]{0,62}" + END
"""A slug that is short enough for a part of a host's name."""
SHA256: Final = r"^[0-9a-f]{64}" + END
RANDOM_ID: Final = r"^[0-9a-f]{32}" + END
_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
PLACE: Final = rf"^((machine:)?{_UUID}|list:[a-z0-9][a-z0-9-]{{0,63}})" + END
SHORT_ID: Final = r"^[0-9a-f]{12}" + END
MONTH: Final = r"^[0-9]{4}-[0-9]{2}" + END
ROLE: Final = r"^[a-z][a-z0-9-]*" + END
LINE: Final = r"^[^\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]*" + END
"""Text of one line that reads as it is written: nothing in it breaks the line or turns it round."""


def or_nothing(pattern: str) -> str:
    """Return the form of a text that may be left out."""
    return f"^({pattern.removeprefix('^').removesuffix(END)})?{END}"
