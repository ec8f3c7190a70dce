"""Queries asked of one machine in plain Python, without any set or index: what laws compare with.

The platforms' orders of versions are the only thing that it shares with what it judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from patchtide.domain.catalog import versions_deb, versions_rpm
from patchtide.domain.catalog.queries import All, Asked, Either, Everything, Mentions, No, Query
from patchtide.domain.catalog.query_tests import Version
from patchtide.domain.catalog.versions_rpm import plain_key

COMPARE = {"deb": versions_deb.compare, "rpm": versions_rpm.compare}


def answers(query: Query, facts: Mapping[str, tuple[Any, ...]], *, text: str = "") -> bool:
    match query:
        case Everything():
            return True
        case Mentions(said):
            return said.lower() in text.lower()
        case All(members):
            return all(answers(one, facts, text=text) for one in members)
        case Either(members):
            return any(answers(one, facts, text=text) for one in members)
        case No(member):
            return not answers(member, facts, text=text)
        case Asked(field, operator, values, of):
            there = facts.get(f"{field}({of})" if of else field, ())
            if operator == "":
                return any(there) if not of else bool(there)
            if operator == "!=":
                return not any(_is(one, values[0]) for one in there)
            return any(_fits(one, operator, values) for one in there)
    raise AssertionError(query)


def _fits(one: Any, operator: str, values: tuple[str, ...]) -> bool:
    if operator == "contains":
        text = one.text if isinstance(one, Version) else str(one)
        return values[0].lower() in text.lower()
    if operator in ("=", "in"):
        return any(_is(one, value) for value in values)
    signs = [_compared(one, value) for value in values]
    first, last = signs[0], signs[-1]
    return {
        "<": first < 0,
        "<=": first <= 0,
        ">": first > 0,
        ">=": first >= 0,
        "between": first >= 0 and last <= 0,
    }[operator]


def _is(one: Any, value: str) -> bool:
    if isinstance(one, Version | int):
        return _compared(one, value) == 0
    try:
        network, at = ip_network(value), ip_address(one)
    except ValueError:
        return bool(one.lower() == value.lower())
    return at.version == network.version and at in network


def _compared(one: Any, value: str) -> int:
    if isinstance(one, int):
        return (one > int(value)) - (one < int(value))
    if one.order in COMPARE:
        return COMPARE[one.order](one.text, value)
    left, right = plain_key(one.text), plain_key(value)
    return (left > right) - (left < right)
