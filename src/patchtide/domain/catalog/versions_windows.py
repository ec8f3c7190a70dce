"""The two version orders of Windows: of files, and of Windows Installer's products.

A file has four numbers of 16 bits (`VS_FIXEDFILEINFO`). A product has three that count,
`major.minor.build` (8, 8 and 16 bits in the Installer's own packed form); what follows is
ignored, as the Installer ignores it.
"""

from __future__ import annotations

from functools import lru_cache

from patchtide.domain.catalog.numerals import is_number

FileKey = tuple[int, int, int, int]
_FIELDS = 4
_HIGHEST = 0xFFFF
_COUNTED = 3


@lru_cache(maxsize=1 << 12)
def file_version_key(version: str) -> FileKey | None:
    """Return the sort key, missing fields as zeros; None: this is no version of a file."""
    fields = version.split(".")
    if len(fields) > _FIELDS or not all(map(_is_field, fields)):
        return None
    first, second, third, fourth = [*map(int, fields), 0, 0, 0][:_FIELDS]
    return first, second, third, fourth


@lru_cache(maxsize=1 << 12)
def product_key(version: str) -> bytes:
    """Return the sort key of a product's version.

    As with packages every text has one: what cannot be read comes before all that can.
    """
    fields = version.split(".")[:_COUNTED]
    if not all(map(_is_field, fields)):
        return b""
    numbers = [*map(int, fields), 0, 0][:_COUNTED]
    return b"".join(number.to_bytes(2) for number in numbers)


def _is_field(digits: str) -> bool:
    return (
        is_number(digits)
        and len(digits.lstrip("0")) <= len(str(_HIGHEST))
        and int(digits) <= _HIGHEST
    )
