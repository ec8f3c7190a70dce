"""A rule's text on its way through the parser: the word it is at, and what was wrong so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from patchtide.domain.catalog.rule_mistakes import Mistake, in_sight, placed
from patchtide.domain.catalog.rule_text import RESERVED
from patchtide.domain.catalog.rule_tokens import Token, TokenKind
from patchtide.domain.catalog.rules import MAX_NAMES, MAX_TEXT

INSTEAD: Mapping[str, str] = {
    "==": "equal is `=`",
    "===": "equal is `=`",
    "<>": "other than is `!=`",
    "!": "did you mean `not`?",
    "=<": "at most is `<=`",
    "=>": "at least is `>=`",
    "<<": "before is `<`",
    ">>": "after is `>`",
    "&&": "did you mean `and`?",
    "&": "did you mean `and`?",
    "||": "did you mean `or`?",
    "|": "did you mean `or`?",
}
"""What other languages write, and what it is called here."""


class Lost(Exception):
    """What is wrong was told; the condition cannot be read to its end."""


class Reading:
    """Where the parser stands. A word's own flaw is told when it is left behind."""

    def __init__(self, text: str, words: Sequence[Token]) -> None:
        self.text = text
        self.mistakes: list[Mistake] = []
        self._words = words
        self._at = 0

    @property
    def here(self) -> Token:
        return self._words[self._at]

    @property
    def behind(self) -> Token:
        """Return the word after this one; behind the last is the last."""
        return self._words[min(self._at + 1, len(self._words) - 1)]

    def advance(self) -> Token:
        """Return the word and go on to the next; the last one is never left."""
        here = self.here
        if here.flaw:
            self.refuse(here, here.flaw)
        if here.kind is not TokenKind.END:
            self._at += 1
        return here

    def is_kind(self, *kinds: TokenKind) -> bool:
        return self.here.kind in kinds

    def is_at(self, *words: str) -> bool:
        return self.here.kind is TokenKind.WORD and self.here.text in words

    def take(self, word: str) -> bool:
        """Go on if this is the word."""
        if not self.here.is_word(word):
            return False
        self.advance()
        return True

    def refuse(self, token: Token, what: str, hint: str = "") -> None:
        self.mistakes.append(placed(self.text, token.span, what=what, hint=hint))

    def lose(self, token: Token, what: str, hint: str = "") -> NoReturn:
        """Raises Lost."""
        self.refuse(token, what, hint)
        raise Lost

    def name(self, what: str) -> str:
        """Return a name, in quotes or bare.

        Raises:
            Lost: there is none.
        """
        here = self.here
        if here.kind is TokenKind.WORD and here.text in RESERVED:
            word = in_sight(here.text)
            self.lose(here, f"{what} is missing before {word}", f"or put {word} in quotes")
        if here.kind not in (TokenKind.WORD, TokenKind.QUOTED):
            self.lose(here, f"{what} is missing here")
        if not here.text and not here.flaw:
            self.lose(here, f"{what} is empty")
        if len(here.text) > MAX_TEXT:
            self.lose(here, f"this has more than {MAX_TEXT} characters")
        self.advance()
        if here.flaw:
            raise Lost
        return here.text

    def names(self, what: str) -> tuple[str, ...]:
        """Return a list in parentheses.

        Raises:
            Lost
        """
        opened = self.here
        if opened.kind is not TokenKind.OPEN:
            self.lose(opened, "`in` is followed by a list in parentheses, as `in (a, b)`")
        self.advance()
        try:
            found = self._listed(what)
        except Lost:
            self._leave_list()
            raise
        if len(found) > MAX_NAMES:
            self.lose(opened, f"a list has at most {MAX_NAMES} members")
        return tuple(found)

    def _listed(self, what: str) -> list[str]:
        found = [self.name(what)]
        while self.is_kind(TokenKind.COMMA):
            self.advance()
            if not self.is_kind(TokenKind.CLOSE):
                found.append(self.name(what))
        if not self.is_kind(TokenKind.CLOSE):
            self.lose(self.here, "this list goes on with `,` or ends with `)`")
        self.advance()
        return found

    def _leave_list(self) -> None:
        """Go behind its end, which is not to be taken for that of something else."""
        while not (self.is_kind(TokenKind.CLOSE, TokenKind.END) or self.is_at("and", "or")):
            self.advance()
        if self.is_kind(TokenKind.CLOSE):
            self.advance()
