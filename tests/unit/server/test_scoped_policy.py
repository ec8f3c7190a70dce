"""Whoever passes by a right that is limited is kept within that, in every operation."""

from __future__ import annotations

import pytest

from patchtide.domain.access.grants import limited
from patchtide.domain.access.principals import TokenHolder, check, scopes_of
from patchtide.domain.access.rights import ROLES, Right
from patchtide.domain.errors import NotFound, Refused
from patchtide.server.operations import OPERATIONS
from patchtide.server.table import Operation

WEB = "00000000-0000-0000-0000-000000000001"
BY_RIGHT = [o for o in OPERATIONS if any(isinstance(need, Right) for need in o.needs)]


def passes(rights: frozenset[Right], operation: Operation) -> bool:
    holder = TokenHolder(token_id="0" * 12, name="t", rights=rights, expires_at=None)
    try:
        for need in operation.needs:
            check(holder, need, narrows=operation.narrows)
    except (NotFound, Refused):
        return False
    return True


@pytest.mark.parametrize("role", ROLES)
def test_whoever_passes_by_a_limited_right_is_kept_within(role: str) -> None:
    within = limited(ROLES[role], WEB)
    holder = TokenHolder(token_id="0" * 12, name="t", rights=within, expires_at=None)

    kept = {o.name: scopes_of(holder, o.needs) for o in BY_RIGHT if passes(within, o)}

    assert {name for name, scopes in kept.items() if not scopes} == set()
    assert all(scope.places == {WEB} for scopes in kept.values() for scope in scopes)


@pytest.mark.parametrize("role", ROLES)
def test_whoever_sees_some_machines_is_kept_within_whatever_else_he_holds(role: str) -> None:
    seeing = {right for right in ROLES[role] if right.kind != "machines"}
    holder = TokenHolder(
        token_id="0" * 12,
        name="t",
        rights=frozenset(seeing) | limited(ROLES["machine-owner"], WEB),
        expires_at=None,
    )

    assert all(scopes_of(holder, o.needs) for o in OPERATIONS)


def test_what_is_kept_within_is_declared_of_what_can_be_limited_alone() -> None:
    narrowing = [o for o in BY_RIGHT if o.narrows]

    assert len(narrowing) > 20
    for operation in narrowing:
        assert all(isinstance(n, Right) and n.can_be_limited for n in operation.needs)
