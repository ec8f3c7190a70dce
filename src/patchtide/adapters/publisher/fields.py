"""Fields of a definition, read one by one: what is wrong is noted with its place and goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from patchtide.adapters.publisher.marked import Node, Row, Table, Word, places
from patchtide.domain.catalog.rule_mistakes import (
    InvalidRule,
    Mistake,
    Span,
    did_you_mean,
    in_sight,
    placed,
)
from patchtide.domain.catalog.rule_parser import parse_rule
from patchtide.domain.catalog.rules import Rule

MAX_WORD = 256
MAX_TEXT = 100_000
MAX_ITEMS = 256
MAX_MISTAKES = 50
_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
_DURATION = re.compile(r"([0-9]{1,5}) ?(min|h)", re.ASCII)
_MINUTES = {"min": 1, "h": 60}

Choice = TypeVar("Choice", bound=StrEnum)
Value = TypeVar("Value")


class TooManyMistakes(Exception):
    """There is no sense in reading on."""


class Fields:
    """Reads fields of one file. What cannot be read is None, and a mistake is noted."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.mistakes: list[Mistake] = []

    def refuse(self, node: Node, what: str, hint: str = "") -> None:
        """Note a mistake.

        Raises:
            TooManyMistakes: there are as many as are told.
        """
        self._note(placed(self._text, node.span, what=what, hint=hint))

    def _note(self, mistake: Mistake) -> None:
        self.mistakes.append(mistake)
        if len(self.mistakes) >= MAX_MISTAKES:
            raise TooManyMistakes

    def table(
        self, node: Node, known: Sequence[str], needed: Sequence[str] = ()
    ) -> Mapping[str, Node]:
        """Return what stands behind the keys that are known."""
        if not isinstance(node, Table):
            self.refuse(node, "here belong keys with their values", f"such as `{known[0]}: ...`")
            return {}
        found: dict[str, Node] = {}
        for key, value in node.entries:
            if key.text not in known:
                hint = did_you_mean(key.text, known) or f"known are {', '.join(known)}"
                self.refuse(key, f"{in_sight(key.text)} is no key here", hint)
            elif key.text in found:
                self.refuse(key, f"`{key.text}` is here twice", "leave one of them out")
            else:
                found[key.text] = value
        for name in needed:
            if name not in found:
                self.refuse(node, f"`{name}` is missing", f"add `{name}:` at this level")
        return found

    def word(self, node: Node, most: int = MAX_WORD) -> str | None:
        """Return one line of text that is not empty."""
        said = self.text(node, most)
        if said is None:
            return None
        said = said.strip()
        if not said:
            self.refuse(node, "nothing is written here", "write a value or leave the key out")
            return None
        if not said.isprintable():
            self.refuse(node, "this is one line of printable characters", "write it on one line")
            return None
        return said

    def text(self, node: Node, most: int = MAX_TEXT) -> str | None:
        if not isinstance(node, Word):
            self.refuse(node, "here belongs a text", "put it into quotes if it is meant as one")
            return None
        if len(node.text) > most:
            self.refuse(node, f"this has {len(node.text)} characters, at most {most} may be")
            return None
        return node.text

    def fitting(self, node: Node, form: re.Pattern[str], what: str, hint: str = "") -> str | None:
        """Return a word of this form; `what` says what it is to be."""
        said = self.word(node)
        if said is None or form.fullmatch(said):
            return said
        self.refuse(node, f"{in_sight(said)} is no {what}", hint)
        return None

    def words(self, node: Node, form: re.Pattern[str], what: str, hint: str = "") -> list[str]:
        """Return the words of a list, each of this form."""
        return [
            said
            for member in self.items(node)
            if (said := self.fitting(member, form, what, hint)) is not None
        ]

    def items(self, node: Node) -> Iterator[Node]:
        if not isinstance(node, Row):
            self.refuse(node, "here belongs a list", "write [one, another]")
        elif len(node.members) > MAX_ITEMS:
            self.refuse(node, f"a list has at most {MAX_ITEMS} members")
        else:
            yield from node.members

    def choice(self, node: Node, kind: type[Choice]) -> Choice | None:
        said = self.word(node)
        if said is None:
            return None
        known = [member.value for member in kind]
        if said in known:
            return kind(said)
        hint = did_you_mean(said, known) or f"it is one of {', '.join(known)}"
        self.refuse(node, f"{in_sight(said)} is not known here", hint)
        return None

    def number(self, node: Node, most: int) -> int | None:
        said = self.fitting(node, _NUMBER, "number", f"write 0 to {most}")
        if said is None or int(said) <= most:
            return None if said is None else int(said)
        self.refuse(node, f"{said} is more than {most}", f"write 0 to {most}")
        return None

    def numbers(self, node: Node, most: int) -> frozenset[int]:
        found = (self.number(member, most) for member in self.items(node))
        return frozenset(number for number in found if number is not None)

    def duration(self, node: Node, most: timedelta) -> timedelta | None:
        said = self.fitting(node, _DURATION, "length of time", "write `30 min` or `2 h`")
        if said is None:
            return None
        length = timedelta(minutes=_minutes(said))
        if timedelta(0) < length <= most:
            return length
        hours = int(most.total_seconds()) // 3600
        self.refuse(node, f"{in_sight(said)} is not 1 min to {hours} h")
        return None

    def rule(self, node: Node) -> Rule | None:
        """Return the rule; its mistakes are placed in the file."""
        if not isinstance(node, Word):
            self.refuse(node, "here belongs a rule", "put it into quotes, or behind `|` on its own")
            return None
        if self.text(node) is None:
            return None
        said = node.text.rstrip()
        try:
            return parse_rule(said)
        except InvalidRule as error:
            where = places(self._text, node)
            for mistake in error.mistakes:
                self._note(self._moved(said, where, mistake))
            return None

    def _moved(self, said: str, where: Sequence[int], mistake: Mistake) -> Mistake:
        begin = sum(len(line) + 1 for line in said.split("\n")[: mistake.line - 1])
        first = min(begin + mistake.column - 1, len(said))
        start = where[first - 1] + 1 if 0 < first == len(said) else where[first]
        span = Span(start, start + mistake.length)
        return placed(self._text, span, what=mistake.what, hint=mistake.hint)


