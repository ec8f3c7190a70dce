"""What is wrong with what somebody typed, as sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from patchtide.domain.errors import Problem

_BY_THEMSELVES = frozenset({"a", "an", "it", "more", "name", "no", "say", "the", "there", "this"})
"""What begins so is a sentence without its field."""
_PLACE = re.compile(r"(?P<name>[^\[\]]+)\[(?P<place>\d+)\]")
_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "build_h": "hours in build",
        "delay_h": "hours with nobody else",
        "every_h": "hours between",
        "ends": "end",
        "begins": "begin",
        "lasting_min": "minutes it lasts",
        "lasts_h": "hours until it is over",
        "length_min": "minutes it is open",
        "machines_over": "machines at once",
        "on": "choice of days",
        "poll_s": "seconds between check-ins",
        "postpone_h": "hours in all",
        "postpone_times": "times to postpone",
        "scan_every_h": "hours between scans",
        "since": "first day",
        "until": "last day",
        "waiting_h": "hours expected or waiting",
        "zone": "time zone",
    }
)
"""How forms call what the interface calls otherwise."""


def sentence(problem: Problem) -> str:
    """Return a mistake as a sentence, with its field as forms call it."""
    where, bound = field_in_words(problem.where), problem.what.removeprefix("is at ")
    if bound != problem.what:
        return f"{where[:1].upper()}{where[1:]}: at {bound}."
    if problem.what.partition(" ")[0] in _BY_THEMSELVES or problem.what.startswith(("'", '"')):
        return f"{where[:1].upper()}{where[1:]}: {problem.what}."
    return f"The {where} {problem.what}."


def field_in_words(where: str) -> str:
    """Return what a form calls a field, or the place in a list."""
    counted = _PLACE.fullmatch(where)
    if counted is not None:
        return f"{field_in_words(counted['name'])}, line {int(counted['place']) + 1},"
    return _FIELDS.get(where, where.replace("_", " "))
