"""Answers on a terminal: tables for people, the document itself with --json.

Machines choose their own names, so nothing that came from outside is taken as markup, and no
control character reaches the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
from rich.console import Console
from rich.segment import Segments
from rich.table import Table
from rich.text import Text

WIDEST = 12
"""Columns of a table within an answer."""
CELL, LINE = 60, 10_000
"""How wide a cell becomes before it goes on below, and a row at most."""
_UNITS = {"_bytes": "bytes", "_s": "s", "_days": "days"}
"""How names of fields end whose numbers have a unit."""
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)
"""Instants are shown to the minute; they are UTC everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printer:
    out: Console
    err: Console
    url: str = ""
    """Of the server that is asked: what it says of its own pages are paths."""

    def show(
        self, body: bytes, *, is_done: bool, as_json: bool, columns: Sequence[str] = ()
    ) -> None:
        """Print an answer: done to the output, refused to the errors.

        Of a list, or of one within the answer, a table shows those of these columns that it has,
        or all.
        """
        if as_json:
            self.text(body.decode("utf-8", "replace"))
            return
        document = _document(body)
        if not is_done:
            self._refusal(document)
        elif isinstance(document, Mapping):
            self._answer(document, columns)
        elif document is not None:
            self.text(str(document))

    def text(self, text: str) -> None:
        if text:
            self.out.print(Text(tame(text, keep="\n\t")), soft_wrap=True)

    def complain(self, text: str) -> None:
        self.err.print(Text(tame(text, keep="\n")), soft_wrap=True)

    def _answer(self, document: Mapping[str, Any], columns: Sequence[str]) -> None:
        items = document.get("items")
        if isinstance(items, Sequence) and not isinstance(items, str):
            self._rows(items, columns)
            rest = {k: v for k, v in document.items() if k != "items" and v is not None}
        else:
            rest = dict(document)
        parts = {name: value for name, value in rest.items() if _is_part(value)}
        if plain := {name: value for name, value in rest.items() if name not in parts}:
            self._pairs(plain)
        for name, value in parts.items():
            self._part(name, value, columns)

    def _part(self, name: str, items: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Print a list within an answer: as a table, or one after the other where it is wide."""
        self.out.print(Text(tame(f"\n{name.replace('_', ' ')}", keep="\n"), style="bold"))
        if len(items[0]) <= WIDEST or any(column in items[0] for column in columns):
            self._rows(items, columns)
            return
        for item in items:
            self._pairs(item)

    def _rows(self, items: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        if not items:
            self.out.print(Text("none"))
            return
        names = [name for name in columns if name in items[0]] or list(items[0])
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in names:
            table.add_column(tame(name.replace("_", " ")), overflow="fold", max_width=CELL)
        for item in items:
            table.add_row(*(_cell(item.get(name)) for name in names))
        self._print_whole(table)

    def _print_whole(self, table: Table) -> None:
        """Print rows as long as they are: squeezed, nobody can read them, nor search in them."""
        wide = self.out.options.update(max_width=LINE)
        needed = self.out.measure(table, options=wide).maximum
        lines = self.out.render_lines(table, wide.update(width=needed), new_lines=True)
        self.out.print(Segments(chain.from_iterable(lines)), soft_wrap=True, end="")

    def _pairs(self, document: Mapping[str, Any]) -> None:
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in document.items():
            is_page = name == "link" and str(value).startswith("/")
            named, shown = _with_unit(name, f"{self.url}{value}" if is_page else value)
            table.add_row(Text(tame(named)), _cell(shown))
        self.out.print(table)

    def _refusal(self, document: Any) -> None:
        if not isinstance(document, Mapping):
            self.err.print(Text(tame(str(document or "the server refused"))))
            return
        code, detail = str(document.get("code", "")), str(document.get("detail", ""))
        problems = document.get("problems", ())
        self.err.print(Text(tame(f"{code}: {'' if problems else detail}".strip())), soft_wrap=True)
        for problem in problems:
            line = f"  {problem.get('where')}: {problem.get('what')}"
            self.err.print(Text(tame(line)), soft_wrap=True)


def _document(body: bytes) -> Any:
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Something between here and the server answered in its own words.
        return body[:300].decode("utf-8", "replace")


def _is_part(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _cell(value: Any) -> Text:
    said = _said(value)
    return Text(tame(said, keep="\n")) if said else Text("-", style="dim")


def _with_unit(name: str, value: Any) -> tuple[str, Any]:
    """Return a field's name as people read it, with its unit moved to the value."""
    for ending, unit in _UNITS.items():
        if name.endswith(ending) and isinstance(value, int):
            return name.removesuffix(ending).replace("_", " "), f"{value:,} {unit}"
    return name.replace("_", " "), value


def _in_words(document: Mapping[str, Any]) -> str:
    """Say what a document in a cell holds: what is several below, what tells nothing not at all."""
    said = [_with_unit(name, value) for name, value in document.items()]
    lists = [f"{name}:\n{_said(value)}" for name, value in said if _is_part(value)]
    rest = [
        f"{name} {text}" for name, value in said if not _is_part(value) and (text := _said(value))
    ]
    return "\n".join([*([", ".join(rest)] if rest else []), *lists])


def _said(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str() if _INSTANT.fullmatch(value):
            return f"{value[:10]} {value[11:16]}"
        case {"depth": int(depth), "text": str(text)}:
            return f"{'  ' * depth}{text}"
        case dict():
            return _in_words(value)
        case list() if any(isinstance(item, dict) for item in value):
            return "\n".join(_line(item) for item in value)
        case list():
            return " ".join(map(_said, value))
        case _:
            return str(value)


def _line(item: Any) -> str:
    """Say one of several things in a cell: what it is made of, in the order it came in."""
    if not isinstance(item, dict) or "depth" in item:
        return _said(item)
    said = (_with_unit(name, value)[1] for name, value in item.items())
    return " ".join(text for value in said if (text := _said(value)))


def tame(text: str, *, keep: str = "") -> str:
    """Replace what a terminal could take as a command."""
    return "".join(c if c.isprintable() or c in keep else "\N{MIDDLE DOT}" for c in text)
