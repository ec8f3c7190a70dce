"""Whoever says who is in a collection decides what those may do whose rights end there."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from patchtide.domain.access.principals import Anonymous, Principal
from patchtide.domain.access.rights import AT, KEEPING, holds
from patchtide.domain.errors import Refused
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.decisions import Transaction


def check_who_decides(
    tx: Transaction, principal: Principal, known: Mapping[UUID, StoredCollection], changed: UUID
) -> None:
    """Let only who administers accounts say otherwise who is in it, where rights end there.

    They may end at another collection that is made of this one: its machines are others, too.

    Raises:
        Refused: people or their programs have rights within it.
    """
    if not isinstance(principal, Anonymous) and holds(principal.rights, KEEPING):
        return
    reached = {str(one): known[one].name for one in _made_of(known, changed)}
    holders = [
        *((user.name, user.rights) for user in tx.lock_users()),
        *((token.name, token.rights) for token in tx.lock_api_tokens()),
    ]
    for holder, grants in holders:
        for text in grants:
            if name := reached.get(text.partition(AT)[2]):
                raise Refused(
                    f"{holder} has rights within {name}: who is in it is said by those who hold"
                    f" {KEEPING}"
                )


def _made_of(known: Mapping[UUID, StoredCollection], changed: UUID) -> set[UUID]:
    """Return the collection and all that are made of it, however far away."""
    found, left = {changed}, [changed]
    while left:
        one = left.pop()
        using = {
            other
            for other, stored in known.items()
            if any(named == one for _, named in stored.definition.references())
        }
        left += using - found
        found |= using
    return found
