"""Says how a query may go on where somebody is writing it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from patchtide.domain.catalog.queries import OPERATORS, FieldKind, Fields, Operator, QueryField
from patchtide.domain.catalog.query_parser import LINKS
from patchtide.domain.catalog.rule_text import word
from patchtide.domain.catalog.rule_tokens import Token, TokenKind, tokens

MOST = 20
_PARTIAL = (TokenKind.WORD, TokenKind.QUOTED)


@dataclass(frozen=True, slots=True)
class Suggestion:
    text: str
    says: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """`start` to the position asked for is what a suggestion takes the place of."""

    start: int
    suggestions: tuple[Suggestion, ...]


def complete(
    text: str, position: int, fields: Fields, *, known: Mapping[str, Sequence[str]] | None = None
) -> Completion:
    """Return what may stand there; `known` are values of fields that hold texts."""
    before = [t for t in tokens(text[:position]) if t.kind is not TokenKind.END]
    begun = ""
    start = min(position, len(text))
    if before and before[-1].kind in _PARTIAL and before[-1].span.end == start:
        last = before.pop()
        if last.flaw or last.kind is TokenKind.WORD:
            begun, start = last.text.casefold(), last.span.start
        else:
            before.append(last)
    before, fields = _innermost(before, fields)
    offered = _offered(before, fields, known or {})
    fitting = [one for one in offered if begun in one.text.casefold()]
    fitting.sort(key=lambda one: not one.text.casefold().strip('"').startswith(begun))
    return Completion(start, tuple(fitting[:MOST]))


def _innermost(before: list[Token], fields: Fields) -> tuple[list[Token], Fields]:
    """Return what stands in the query that is open there, which may be one within the other."""
    opened: list[tuple[int, Fields | None]] = []
    for at, token in enumerate(before):
        if token.kind is TokenKind.OPEN:
            field = _field_at(before, at - 1, fields)
            opened.append((at, field.within if field else None))
        elif token.kind is TokenKind.CLOSE and opened:
            opened.pop()
    for at, within in opened:
        if within is not None:
            return before[at + 1 :], within
    return before, fields


def _offered(
    before: Sequence[Token], fields: Fields, known: Mapping[str, Sequence[str]]
) -> Iterable[Suggestion]:
    argument = _named_in(before, fields)
    if argument is not None:
        return [Suggestion(word(said)) for said in known.get(argument.name, ())]
    field = _asked_about(before, fields)
    if field is not None:
        return _values(field, known)
    of = _with_argument(before, fields)
    if of is not None:
        tests = [Suggestion(operator.value) for operator in OPERATORS[of.kind]]
        return [*tests, Suggestion("and"), Suggestion("or")]
    last = before[-1] if before else None
    if last is None or last.kind in (TokenKind.OPEN, TokenKind.COMMA) or _links(last):
        return [*_fields(fields), Suggestion("not")]
    named = fields.get(last.text) if last.kind is TokenKind.WORD else None
    is_value = len(before) > 1 and _asked_about(before[:-1], fields) is not None
    if named is not None and not is_value and named.of:
        return [Suggestion("(", named.of)]
    if named is not None and not is_value and OPERATORS[named.kind]:
        return [Suggestion(operator.value) for operator in OPERATORS[named.kind]]
    return [Suggestion("and"), Suggestion("or"), *_fields(fields)]


def _links(token: Token) -> bool:
    return token.kind is TokenKind.WORD and token.text in LINKS


def _fields(fields: Fields) -> list[Suggestion]:
    return [Suggestion(field.name, field.says) for field in fields.values()]


def _values(field: QueryField, known: Mapping[str, Sequence[str]]) -> Iterable[Suggestion]:
    if field.kind is FieldKind.AGE:
        return [Suggestion("7d"), Suggestion("30d"), Suggestion("90d")]
    if field.of:
        return []  # versions of one package are nothing to choose from
    return [Suggestion(word(said)) for said in known.get(field.name, ())] or [
        Suggestion(said) for said in field.choices
    ]


def _asked_about(before: Sequence[Token], fields: Fields) -> QueryField | None:
    """Return the field whose value is to stand next; None: something else is."""
    at = len(before) - 1
    if at < 1:
        return None
    if before[at].kind in (TokenKind.OPEN, TokenKind.COMMA):
        while at > 0 and before[at].kind is not TokenKind.OPEN:
            at -= 1
        at -= 1
        at_field = _before_argument(before, at - 1)
        return _field_at(before, at_field, fields) if before[at].is_word(Operator.IN) else None
    if before[at].is_word("and") and at > 2 and before[at - 2].is_word(Operator.BETWEEN):
        return _field_at(before, _before_argument(before, at - 3), fields)
    asks = before[at].kind is TokenKind.OPERATOR or before[at].text in ("contains", "between")
    return _field_at(before, _before_argument(before, at - 1), fields) if asks else None


def _named_in(before: Sequence[Token], fields: Fields) -> QueryField | None:
    """Return the field whose parenthesis was opened just now."""
    if len(before) < 2 or before[-1].kind is not TokenKind.OPEN:
        return None
    field = _field_at(before, len(before) - 2, fields)
    return field if field is not None and field.of else None


def _with_argument(before: Sequence[Token], fields: Fields) -> QueryField | None:
    """Return the field whose parenthesis was closed just now."""
    if len(before) < 4 or before[-1].kind is not TokenKind.CLOSE:
        return None
    return _named_in(before[:-2], fields)


def _before_argument(before: Sequence[Token], at: int) -> int:
    """Return where the field stands whose test or argument ends there."""
    return at - 3 if at >= 3 and before[at].kind is TokenKind.CLOSE else at


def _field_at(before: Sequence[Token], at: int, fields: Fields) -> QueryField | None:
    is_word = at >= 0 and before[at].kind is TokenKind.WORD
    return fields.get(before[at].text) if is_word else None
