"""Who is in a collection where rights end, or in tier 0, never follows from updates that it needs.

What is on a list, and how urgent an update is, is said by people who hand on no rights: they would
decide who reaches a machine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from patchtide.domain.access.rights import AT
from patchtide.domain.collections.definitions import made_of
from patchtide.domain.collections.names import updates_asked
from patchtide.domain.errors import WrongState
from patchtide.server.collection_reach import Known
from patchtide.server.ports.decisions import Transaction


def check_bounds(tx: Transaction, known: Known, *, handed: Collection[str] = ()) -> None:
    """Let these collections be: rights end at some of them, or at those of `handed` from now on.

    Raises:
        WrongState: one of them, or of tier 0, is made of one that asks what machines need.
    """
    asking = frozenset(key for key, one in known.items() if updates_asked(one.definition.query))
    if not asking:
        return
    definitions = {key: one.definition for key, one in known.items()}
    places = {*_places(tx), *handed}
    for key, one in known.items():
        if str(key) in places or one.is_tier_zero:
            for other in asking & made_of(definitions, [key]):
                raise WrongState(
                    f"{one.name} {_bounds(one.is_tier_zero)}: who is in {known[other].name} cannot"
                    " follow from which updates machines need (requires), which others decide"
                )


def _bounds(is_tier_zero: bool) -> str:
    return "is of tier 0" if is_tier_zero else "is where rights end"


def _places(tx: Transaction) -> Iterator[str]:
    """Yield where rights end, those of disabled people among them: they may be enabled again."""
    people = (user.rights for user in (*tx.lock_users(), *tx.disabled_users()))
    for rights in (*people, *(token.rights for token in tx.lock_api_tokens())):
        yield from (place for text in rights if (place := text.partition(AT)[2]))
