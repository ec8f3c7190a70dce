"""The table stops the start when a declaration is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from msgspec import inspect as info

from patchtide.domain.access.principals import Gate
from patchtide.domain.access.rights import Right
from patchtide.server.operations import OPERATIONS
from patchtide.server.patterns import SLUG
from patchtide.server.table import Operation, Plane, Table

LIST = OPERATIONS["machines.list"]
SHOW = OPERATIONS["machines.show"]
APPROVE = OPERATIONS["machines.approve"]


def patterns_in(kind: info.Type) -> Iterator[str]:
    """Yield all patterns that texts of the type are held against, at any depth."""
    match kind:
        case info.StrType(pattern=str(pattern)):
            yield pattern
        case info.Metadata(type=inner):
            yield from patterns_in(inner)
        case info.UnionType(types=several):
            for one in several:
                yield from patterns_in(one)
        case info.StructType(fields=fields):
            for field in fields:
                yield from patterns_in(field.type)
        case info.ListType(item_type=item) | info.VarTupleType(item_type=item):
            yield from patterns_in(item)
        case info.DictType(key_type=key, value_type=value):
            yield from patterns_in(key)
            yield from patterns_in(value)


def test_no_pattern_of_an_input_takes_a_line_break_at_the_end() -> None:
    samples = [
        "a",
        "2026-12",
        "a@example.org",
        str(UUID(int=1)),
        *("0" * count for count in (12, 32, 64)),
    ]
    found = {p for o in OPERATIONS for p in patterns_in(info.type_info(o.input))}
    assert SLUG in found
    untried = [p for p in found if not any(re.search(p, text) for text in samples)]
    loose = [p for p in found if any(re.search(p, text + "\n") for text in samples)]

    assert (untried, loose) == ([], [])


def test_two_operations_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"machines\.list is declared twice"):
        Table([LIST, replace(LIST, path="/elsewhere")])


def test_two_operations_of_one_route_are_a_mistake_however_its_parameters_are_called() -> None:
    with pytest.raises(ValueError, match=r"has the route of machines\.show"):
        Table(
            [
                SHOW,
                replace(SHOW, name="machines.look", path="/api/v1/machines/{name}", handler=None),
            ]
        )


@pytest.mark.parametrize(
    ("operation", "change", "words"),
    [
        (APPROVE, {"audited": False}, "is audited"),
        (LIST, {"audited": True}, "a question is not"),
        (SHOW, {"path": "/api/v1/machines/{name}"}, "lacks"),
        (LIST, {"sentence": "List machines"}, "full stop"),
        (LIST, {"name": "List Machines"}, "not a name"),
    ],
)
def test_a_wrong_declaration_is_refused(
    operation: Operation, change: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        replace(operation, **change)  # type: ignore[arg-type]


def test_every_operation_of_the_administrators_plane_asks_for_a_right_or_a_signed_in_caller() -> (
    None
):
    loose = [
        o.name
        for o in OPERATIONS
        if o.plane is Plane.ADMINISTRATORS
        and not isinstance(o.policy, Right)
        and o.policy is not Gate.SIGNED_IN
    ]

    assert loose == []


def test_anybody_may_ask_for_health_the_claim_and_the_consoles_door_only() -> None:
    open_to_all = {o.name for o in OPERATIONS if o.policy in (Gate.PUBLIC, Gate.ONE_TIME_CODE)}
    doors = {"console.sign-in", "console.welcome", "console.enter", "console.static"}

    assert open_to_all == {"site.health", "site.bootstrap", *doors}
