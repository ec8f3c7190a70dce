"""Rules to ask a server about: as they were typed, or out of a file with one or a definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from patchtide.adapters.publisher.folder import read_definitions
from patchtide.adapters.publisher.marked import InvalidDefinition
from patchtide.domain.catalog.custom import CustomUpdate, feed_update
from patchtide.domain.catalog.rule_mistakes import Misread, Mistake, shown
from patchtide.domain.catalog.rule_parser import MAX_LENGTH, parse_rule
from patchtide.domain.catalog.rule_text import rule_text
from patchtide.domain.errors import InvalidDocument, Problem, Refused

RULE = "rule"
_OF_LEAF = {"prerequisite": "prerequisite", RULE: "applicable", "installed": "installed"}
_DEFINITIONS = frozenset((".yaml", ".yml"))
_BYTES = 4 * MAX_LENGTH


def with_rules(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what was said with the rules of the file that was named, if one was.

    Raises:
        InvalidRule, InvalidDefinition: with every mistake and its place.
        InvalidDocument: rules were given beside a definition, which has its own.
        Refused: the file cannot be read, or holds several definitions.
    """
    text = said.get(RULE)
    if text is None:
        return said
    file = _file(text)
    if file is not None and (file.is_dir() or file.suffix in _DEFINITIONS):
        if beside := [name for name in _OF_LEAF if name != RULE and name in said]:
            raise InvalidDocument([Problem(name, "is said by the definition") for name in beside])
        return {**said, **_rules_of(_definition(file))}
    rules = {name: said[name] for name in _OF_LEAF if name in said}
    rules[RULE] = text if file is None else _content(file)
    for rule in rules.values():
        parse_rule(rule)
    return {**said, **rules}


def mistakes_in(error: Misread | InvalidDefinition) -> Iterator[str]:
    """Yield each mistake's line with a mark under its place."""
    if isinstance(error, InvalidDefinition):
        yield error.file
    yield from shown(error.text, error.mistakes)


def placed(mistake: Mistake) -> Mapping[str, Any]:
    """Return a mistake for programs."""
    return {
        "where": mistake.where,
        "what": mistake.what,
        "hint": mistake.hint,
        "line": mistake.line,
        "column": mistake.column,
        "length": mistake.length,
    }


def _file(text: str) -> Path | None:
    try:
        return path if (path := Path(text)).exists() else None
    except (OSError, ValueError):  # too long for a name, or none at all
        return None


def _content(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"{file} is no text in UTF-8: byte {error.start} is not") from error
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}") from error


def _definition(path: Path) -> CustomUpdate:
    definitions, wrong = read_definitions(path)
    if wrong:
        raise wrong[0]
    if len(definitions) != 1:
        raise Refused(f"{path} holds {len(definitions)} definitions; name the file of one")
    return definitions[0].update


def _rules_of(update: CustomUpdate) -> Mapping[str, str]:
    [leaf] = feed_update(update).leaves
    return {name: rule_text(getattr(leaf, of_leaf)) for name, of_leaf in _OF_LEAF.items()}
