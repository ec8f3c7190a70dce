"""How rights are asked for, and the rule for handing them on: nobody hands on what he lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.grants import come_to, grants_of, left_out
from patchtide.domain.access.principals import SignedIn
from patchtide.domain.access.rights import AT, LIST, MACHINE, Right, beyond
from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.domain.errors import InvalidDocument, Problem, Refused
from patchtide.server.collection_asks import held
from patchtide.server.collection_bounds import check_bounds
from patchtide.server.patterns import PLACE, ROLE, or_nothing
from patchtide.server.ports.decisions import Transaction
from patchtide.server.role_book import ROLE_BOOK, read_roles, rights_by

RoleName = Annotated[str, Meta(max_length=40, pattern=or_nothing(ROLE))]
Rights = Annotated[
    tuple[Annotated[str, Meta(max_length=120)], ...],
    Meta(
        max_length=64,
        description="Rights, each as kind.verb, for example machines.read, or roles, each as"
        " role:name; with @ and a collection's id, only for its machines; with @machine: and a"
        " machine's id, only for that one; with @list: and a list's name, catalog.read only for"
        " that list and the updates on it, catalog.modify only to say what is on it.",
    ),
]
Within = Annotated[
    str,
    Meta(
        max_length=69,
        pattern=or_nothing(PLACE),
        description="The id of a collection: all of it holds for its machines only. Or machine:"
        " and the id of one machine, or list: and the name of an update list.",
    ),
]


class Asked(Protocol):
    """What is to be handed on."""

    @property
    def role(self) -> str: ...

    @property
    def rights(self) -> tuple[str, ...]: ...

    @property
    def within(self) -> str: ...


LeftOut = tuple[str, ...]
"""Rights, each with its place: what of roles means nothing where they were handed on."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What somebody is to be handed."""

    grants: tuple[str, ...]
    rights: frozenset[Right]
    """What that comes to now."""
    left_out: LeftOut


def granted(tx: Transaction, creator: SignedIn, asked: Asked) -> Granted:
    """Return what somebody is to be handed.

    Raises:
        InvalidDocument: nothing, or what does not exist.
        Refused: the creator lacks some of them.
        WrongState: who is in a collection of these follows from which updates machines need.
    """
    roles = rights_by(read_roles(tx.setting(ROLE_BOOK)).values())
    grants = grants_of(asked.rights, role=asked.role, within=asked.within, roles=roles)
    rights = come_to(grants, roles)
    check_reach(creator, rights, "you cannot hand on what you lack")
    _check_places(tx, {one.within for one in rights if one.within})
    if handed := {place for text in grants if (place := text.partition(AT)[2])}:
        check_bounds(tx, held(tx), handed=handed)
    return Granted(grants, rights, in_order(left_out(grants, roles)))


def in_order(rights: Iterable[Right]) -> tuple[str, ...]:
    return tuple(map(str, sorted(rights)))


def _check_places(tx: Transaction, places: Collection[str]) -> None:
    """Raises InvalidDocument: there is no such collection, machine or list."""
    lists = {one for one in places if one.startswith(LIST)}
    for name in sorted(one.removeprefix(LIST) for one in lists):
        if tx.update_lists.put_on(name, ()) is None:
            raise InvalidDocument([Problem("rights", f"speak of {name}: there is no such list")])
    places = set(places) - lists
    machines = {one for one in places if one.startswith(MACHINE)}
    asked = [UUID(one.removeprefix(MACHINE)) for one in machines]
    there = {f"{MACHINE}{UUID(bytes=one.uuid)}" for one in tx.clients([id.bytes for id in asked])}
    if unknown := sorted(machines - there):
        raise InvalidDocument([Problem("within", f"says {unknown[0]}: there is no such machine")])
    if machines == places:
        return
    known = {str(ALL_MACHINES), *(str(one.id) for one in tx.collections.hold())}
    if unknown := sorted(places - machines - known):
        raise InvalidDocument([Problem("within", f"there is no collection {unknown[0]}")])


def check_reach(creator: SignedIn, rights: frozenset[Right], why: str) -> None:
    """Raises Refused: somebody without some of these rights would decide over them."""
    if lacking := beyond(rights, creator.rights):
        raise Refused(f"{why}: {', '.join(map(str, lacking))}")
