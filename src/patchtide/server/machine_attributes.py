"""Attributes of machines as texts: in files, in forms, in the audit. One table says all of them.

An empty text says that nobody has said anything. What a text may be is checked here, so that a
file's cell, a form's field and a command's option are held to the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from uuid import UUID

from patchtide.domain.catalog.risk import Exposure
from patchtide.domain.compliance.described import HIGHEST, UNDESCRIBED, Described, RestartCode
from patchtide.server.patterns import LABEL, LINE

LONGEST = 128
LONGEST_NAME = 253
LABELS = 16
"""So many roles, and so many tags, one machine has at most."""
_LINE, _LABEL = re.compile(LINE), re.compile(LABEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    heading: str
    read: Callable[[str], Any]
    """Raises ValueError, saying what the text should be."""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One attribute of one machine, before and after; empty: nothing was said."""

    attribute: str
    was: str
    now: str


def _line(text: str, *, longest: int = LONGEST) -> str:
    if len(text) > longest:
        raise ValueError(f"is longer than {longest} letters")
    if not _LINE.match(text):
        raise ValueError("is one line of text, and no sign that turns it round")
    return text


def _labels(text: str) -> tuple[str, ...]:
    found = tuple(sorted(set(text.replace(",", " ").split())))
    if len(found) > LABELS:
        raise ValueError(f"are more than {LABELS}")
    for one in found:
        if not _LABEL.match(one):
            raise ValueError(
                f"are words of small letters, digits and hyphens, which {one[:64]!r} is not"
            )
    return found


def _score(text: str) -> int | None:
    if not text:
        return None
    if text not in _SCORES:
        raise ValueError(f"is a number from 0 to {HIGHEST}")
    return int(text)


def _exposure(text: str) -> Exposure:
    if not text:
        return Exposure.ORDINARY
    return Exposure(_one_of(text, tuple(one.value for one in Exposure)))


def _restart(text: str) -> RestartCode:
    return RestartCode(_one_of(text, tuple(one.value for one in RestartCode))) if text else _UNSAID


def _one_of(text: str, known: Sequence[str]) -> str:
    if text not in known:
        raise ValueError(f"is one of {', '.join(one for one in known if one)}")
    return text


def _collection(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise ValueError("is a collection, by its id, or in a file by its name") from error


_UNSAID = RestartCode.UNSAID
_SCORES = tuple(str(score) for score in range(HIGHEST + 1))

ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType(
    {
        "owner": Attribute(heading="Owner", read=_line),
        "roles": Attribute(heading="Roles", read=_labels),
        "exposure": Attribute(
            heading="Exposure", read=_exposure, choices=tuple(one.value for one in Exposure)
        ),
        "location": Attribute(heading="Location", read=_line),
        "cluster": Attribute(heading="Cluster", read=_line),
        "management_group": Attribute(heading="Management group", read=_line),
        "tags": Attribute(heading="Tags", read=_labels),
        "business": Attribute(heading="Business criticality", read=_score, choices=_SCORES),
        "downtime": Attribute(heading="Cost of downtime", read=_score, choices=_SCORES),
        "redundancy": Attribute(heading="Lack of redundancy", read=_score, choices=_SCORES),
        "testing": Attribute(heading="Testing needed", read=_score, choices=_SCORES),
        "complexity": Attribute(heading="Complexity", read=_score, choices=_SCORES),
        "distance": Attribute(heading="Distance", read=_score, choices=_SCORES),
        "schedule": Attribute(heading="Schedule", read=_collection),
        "restart": Attribute(
            heading="Restart",
            read=_restart,
            choices=tuple(one.value for one in RestartCode if one),
        ),
    }
)


def name_of(text: str) -> str:
    """Return what a machine is called; ValueError: nothing is called so."""
    return _line(text, longest=LONGEST_NAME)


def text_of(described: object, name: str) -> str:
    """Return what is said, as text; of an exposure that nobody named, nothing.

    It is asked of whatever has attributes of these names: what is stored, and what is shown.
    """
    value = getattr(described, name)
    if value is None or value == getattr(UNDESCRIBED, name):
        return ""
    return " ".join(value) if isinstance(value, tuple) else str(value)


def texts_of(described: object) -> Mapping[str, str]:
    return {name: text_of(described, name) for name in ATTRIBUTES}


def saying(described: Described, said: Mapping[str, Any]) -> Described:
    """Return it with these values, as `Attribute.read` returns them."""
    return replace(described, **said) if said else described


def changes(was: Described, now: Described) -> Sequence[Change]:
    if was == now:
        return ()
    told = ((name, text_of(was, name), text_of(now, name)) for name in ATTRIBUTES)
    return [Change(attribute=name, was=a, now=b) for name, a, b in told if a != b]
