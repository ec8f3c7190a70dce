"""Forms that carry a file (RFC 7578): fields and the text of files, read as a whole."""

from __future__ import annotations

import re

from patchtide.domain.errors import InvalidDocument, Problem

KIND = "multipart/form-data"
PARTS = 32
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^";\s]{1,70}))')
_NAME = re.compile(r'(?:^|;)\s*name="([^"]{1,64})"')
_HEAD = b"\r\n\r\n"


def fields_in(body: bytes, content_type: str) -> dict[str, tuple[str, ...]]:
    """Return the form's fields; of a file its text.

    Raises:
        InvalidDocument: it is none, or a file is no text.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise _broken()
    mark = b"--" + (found[1] or found[2]).encode()
    # A part begins behind the mark and the end of its line; the last mark ends in two hyphens.
    first, *parts = (b"\r\n" + body).split(b"\r\n" + mark, PARTS + 1)
    if first or len(parts) > PARTS or not parts or not parts[-1].startswith(b"--"):
        raise _broken()
    fields: dict[str, tuple[str, ...]] = {}
    for part in parts[:-1]:
        name, value = _field(part)
        fields[name] = (*fields.get(name, ()), value)
    return fields


def _field(part: bytes) -> tuple[str, str]:
    head, cut, value = part.removeprefix(b"\r\n").partition(_HEAD)
    lines = head.decode("utf-8", "replace").split("\r\n")
    said = next((x for x in lines if x.lower().startswith("content-disposition:")), "")
    name = _NAME.search(said.partition(":")[2].partition(";")[2])
    if not cut or name is None:
        raise _broken()
    try:
        return name[1], value.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = value.count(b"\n", 0, error.start) + 1
        what = "is no UTF-8 text; have it saved as CSV in UTF-8"
        raise InvalidDocument([Problem(f"line {line}", what)]) from error


def _broken() -> InvalidDocument:
    return InvalidDocument([Problem("form", "is not in parts as browsers send it")])
