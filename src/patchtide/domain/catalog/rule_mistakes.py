"""What is wrong in a rule's text: each mistake with its place, a sentence, and perhaps a cure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from patchtide.domain.errors import InvalidDocument, Problem

_AROUND = 60
"""Characters of a long line that are shown on each side of the place."""
_LONGEST_WORD = 40
_CUT = "\N{HORIZONTAL ELLIPSIS}"
_UNSHOWN = "\N{MIDDLE DOT}"


class Span(NamedTuple):
    """A place in the text, as offsets."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """Lines and columns count from 1, columns in characters."""

    line: int
    column: int
    length: int
    what: str
    hint: str = ""

    @property
    def where(self) -> str:
        return f"line {self.line}, column {self.column}"

    @property
    def sentence(self) -> str:
        return f"{self.what}; {self.hint}" if self.hint else self.what


class Misread(InvalidDocument):
    """A text in one of Patchtide's own languages cannot be read."""

    def __init__(self, text: str, mistakes: Sequence[Mistake]) -> None:
        self.text = text
        self.mistakes = tuple(mistakes)
        super().__init__(Problem(m.where, m.sentence) for m in self.mistakes)

    def shown(self) -> Iterator[str]:
        """Yield each mistake's line with a mark under its place, and what is wrong there."""
        yield from shown(self.text, self.mistakes)


def shown(text: str, mistakes: Iterable[Mistake]) -> Iterator[str]:
    """Yield each mistake's line with a mark under its place, and what is wrong there."""
    sources = text.split("\n")
    for mistake in mistakes:
        yield f"{mistake.where}: {mistake.sentence}"
        yield from _marked(sources[mistake.line - 1], mistake)


class InvalidRule(Misread):
    """The rule's text cannot be read."""

    code = "invalid-rule"


class InvalidQuery(Misread):
    """The query cannot be read."""

    code = "invalid-query"


def placed(text: str, span: Span, *, what: str, hint: str = "") -> Mistake:
    """Return the mistake with its place in lines and columns; it marks no more than one line."""
    start = min(span.start, len(text))
    begin = text.rfind("\n", 0, start) + 1
    end = text.find("\n", start)
    rest = (len(text) if end < 0 else end) - start
    return Mistake(
        line=text.count("\n", 0, start) + 1,
        column=start - begin + 1,
        length=max(1, min(span.end - span.start, rest)),
        what=what,
        hint=hint,
    )


def in_sight(word: str) -> str:
    """Return as much of a word as can stand in a sentence."""
    shown = "".join(c if c.isprintable() else _UNSHOWN for c in word[:_LONGEST_WORD])
    return f"`{shown}{_CUT if len(word) > _LONGEST_WORD else ''}`"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return a question, or nothing where no known word is like this one."""
    found = get_close_matches(word[:_LONGEST_WORD].lower(), known, n=1)
    return f"did you mean `{found[0]}`?" if found else ""


def _marked(source: str, mistake: Mistake) -> Iterator[str]:
    at = mistake.column - 1
    begin, end = max(0, at - _AROUND), min(len(source), at + _AROUND)
    before, after = _CUT if begin else "", _CUT if end < len(source) else ""
    shown = "".join(c if c.isprintable() else _UNSHOWN for c in source[begin:end])
    length = min(mistake.length, max(1, end - at))
    yield f"  {before}{shown}{after}"
    yield f"  {' ' * (len(before) + at - begin)}{'^' * length}"
