"""Reads queries as people write them: `severity >= important and required > 0 and not expired`.

A word that is no field's name is looked for in what people read, and so is anything in quotes;
conditions one after the other have all to hold, as if `and` stood between them.
"""

from __future__ import annotations

from patchtide.domain.catalog.numerals import is_number
from patchtide.domain.catalog.queries import (
    OPERATORS,
    All,
    Asked,
    Either,
    Everything,
    FieldKind,
    Fields,
    Mentions,
    No,
    Operator,
    Query,
    QueryField,
    conditions,
)
from patchtide.domain.catalog.query_tests import spelled_address
from patchtide.domain.catalog.query_text import query_text
from patchtide.domain.catalog.rule_combinations import Combinations, Language
from patchtide.domain.catalog.rule_mistakes import InvalidQuery, Mistake, did_you_mean, in_sight
from patchtide.domain.catalog.rule_reading import INSTEAD, Reading
from patchtide.domain.catalog.rule_text import RESERVED
from patchtide.domain.catalog.rule_tokens import Token, TokenKind, tokens

MAX_LENGTH = 4096
MAX_CONDITIONS = 32
"""Each is asked of every row, while whoever else asks waits."""
LINKS = frozenset(("and", "or", "not", "all", "any"))
_WORDS = frozenset((Operator.CONTAINS, Operator.IN, Operator.BETWEEN))
_UNITS = {"d": 1, "w": 7}
_WIDEST = 9
"""Digits of a number."""
_COMING = {"deployed": "there are no deployments yet"}
"""What somebody who has read of other tools asks: read as text, it would find nothing, silently."""
_QUOTED = "to look for the word itself, put it in quotes"
_TOLD = 20
"""Choices that are named to whoever missed them all."""


def parse_query(text: str, fields: Fields) -> Query:
    """Return the query; an empty text asks for everything.

    Raises:
        InvalidQuery: with every mistake, in the order of their places.
    """
    if len(text) > MAX_LENGTH:
        what = f"a query has at most {MAX_LENGTH} characters"
        raise InvalidQuery("", [Mistake(line=1, column=1, length=1, what=what)])
    words = list(tokens(text))
    if len(words) == 1:
        return Everything()
    parser = Combinations(_language(fields), Reading(text, words))
    query = parser.whole()
    mistakes = parser.reading.mistakes
    if mistakes or query is None:
        raise InvalidQuery(text, sorted(mistakes, key=lambda m: (m.line, m.column)))
    if len(list(conditions(query))) > MAX_CONDITIONS:
        what = f"a query has at most {MAX_CONDITIONS} conditions; `in` asks for one of many values"
        raise InvalidQuery("", [Mistake(line=1, column=1, length=1, what=what)])
    return query


def _language(fields: Fields) -> Language[Query]:
    return Language(
        noun="query",
        both=_all,
        either=_either,
        negated=No,
        begins=lambda token: _begins(token, fields),
        condition=lambda reading: _condition(reading, fields),
        beginnings=tuple(fields),
        may_omit_and=True,
    )


def _all(members: tuple[Query, ...]) -> Query:
    return members[0] if len(members) == 1 else All(members)


def _either(members: tuple[Query, ...]) -> Query:
    return members[0] if len(members) == 1 else Either(members)


def _begins(token: Token, fields: Fields) -> bool:
    if token.kind is TokenKind.QUOTED:
        return True
    is_own = token.text in fields or token.text not in RESERVED | _WORDS
    return token.kind is TokenKind.WORD and is_own


def _condition(reading: Reading, fields: Fields) -> Query | None:
    here, behind = reading.here, reading.behind
    field = fields.get(here.text) if here.kind is TokenKind.WORD else None
    if field is not None:
        reading.advance()
        if field.within is not None:
            return _of_query(reading, field, field.within, here)
        return _of_field(reading, field, here)
    is_field = _is_asked(behind) or (
        _is_joined(here, behind) and any(f.of for f in fields.values())
    )
    if here.kind is TokenKind.WORD and is_field:
        hint = did_you_mean(here.text, list(fields)) or f"there are {', '.join(fields)}"
        reading.lose(here, f"there is no field {in_sight(here.text)}", hint)
    if here.kind is TokenKind.WORD and here.text in _COMING:
        reading.lose(here, f"`{here.text}` cannot be asked: {_COMING[here.text]}", _QUOTED)
    asked, colon, _ = here.text.partition(":")
    if here.kind is TokenKind.WORD and colon and asked in fields:
        # As other tools have it: read as text it would find nothing, silently.
        hint = f"say {', '.join(f'`{one}`' for one in OPERATORS[fields[asked].kind])}; {_QUOTED}"
        reading.lose(here, f"`{asked}` is followed by an operator, not by a colon", hint)
    return Mentions(reading.name("the text to look for"))


def _is_joined(here: Token, behind: Token) -> bool:
    return behind.kind is TokenKind.OPEN and here.span.end == behind.span.start


def _is_test(token: Token) -> bool:
    return token.kind is TokenKind.WORD and token.text in _WORDS


def _of_field(reading: Reading, field: QueryField, named: Token) -> Query:
    of = _argument(reading, field, named) if field.of else ""
    if field.kind is FieldKind.FLAG or (of and not _is_asked(reading.here)):
        return Asked(field.name, Operator.HOLDS, (), of)
    operator = _operator(reading, field, named)
    if operator is Operator.IN:
        return Asked(field.name, operator, _several(reading, field), of)
    first = _value(reading, field, is_part=operator is Operator.CONTAINS)
    if operator is not Operator.BETWEEN:
        return Asked(field.name, operator, (first,), of)
    if not reading.take("and"):
        reading.lose(reading.here, "`between` is followed by two values, as `between 1 and 5`")
    return Asked(field.name, operator, (first, _value(reading, field)), of)


