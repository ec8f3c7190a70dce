"""Answers on a terminal: tables for people, the document itself with --json.

Machines choose their own names, so nothing that came from outside is taken as markup, and no
control character reaches the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Printer:
    out: Console
    err: Console

    def show(self, body: bytes, *, is_done: bool, as_json: bool) -> None:
        """Print an answer: done to the output, refused to the errors."""
        if as_json:
            self.text(body.decode("utf-8", "replace"))
            return
        document = _document(body)
        if not is_done:
            self._refusal(document)
        elif isinstance(document, Mapping):
            self._answer(document)
        elif document is not None:
            self.text(str(document))

    def text(self, text: str) -> None:
        if text:
            self.out.print(Text(_tame(text, keep="\n\t")), soft_wrap=True)

    def _answer(self, document: Mapping[str, Any]) -> None:
        items = document.get("items")
        if isinstance(items, Sequence) and not isinstance(items, str):
            self._rows(items)
            rest = {k: v for k, v in document.items() if k != "items" and v is not None}
        else:
            rest = dict(document)
        if rest:
            self._pairs(rest)

    def _rows(self, items: Sequence[Mapping[str, Any]]) -> None:
        if not items:
            self.out.print(Text("none"))
            return
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in items[0]:
            table.add_column(_tame(name.replace("_", " ")), overflow="fold")
        for item in items:
            table.add_row(*(_cell(value) for value in item.values()))
        self.out.print(table)

    def _pairs(self, document: Mapping[str, Any]) -> None:
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in document.items():
            table.add_row(Text(_tame(name.replace("_", " "))), _cell(value))
        self.out.print(table)

    def _refusal(self, document: Any) -> None:
        if not isinstance(document, Mapping):
            self.err.print(Text(_tame(str(document or "the server refused"))))
            return
        code, detail = str(document.get("code", "")), str(document.get("detail", ""))
        problems = document.get("problems", ())
        self.err.print(Text(_tame(f"{code}: {'' if problems else detail}".strip())), soft_wrap=True)
        for problem in problems:
            line = f"  {problem.get('where')}: {problem.get('what')}"
            self.err.print(Text(_tame(line)), soft_wrap=True)


def _document(body: bytes) -> Any:
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Something between here and the server answered in its own words.
        return body[:300].decode("utf-8", "replace")


def _cell(value: Any) -> Text:
    match value:
        case None | "":
            return Text("-", style="dim")
        case bool():
            return Text("yes" if value else "no")
        case str() | int() | float():
            return Text(_tame(str(value)))
        case list() if all(isinstance(item, str) for item in value):
            return Text(_tame(" ".join(value)))
        case _:
            return Text(_tame(msgspec.json.encode(value).decode()))


def _tame(text: str, *, keep: str = "") -> str:
    """Replace what a terminal could take as a command."""
    return "".join(c if c.isprintable() or c in keep else "\N{MIDDLE DOT}" for c in text)
