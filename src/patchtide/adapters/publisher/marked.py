"""YAML with places: what a person wrote, each word still knowing where it stands.

Only what a definition needs is read. Every scalar is the text that was written: `no`, `1.20` and
`2026-01-01` are no booleans, numbers or dates here. Anchors, aliases, tags, merges and a second
document are refused, so nothing can grow beyond what the file holds (S13).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from patchtide.domain.catalog.rule_mistakes import Mistake, Span, in_sight, placed
from patchtide.domain.errors import InvalidDocument, Problem

MAX_LENGTH = 1 << 18
MAX_DEPTH = 8
MAX_NODES = 10_000
_PLAIN = "write the words themselves instead"


class InvalidDefinition(InvalidDocument):
    """The definition of an update is not right."""

    code = "invalid-definition"

    def __init__(self, file: str, text: str, mistakes: list[Mistake]) -> None:
        self.file = file
        self.text = text
        self.mistakes = tuple(sorted(mistakes, key=lambda m: (m.line, m.column)))
        super().__init__(Problem(f"{file}, {m.where}", m.sentence) for m in self.mistakes)


class Unreadable(Exception):
    """The text is no such document; there is no sense in reading on."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.sentence)
        self.mistake = mistake


@dataclass(frozen=True, slots=True)
class Word:
    """A scalar: what it says, and where it is written."""

    text: str
    span: Span
    is_empty: bool = False
    """Nothing is written there, not even quotes."""


@dataclass(frozen=True, slots=True)
class Row:
    """A list."""

    members: tuple[Node, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Table:
    """Keys with what stands behind them; a key may stand there twice."""

    entries: tuple[tuple[Word, Node], ...]
    span: Span


Node = Word | Row | Table


def read_marked(text: str) -> Node:
    """Return what the text says.

    Raises:
        Unreadable: it is no YAML, or uses more of it than a definition may.
    """
    if len(text) > MAX_LENGTH:
        what = f"a definition has at most {MAX_LENGTH} characters"
        raise Unreadable(Mistake(line=1, column=1, length=1, what=what))
    try:
        return _Reading(text).document()
    except yaml.reader.ReaderError as error:
        what = "this character cannot stand in YAML"
        raise Unreadable(placed(text, Span(error.position, 0), what=what)) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(
            placed(text, Span(mark.index if mark else 0, 0), what=_said(error), hint=_CURES)
        ) from error


_CURES = "look at the indentation, at quotes, and at colons and dashes before it"


def _said(error: yaml.MarkedYAMLError) -> str:
    return "; ".join(x for x in ("this is no YAML", error.context, error.problem) if x)


class _Reading:
    """Reads one document, event by event, so that it stops at what it refuses."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=yaml.SafeLoader))
        self._nodes = 0

    def document(self) -> Node:
        next(self._events)
        begin = next(self._events)
        if isinstance(begin, yaml.StreamEndEvent):
            raise self._refused(begin, "there is nothing in this file")
        node = self._node(next(self._events), 1)
        next(self._events)
        end = next(self._events)
        if not isinstance(end, yaml.StreamEndEvent):
            raise self._refused(end, "a file holds one update", "write each into a file of its own")
        return node

    def _node(self, event: Any, depth: int) -> Node:
        self._check(event, depth)
        start = event.start_mark.index
        if isinstance(event, yaml.ScalarEvent):
            span = Span(start, event.end_mark.index)
            return Word(event.value, span, is_empty=not event.value and event.style is None)
        if isinstance(event, yaml.SequenceStartEvent):
            members, end = self._members(depth)
            return Row(tuple(members), Span(start, end))
        members, end = self._members(depth)
        return Table(tuple(self._pairs(members)), Span(start, end))

    def _members(self, depth: int) -> tuple[list[Node], int]:
        members: list[Node] = []
        while True:
            event = next(self._events)
            if isinstance(event, yaml.CollectionEndEvent):
                return members, event.end_mark.index
            members.append(self._node(event, depth + 1))

    def _pairs(self, members: list[Node]) -> Iterator[tuple[Word, Node]]:
        for key, value in zip(members[::2], members[1::2], strict=True):
            if not isinstance(key, Word):
                what = "a key is one word"
                raise Unreadable(placed(self._text, key.span, what=what))
            yield key, value

    def _check(self, event: Any, depth: int) -> None:
        self._nodes += 1
        if isinstance(event, yaml.AliasEvent):
            raise self._refused(event, "an alias cannot be used here", _PLAIN)
        if event.anchor is not None:
            raise self._refused(event, f"the anchor {in_sight(event.anchor)} is not read", _PLAIN)
        if event.tag is not None:
            raise self._refused(event, f"the tag {in_sight(event.tag)} is not read", _PLAIN)
        if depth > MAX_DEPTH:
            raise self._refused(event, f"nothing lies deeper than {MAX_DEPTH} levels")
        if self._nodes > MAX_NODES:
            raise self._refused(event, f"a definition has at most {MAX_NODES} words and lists")

    def _refused(self, event: Any, what: str, hint: str = "") -> Unreadable:
        span = Span(event.start_mark.index, event.end_mark.index)
        return Unreadable(placed(self._text, span, what=what, hint=hint))


def places(text: str, word: Word) -> list[int]:
    """Return where each character of a word is written, and one more for its end.

    YAML folds lines and takes away indentation and quotes, but whatever is no white space stands
    in the same order as in the file. Where something was escaped, the rest is at its beginning.
    """
    at, end = word.span
    if text[at : at + 1] in ("|", ">"):
        at = text.find("\n", at) + 1
    elif text[at : at + 1] in ("'", '"'):
        at += 1
    found: list[int] = []
    for character in word.text:
        while not character.isspace() and at < end and text[at].isspace():
            at += 1
        if at >= end or not (character.isspace() or text[at] == character):
            break
        found.append(at)
        at += 0 if character.isspace() and not text[at].isspace() else 1
    else:
        return [*found, found[-1] + 1 if found else word.span.start]
    return found + [word.span.start] * (len(word.text) + 1 - len(found))
