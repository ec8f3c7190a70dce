"""Whoever says who is in a collection decides what those may do whose rights end there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from patchtide.domain.access.principals import Anonymous, Principal, may_read
from patchtide.domain.access.rights import AT, KEEPING, Kind, Right, Verb, holds
from patchtide.domain.collections.definitions import depending
from patchtide.domain.errors import Refused
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.decisions import Transaction

Known = Mapping[UUID, StoredCollection]


def check_who_decides(
    tx: Transaction, principal: Principal, known: Known, changed: Collection[UUID]
) -> None:
    """Let only who administers accounts say otherwise who is in them, where rights end there.

    They may end at another collection that is made of one of these: its machines are others, too.

    Raises:
        Refused: people or their programs have rights within it.
    """
    if not isinstance(principal, Anonymous) and holds(principal.rights, KEEPING):
        return
    if found := holder_within(tx, known, changed):
        holder, collection = found
        where = collection if may_name_collections(principal) else "a collection that this decides"
        raise Refused(
            f"{holder if may_name_holders(principal) else 'somebody'} has rights within"
            f" {where}: who is in it is said by those who hold {KEEPING}"
        )


def may_name_collections(principal: Principal) -> bool:
    """Say whether he may be told of any, and not only of the one where his own rights end."""
    reading = Right(Kind.COLLECTIONS, Verb.READ)
    return not isinstance(principal, Anonymous) and holds(principal.rights, reading)


def may_name_holders(principal: Principal) -> bool:
    return not isinstance(principal, Anonymous) and may_read(principal.rights, Kind.ACCOUNTS)


def holder_within(
    tx: Transaction, known: Known, changed: Collection[UUID]
) -> tuple[str, str] | None:
    """Return somebody whose rights end at what these collections decide, and where they do."""
    made_of = depending({key: one.definition for key, one in known.items()}, changed)
    reached = {str(key): known[key].name for key in made_of}
    holders = [
        # Who is disabled may be let in again, with what he had.
        *((user.name, user.rights) for user in (*tx.lock_users(), *tx.disabled_users())),
        *((token.name, token.rights) for token in tx.lock_api_tokens()),
    ]
    for holder, grants in holders:
        for text in grants:
            if name := reached.get(text.partition(AT)[2]):
                return holder, name
    return None
