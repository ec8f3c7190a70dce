"""The definition of a custom update as it is written, from what somebody has said in single fields.

What is written here is read by whoever reads definitions, and by nothing else: whether it is right
is said there. Every line is remembered with the field that it comes from, so that a mistake can be
told where it was made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from patchtide.domain.catalog.installers import InstallerKind

RULES = ("prerequisite", "applicable", "installed")
TEXTS = ("description", "licence")
"""Fields of several lines."""
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ._+/-]*(?<! )", re.ASCII)
"""What YAML takes as it stands, whatever it is."""
_WORDS = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenDefinition:
    text: str
    fields: tuple[str, ...]
    """By line: the field that it was made of; empty: of none."""

    def field_at(self, line: int) -> str:
        """Return what was said on a line, counted from 1."""
        return self.fields[line - 1] if 0 < line <= len(self.fields) else ""


@dataclass(slots=True)
class _Lines:
    texts: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)

    def add(self, text: str, of: str = "") -> None:
        self.texts.append(text)
        self.fields.append(of)

    def word(self, key: str, said: str, *, of: str = "", indent: str = "") -> None:
        self.add(f"{indent}{key}: {_word(said)}", of or key)

    def row(self, key: str, said: Sequence[str], *, of: str = "", indent: str = "") -> None:
        self.add(f"{indent}{key}: [{', '.join(map(_word, said))}]", of or key)

    def block(self, key: str, said: str, *, indent: str = "") -> None:
        if not said:
            self.word(key, said, indent=indent)
            return
        self.add(f"{indent}{key}: |", key)
        for line in said.split("\n"):
            self.add(f"{indent}  {line}".rstrip(), key)


def written(said: Mapping[str, str]) -> WrittenDefinition:
    """Return the definition; fields that nobody filled are left out, or are empty if needed."""
    lines = _Lines()
    for key in ("id", "title"):
        lines.word(key, _one(said, key))
    if text := _several(said, "description"):
        lines.block("description", text)
    for key in ("vendor", "classification", "severity"):
        lines.word(key, _one(said, key))
    lines.row("products", listed(said.get("products", "")))
    for key in ("languages", "architectures"):
        if some := listed(said.get(key, "")):
            lines.row(key, some)
    lines.add("rules:")
    for key in RULES:
        lines.block(key, _several(said, key), indent="  ")
    _installer(lines, said)
    _file(lines, said)
    for key in ("supersedes", "cves"):
        if some := listed(said.get(key, "")):
            lines.row(key, some)
    if text := _several(said, "licence"):
        lines.block("licence", text)
    return WrittenDefinition(text="\n".join(lines.texts) + "\n", fields=tuple(lines.fields))


def _installer(lines: _Lines, said: Mapping[str, str]) -> None:
    lines.add("installer:")
    lines.word("kind", _one(said, "kind"), indent="  ")
    if _one(said, "kind") == InstallerKind.PROGRAM:
        lines.word("program", _one(said, "file").rpartition("/")[2], of="file", indent="  ")
        arguments = [one for one in _several(said, "arguments").split("\n") if one]
        if arguments:
            lines.row("arguments", arguments, indent="  ")
        for key in ("success_codes", "restart_codes"):
            if some := listed(said.get(key, "")):
                lines.row(key, some, indent="  ")
    for key in ("restart", "maximum_run_time"):
        if one := _one(said, key):
            lines.word(key, one)


def _file(lines: _Lines, said: Mapping[str, str]) -> None:
    lines.add("files:")
    lines.word("- path", _one(said, "file"), of="file", indent="  ")
    if _one(said, "kind") != InstallerKind.PROGRAM:
        for key in ("package", "version"):
            lines.word(key, _one(said, key), indent="    ")


def listed(said: str) -> list[str]:
    """Return what is parted by commas or lines."""
    parts = (part.strip() for part in said.replace("\n", ",").split(","))
    return [part for part in parts if part]


def _one(said: Mapping[str, str], key: str) -> str:
    return " ".join(said.get(key, "").split())


def _several(said: Mapping[str, str], key: str) -> str:
    lines = said.get(key, "").replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def _word(said: str) -> str:
    is_plain = PLAIN.fullmatch(said) is not None or (said.isascii() and said.isdigit())
    if is_plain and said.lower() not in _WORDS:
        return said
    return json.dumps(said, ensure_ascii=False)
