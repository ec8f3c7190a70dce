"""Reads how conditions are combined, whatever the conditions are: of rules, of queries.

```text
whole  = part { "or" part }
part   = factor { "and" factor }
factor = { "not" } ( "(" whole ")" | ("all" | "any") "of" "(" whole { "," whole } ")" | condition )
```

A mistake ends its condition and no more: what follows the next `and`, `or`, comma or parenthesis
is read as if there had been none, so that all mistakes are told at once. Every word is looked at
a fixed number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from patchtide.domain.catalog.rule_mistakes import did_you_mean, in_sight, placed
from patchtide.domain.catalog.rule_reading import INSTEAD, Lost, Reading
from patchtide.domain.catalog.rule_tokens import Token, TokenKind
from patchtide.domain.catalog.rules import MAX_DEPTH, MAX_NODES

T = TypeVar("T")
MAX_MISTAKES = 50
_ENDS = frozenset((TokenKind.END, TokenKind.CLOSE, TokenKind.COMMA))


@dataclass(frozen=True, slots=True, kw_only=True)
class Language(Generic[T]):
    """What one language has of its own."""

    noun: str
    """What a whole text of it is called."""
    both: Callable[[tuple[T, ...]], T]
    either: Callable[[tuple[T, ...]], T]
    negated: Callable[[T], T]
    begins: Callable[[Token], bool]
    """Whether the word begins a condition."""
    condition: Callable[[Reading], T | None]
    """Reads one that begins here; raises Lost. None: it has told of mistakes, and read on."""
    beginnings: tuple[str, ...]
    """Words with which conditions begin, for whoever mistyped one."""
    may_omit_and: bool = False
    list_hint: str = "a list is written `all of (...)` or `any of (...)`"
    too_many: str = ""
    """What to do about a text with too many parts."""


class _GiveUp(Exception):
    """There is no sense in reading on."""


class Combinations(Generic[T]):
    """Reads combinations. A part in which a mistake was found is None."""

    def __init__(self, language: Language[T], reading: Reading) -> None:
        self.reading = reading
        self._language = language
        self._list_hint = language.list_hint
        self._nesting = 0
        self._nodes = 0

    def whole(self) -> T | None:
        reading = self.reading
        try:
            rule = self._rule()
            while not reading.is_kind(TokenKind.END):
                if reading.is_kind(TokenKind.CLOSE):
                    self._refuse(reading.here, "this parenthesis closes none")
                else:
                    self._refuse(reading.here, "a comma stands only in a list", self._list_hint)
                reading.advance()
                if not reading.is_kind(TokenKind.END):
                    self._rest()
        except _GiveUp:
            return None
        return rule

    def in_parentheses(self) -> T | None:
        """Read what stands in the parentheses that open here, as part of another text."""
        return self._parenthesis(self.reading.here)

    def _rest(self) -> None:
        """Read what follows a parenthesis or comma too many, for the mistakes in it."""
        if self.reading.is_at("and", "or"):
            self.reading.advance()
        self._rule()

    def _rule(self) -> T | None:
        begin = self.reading.here
        members = [self._part()]
        while self.reading.take("or"):
            members.append(self._part())
        return (
            members[0]
            if len(members) == 1
            else self._combined(self._language.either, members, begin)
        )

    def _part(self) -> T | None:
        begin = self.reading.here
        members = [self._factor()]
        while self.reading.here.kind not in _ENDS and not self.reading.is_at("or"):
            if not self.reading.take("and") and not self._goes_on():
                continue
            members.append(self._factor())
        return (
            members[0] if len(members) == 1 else self._combined(self._language.both, members, begin)
        )

    def _goes_on(self) -> bool:
        """Say whether the next factor begins here, though nothing links it."""
        begins = self._is_beginning()
        if not (begins and self._language.may_omit_and):
            self._missing_link()
        if not begins:
            self._skip()
        return begins

    def _missing_link(self) -> None:
        here = self.reading.here
        if self._is_beginning():
            self._refuse(here, "`and` or `or` is missing before this")
            return
        hint = INSTEAD.get(here.text, "") if here.kind is TokenKind.OPERATOR else ""
        hint = hint or did_you_mean(here.text, ("and", "or"))
        self._refuse(
            here, f"nothing is meant by {in_sight(here.text)} here: `and` or `or` follows", hint
        )

    def _is_beginning(self) -> bool:
        here = self.reading.here
        combines = here.kind is TokenKind.WORD and here.text in ("all", "any", "not")
        return combines or here.kind is TokenKind.OPEN or self._language.begins(here)

    def _factor(self) -> T | None:
        begin, depth = self.reading.here, self._nesting
        negations = 0
        while self.reading.is_at("not"):
            self._descend(self.reading.here)
            self.reading.advance()
            negations += 1
        rule = self._primary()
        self._nesting = depth
        for _ in range(negations):
            rule = self._combined(lambda members: self._language.negated(members[0]), [rule], begin)
        return rule

    def _primary(self) -> T | None:
        here = self.reading.here
        if here.kind is TokenKind.OPEN:
            return self._parenthesis(here)
        if here.kind is TokenKind.WORD and here.text in ("all", "any"):
            return self._list()
        self._count(here)
        if self._language.begins(here):
            return self._condition()
        if here.kind in _ENDS or self.reading.is_at("and", "or"):
            what = "here" if here.kind is TokenKind.END else f"before {in_sight(here.text)}"
            self._refuse(here, f"a condition is missing {what}")
            return None
        self._unknown(here)
        self._skip()
        return None

    def _unknown(self, here: Token) -> None:
        if here.flaw:
            return  # told when it is left behind
        hint = INSTEAD.get(here.text, "") if here.kind is TokenKind.OPERATOR else ""
        hint = hint or did_you_mean(here.text, (*self._language.beginnings, "all", "any", "not"))
        hint = hint or f"one begins with {', '.join(self._language.beginnings)}"
        self._refuse(here, f"no condition begins with {in_sight(here.text)}", hint)

    def _condition(self) -> T | None:
        try:
            return self._language.condition(self.reading)
        except Lost:
            self._skip()
            return None

    def _parenthesis(self, opened: Token) -> T | None:
        members = self._members(opened)
        if len(members) > 1:
            self._refuse(opened, "there is a comma in these parentheses", self._list_hint)
            return None
        return members[0]

    def _list(self) -> T | None:
        begin = self.reading.here
        self.reading.advance()
        self.reading.take("of")
        opened = self.reading.here
        if opened.kind is not TokenKind.OPEN:
            self._refuse(opened, f"`{begin.text} of` is followed by `(`", self._list_hint)
            self._skip()
            return None
        language = self._language
        combine = language.both if begin.text == "all" else language.either
        return self._combined(combine, self._members(opened), begin)

    def _members(self, opened: Token) -> list[T | None]:
        """Read what stands in parentheses; the last member may have a comma too."""
        depth = self._nesting
        self._descend(opened)
        self.reading.advance()
        members = [self._rule()]
        while self.reading.is_kind(TokenKind.COMMA):
            self.reading.advance()
            if not self.reading.is_kind(TokenKind.CLOSE):
                members.append(self._rule())
        if self.reading.is_kind(TokenKind.CLOSE):
            self.reading.advance()
        else:
            self._refuse(opened, "this parenthesis is never closed")
        self._nesting = depth
        return members

    def _combined(
        self,
        combine: Callable[[tuple[T, ...]], T],
        members: Sequence[T | None],
        begin: Token,
    ) -> T | None:
        self._count(begin)
        there = tuple(member for member in members if member is not None)
        if len(there) < len(members):
            return None
        try:
            return combine(there)
        except ValueError as error:
            self._refuse(begin, str(error))
            raise _GiveUp from error

    def _descend(self, here: Token) -> None:
        self._nesting += 1
        if self._nesting > MAX_DEPTH:
            self._refuse(here, f"this lies more than {MAX_DEPTH} deep")
            raise _GiveUp

    def _count(self, here: Token) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._refuse(
                here,
                f"a {self._language.noun} has at most {MAX_NODES} parts{self._language.too_many}",
            )
            raise _GiveUp

    def _refuse(self, token: Token, what: str, hint: str = "") -> None:
        reading = self.reading
        reading.refuse(token, what, hint)
        if len(reading.mistakes) >= MAX_MISTAKES:
            mistake = placed(reading.text, reading.here.span, what="nothing was read from here on")
            reading.mistakes.append(mistake)
            raise _GiveUp

    def _skip(self) -> None:
        """Go to where the next part may begin; what stands in parentheses is left out."""
        open_here = 0
        while not self.reading.is_kind(TokenKind.END):
            kind = self.reading.here.kind
            if not open_here and (kind in _ENDS or self.reading.is_at("and", "or")):
                return
            open_here += (kind is TokenKind.OPEN) - (kind is TokenKind.CLOSE)
            self.reading.advance()