class Part:
    """A table of the definition. What is missing or wrong is read as a stand-in, and noted."""

    def __init__(
        self, fields: Fields, node: Node, known: Sequence[str], needed: Sequence[str] = ()
    ) -> None:
        self.fields = fields
        self.node = node
        self.said = fields.table(node, known, needed)

    def read(self, key: str, how: Callable[[Node], Value | None], otherwise: Value) -> Value:
        node = self.said.get(key)
        value = None if node is None else how(node)
        return otherwise if value is None else value

    def word(self, key: str, form: re.Pattern[str], what: str, hint: str = "") -> str:
        return self.read(key, lambda node: self.fields.fitting(node, form, what, hint), "")

    def words(self, key: str, form: re.Pattern[str], what: str, hint: str = "") -> tuple[str, ...]:
        none: list[str] = []
        found = self.read(key, lambda node: self.fields.words(node, form, what, hint), none)
        return tuple(dict.fromkeys(found))

    def require(self, keys: Sequence[str]) -> None:
        for key in keys:
            if key not in self.said:
                self.fields.refuse(self.node, f"`{key}` is missing", f"add `{key}:` here")

    def refuse(self, keys: Sequence[str], why: str) -> None:
        for key in keys:
            if key in self.said:
                self.fields.refuse(self.said[key], f"`{key}` {why}", "leave it out")


def _minutes(said: str) -> int:
    number, unit = _DURATION.fullmatch(said).groups()  # type: ignore[union-attr]
    return int(number) * _MINUTES[unit]