def _of_query(reading: Reading, field: QueryField, within: Fields, named: Token) -> Query | None:
    if not reading.is_kind(TokenKind.OPEN):
        hint = f"as `{field.name}(severity = critical)`"
        reading.lose(named, f"of which {field.of} is missing behind `{field.name}`", hint)
    opened = reading.here
    if reading.behind.kind is TokenKind.CLOSE:
        reading.advance()
        reading.advance()
        return Asked(field.name, Operator.HOLDS)
    query = Combinations(_language(within), reading).in_parentheses()
    if query is None:
        return None
    if len(list(conditions(query))) > MAX_CONDITIONS:
        reading.lose(opened, f"a query has at most {MAX_CONDITIONS} conditions")
    return Asked(field.name, Operator.HOLDS, (), query_text(query, within))


def _argument(reading: Reading, field: QueryField, named: Token) -> str:
    hint = f"as `{field.name}({field.of})`; {_QUOTED}"
    if not reading.is_kind(TokenKind.OPEN):
        reading.lose(named, f"of which {field.of} is missing behind `{field.name}`", hint)
    reading.advance()
    of = reading.name(f"the {field.of}")
    if not reading.is_kind(TokenKind.CLOSE):
        reading.lose(reading.here, f"`{field.name}(` takes one {field.of} and ends with `)`")
    reading.advance()
    return of


def _is_asked(here: Token) -> bool:
    return here.kind is TokenKind.OPERATOR or _is_test(here)


def _operator(reading: Reading, field: QueryField, named: Token) -> Operator:
    here, known = reading.here, OPERATORS[field.kind]
    is_test = _is_asked(here)
    if is_test and here.text in known:
        return Operator(reading.advance().text)
    said = f"say {', '.join(f'`{one}`' for one in known)}"
    place, what = named, f"what is asked of `{field.name}` is missing"
    hint = f"{said}; {_QUOTED}"
    if is_test:
        place, what = here, f"`{field.name}` cannot be asked {in_sight(here.text)}"
        hint = INSTEAD.get(here.text, "") or said
    return reading.lose(place, what, hint)


def _several(reading: Reading, field: QueryField) -> tuple[str, ...]:
    opened = reading.here
    if opened.kind is not TokenKind.OPEN:
        reading.lose(opened, "`in` is followed by a list in parentheses, as `in (a, b)`")
    reading.advance()
    found = [_value(reading, field)]
    while reading.is_kind(TokenKind.COMMA):
        reading.advance()
        found.append(_value(reading, field))
    if not reading.is_kind(TokenKind.CLOSE):
        reading.lose(reading.here, "this list goes on with `,` or ends with `)`")
    reading.advance()
    return tuple(found)


def _value(reading: Reading, field: QueryField, *, is_part: bool = False) -> str:
    here = reading.here
    is_nothing = here.kind is TokenKind.QUOTED and not here.text and not here.flaw
    if is_nothing and field.may_lack and not is_part:
        return reading.advance().text
    is_choice = field.kind in (FieldKind.CHOICE, FieldKind.RANK)
    if is_choice and here.kind is TokenKind.WORD and here.text in field.choices:
        return reading.advance().text  # `installed` is a word of the language, too
    text = reading.name(f"a value of `{field.name}`")
    match field.kind:
        case FieldKind.CHOICE | FieldKind.RANK:
            return _choice(reading, field, here)
        case FieldKind.NUMBER:
            if not is_number(text) or len(text) > _WIDEST:
                reading.lose(here, f"`{field.name}` is a whole number of up to {_WIDEST} digits")
            return str(int(text))
        case FieldKind.AGE:
            return _days(reading, field, here)
        case FieldKind.ADDRESS:
            return _address(reading, field, text, here)
        case FieldKind.NAME if field.choices:
            return _name(reading, field, text, here)
        case FieldKind.TEXT if "*" in text and here.kind is TokenKind.WORD:
            hint = f"as `{field.name} contains {text.replace('*', '')}`; in quotes it is itself"
            return reading.lose(here, "`*` does not stand for other letters", hint)
        case _:
            return text


def _choice(reading: Reading, field: QueryField, here: Token) -> str:
    if here.text.lower() not in field.choices:
        hint = did_you_mean(here.text, field.choices) or _there_are(field.choices)
        reading.lose(here, f"{in_sight(here.text)} is no `{field.name}`", hint)
    return here.text.lower()


def _name(reading: Reading, field: QueryField, text: str, here: Token) -> str:
    by_folded = {name.casefold(): name for name in field.choices}
    if text.casefold() not in by_folded:
        hint = did_you_mean(text, field.choices) or _there_are(field.choices)
        reading.lose(here, f"there is no {field.name} {in_sight(text)}", hint)
    return by_folded[text.casefold()]


def _there_are(choices: tuple[str, ...]) -> str:
    more = ", ..." if len(choices) > _TOLD else ""
    return f"there are {', '.join(choices[:_TOLD])}{more}" if choices else "there is none yet"


def _days(reading: Reading, field: QueryField, here: Token) -> str:
    digits, unit = here.text[:-1], _UNITS.get(here.text[-1:])
    if unit is None or not is_number(digits) or len(digits) > _WIDEST:
        reading.lose(here, f"`{field.name}` is counted in days or weeks", "as `30d` or `4w`")
    return str(int(digits) * unit)


def _address(reading: Reading, field: QueryField, text: str, here: Token) -> str:
    try:
        return spelled_address(text)
    except ValueError:
        hint = "as `10.1.0.7` or `10.1.0.0/16`"
        return reading.lose(here, f"`{field.name}` is an address or a network", hint)
