"""What the agent's commands print: JSON for programs, lines for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def plain(text: str) -> str:
    """Return the text with nothing in it that moves a terminal's cursor or colours it."""
    return "".join(c if c.isprintable() else "\N{MIDDLE DOT}" for c in text)


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_lines(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{plain(line).rstrip()}\n" for line in lines))


def columns(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Yield the rows with each column as wide as its widest entry."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
