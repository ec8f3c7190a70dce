"""From a request to an operation's input: path, query and body, every mistake with its place.

The input's types are the schema. Depth and numbers are bounded by them: a field nobody declared
is refused, and the decoder itself refuses nesting and numbers beyond what it can hold.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterable, Mapping
from enum import Enum, EnumType
from functools import cache
from typing import Any, Literal, cast, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo, fields

from patchtide.adapters.http.problems import WrongMediaType
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.patterns import END, LINE

FIELDS_LIMIT = 64
_DIGITS = "{} hexadecimal digits, in small letters"
_NAME = "small letters, digits and hyphens, at most {}, and begins with no hyphen"
_FORMS = {
    "((machine:)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|list:[a-z0-9][a-z0-9-]{0,63})": (
        "the id of a collection, or `machine:` and the id of a machine, or `list:` and the name of"
        " a list"
    ),
    "[0-9]{4}-[0-9]{2}": "a year and a month, as 2026-12",
    "[0-9a-f]{12}": _DIGITS.format(12),
    "[0-9a-f]{32}": _DIGITS.format(32),
    "[0-9a-f]{64}": _DIGITS.format(64),
    "[a-z0-9][a-z0-9-]{0,62}": _NAME.format(63),
    "[a-z0-9][a-z0-9-]{0,63}": _NAME.format(64),
    "[a-z][a-z0-9-]*": "small letters, digits and hyphens, and begins with a letter",
    "[a-z0-9][a-z0-9._@-]*": "small letters, digits, `.`, `_`, `@` and `-`, and begins with none of"
    " these signs",
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}": "an address of e-mail",
    "[A-Za-z0-9 ._-]*": "letters, digits, spaces, `.`, `_` and `-`",
    r"[^\x00-\x1f\x7f]+": "one line of text",
    LINE.removeprefix("^").removesuffix(END): "one line of text, and no sign that turns it round",
}
"""A pattern as it is in a type, without what ties it to both ends -> how people say it."""
_ENDS = re.compile(r"^(?:\^|\\A)|(?:\$\(\?!\[\\s\\S\]\)|\$|\\Z)$")
_LEFT_OUT = re.compile(r"\((.*)\)\?")
_NO_CHOICE = "Invalid enum value"
_NO_MATCH = "Expected `str` matching regex "
_BOUND = re.compile(
    r"Expected `(?P<kind>int|float|str|array|object)` (?P<length>of length )?"
    r"(?P<sign><=|>=|<|>) (?P<bound>.+)"
)
_SIGNS = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}
_WRONG_KIND = re.compile(r"Expected `(?P<kind>\w+)(?: \| null)?`, got `\w+`")
_KINDS = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "an object",
    "str": "a text",
}
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_input(
    kind: type[Struct],
    *,
    path: Mapping[str, str],
    query: bytes,
    body: bytes,
    in_body: bool,
) -> Struct:
    """Return the input, built from everything the request says.

    Raises:
        InvalidDocument: with all its mistakes.
    """
    texts = _query(query)
    documents = _documents(body)
    known = _fields_of(kind)
    problems = [*_twice(texts), *_strangers(texts, documents, known, path, in_body=in_body)]
    found: dict[str, Any] = {}
    sources = [*path.items()]
    sources += [(k, v) for k, v in texts if not in_body and k in known and k not in path]
    for name, text in sources:
        _take(found, problems, known[name], lambda t, text=text: _from_text(text, t))
    for name, raw in documents.items():
        if in_body and name in known and name not in path:
            _take(found, problems, known[name], lambda t, raw=raw: _from_json(raw, t))
    given = {*path, *(k for k, _ in texts), *documents}
    problems += [
        Problem(name, "is missing")
        for name, field in known.items()
        if field.required and name not in given
    ]
    if problems:
        raise InvalidDocument(problems)
    return kind(**found)


@cache
def _fields_of(kind: type[Struct]) -> Mapping[str, FieldInfo]:
    return {field.encode_name: field for field in fields(kind)}


def check_media_type(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
    """Accept a body only as JSON, said so once.

    Raises:
        WrongMediaType: said otherwise, twice, or not at all.
    """
    if not body:
        return
    said = [value for name, value in headers if name == b"content-type"]
    if len(said) != 1:
        raise WrongMediaType
    media_type, _, parameters = said[0].decode("latin-1").lower().partition(";")
    if media_type.strip() != "application/json" or parameters.strip() not in ("", "charset=utf-8"):
        raise WrongMediaType


def _query(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="strict",
            max_num_fields=FIELDS_LIMIT,
        )
    except ValueError as error:
        raise InvalidDocument([Problem("query", "is not a list of name=value")]) from error


def _documents(body: bytes) -> dict[str, msgspec.Raw]:
    if not body:
        return {}
    try:
        return _object.decode(body)
    except RecursionError as error:
        raise InvalidDocument([Problem("body", "is nested too deeply")]) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidDocument([_problem("body", error)]) from error


def _twice(texts: list[tuple[str, str]]) -> list[Problem]:
    names = [name for name, _ in texts]
    return [
        Problem(name, "is given twice") for name in sorted({n for n in names if names.count(n) > 1})
    ]


def _strangers(
    texts: list[tuple[str, str]],
    documents: Mapping[str, object],
    known: Mapping[str, object],
    path: Mapping[str, str],
    *,
    in_body: bool,
) -> list[Problem]:
    """Name what was said in the wrong place, or has no meaning at all."""
    allowed = known.keys() - path.keys()
    asked = {name for name, _ in texts}
    strangers = (asked | documents.keys()) - allowed
    misplaced = (asked if in_body else documents.keys()) & allowed
    where = "belongs into the body" if in_body else "belongs into the query"
    return [Problem(name[:64], "is unknown") for name in sorted(strangers)] + [
        Problem(name, where) for name in sorted(misplaced)
    ]


def _take(found: dict[str, Any], problems: list[Problem], field: FieldInfo, convert: Any) -> None:
    try:
        found[field.name] = convert(field.type)
    except RecursionError:
        problems.append(Problem(field.encode_name, "is nested too deeply"))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        problem = _problem(field.encode_name, error)
        if problem.what.startswith(_NO_CHOICE) and (known := _choices(field.type)):
            problem = Problem(problem.where, f"{problem.what}; there are {', '.join(known)}")
        problems.append(problem)


def _choices(kind: Any) -> list[str]:
    """Return the words that a type allows, of which one was to be said."""
    if isinstance(kind, EnumType):
        return [str(one.value) for one in cast("Iterable[Enum]", kind)]
    inner = get_args(kind)
    if get_origin(kind) is Literal:
        return [str(word) for word in inner if word]
    return [word for part in inner for word in _choices(part)]


def _from_text(text: str, kind: Any) -> Any:
    found = msgspec.convert(text, kind, strict=False)
    if found is None:  # lax reading takes the text "null" for no value; a query has no such thing
        raise msgspec.ValidationError("Expected a value, got `null`")
    return found


def _from_json(raw: msgspec.Raw, kind: Any) -> Any:
    return msgspec.json.decode(raw, type=kind)


def _problem(where: str, error: Exception) -> Problem:
    """Turn msgspec's sentence into a place and what is wrong there."""
    what, _, place = str(error).partition(" - at `$")
    if what.startswith(_NO_MATCH):
        what = said_of(literal_eval(what.removeprefix(_NO_MATCH))) or what
    elif bound := _BOUND.fullmatch(what):
        what = _bounded(**bound.groupdict())
    elif (wrong := _WRONG_KIND.fullmatch(what)) and wrong["kind"] in _KINDS:
        what = f"is not {_KINDS[wrong['kind']]}"
    return Problem(where + place.removesuffix("`"), what)


def _bounded(*, kind: str, length: str | None, sign: str, bound: str) -> str:
    """Return in words between what a number lies, or a length."""
    if length is None:
        return f"is {_SIGNS[sign]} {bound}"
    if sign == ">=" and bound == "1":
        return "is empty"
    return f"has {_SIGNS[sign]} {bound} {'characters' if kind == 'str' else 'entries'}"


def said_of(pattern: str) -> str:
    """Return what a text is made of that matches, in words; empty: nobody has found any."""
    inner = _ENDS.sub("", pattern)
    may_be_empty = _LEFT_OUT.fullmatch(inner)
    form = _FORMS.get(may_be_empty[1] if may_be_empty else inner, "")
    return f"is made of {form}" if form else ""
