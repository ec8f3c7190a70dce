r"""A rule's text in words: names and versions, quotes, operators, parentheses, commas.

`#` begins a comment, to the end of its line. Quotes end on their own line, so that a forgotten
one does not swallow what follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from patchtide.domain.catalog.rule_mistakes import Span

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      |(?P<open>\()
      |(?P<close>\))
      |(?P<comma>,)
      |(?P<operator>[=!<>&|]+)
      |(?P<quoted>"[^"\n]*"?)
      |(?P<word>[^\s()",=!<>&|]+)""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\u\{([0-9A-Fa-f]{0,6})(\}?)")
_HIGHEST = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


class TokenKind(StrEnum):
    WORD = "word"
    QUOTED = "quoted"
    OPERATOR = "operator"
    OPEN = "open"
    CLOSE = "close"
    COMMA = "comma"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is what is meant: of quotes what stands in them, with no escapes left."""

    kind: TokenKind
    text: str
    span: Span
    flaw: str = ""

    def is_word(self, word: str) -> bool:
        return self.kind is TokenKind.WORD and self.text == word


def tokens(text: str) -> Iterator[Token]:
    """Yield the words, and one for the end. Every text has them; flaws are told in the words."""
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup
        if kind is None or kind == "space":
            continue
        yield _token(TokenKind(kind), found[0], Span(*found.span()))
    yield Token(TokenKind.END, "", Span(len(text), len(text)))


def _token(kind: TokenKind, said: str, span: Span) -> Token:
    flaw = ""
    if kind is TokenKind.QUOTED:
        if len(said) < 2 or said[-1] != '"':
            flaw = "this quote is never closed; it must be, on its own line"
        said, bad = _unescaped(said[1:].removesuffix('"'))
        flaw = flaw or bad
    elif not said.isprintable():
        flaw = _unseen(said)
    return Token(kind, said, span, flaw)


def _unescaped(said: str) -> tuple[str, str]:
    """Return the text that is meant, and what is wrong with how it is written."""
    if not said.isprintable():
        return said, _unseen(said)
    flaws: list[str] = []

    def character(escape: re.Match[str]) -> str:
        number = int(escape[1] or "110000", 16)
        if not escape[2] or number > _HIGHEST or number in _SURROGATES:
            flaws.append(f"`{escape[0]}` is no character; one is written as \\u{{e9}}")
            return ""
        return chr(number)

    return _ESCAPE.sub(character, said), flaws[0] if flaws else ""


def _unseen(said: str) -> str:
    number = next(ord(c) for c in said if not c.isprintable())
    return f"a character in it cannot be seen; in quotes it is written as \\u{{{number:x}}}"
