"""Stanzas of fields, as Debian writes them: sources, Release files, package indices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Stanza = Mapping[str, str]


def stanzas(text: str) -> Iterator[Stanza]:
    """Yield each stanza with its field names in lower case; a value keeps its own lines.

    Comments may stand anywhere, also between the lines of a value. A line that is no field
    belongs to nothing and is passed over, as apt does.
    """
    fields: dict[str, str] = {}
    name = ""
    for line in text.split("\n"):
        line = line.rstrip("\r")
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t":
            if name:
                fields[name] += "\n" + line
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    if fields:
        yield fields
