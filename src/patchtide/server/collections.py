"""What people decide about collections: what each is made of, and which machines it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal
from uuid import UUID, uuid4

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.access.proofs import check_proof
from patchtide.domain.catalog.query_parser import MAX_LENGTH
from patchtide.domain.collections.definitions import ALL_MACHINES, Definition, depending
from patchtide.domain.collections.names import with_asked
from patchtide.domain.errors import InvalidDocument, Problem, StaleRevision, WrongState
from patchtide.server.collection_asks import asking, held
from patchtide.server.collection_bounds import check_bounds
from patchtide.server.collection_checks import (
    check,
    check_settled,
    in_words_of,
    machines_called,
    may_ask_updates,
    numbers_of,
    one_for,
)
from patchtide.server.collection_reach import check_who_decides, may_name_holders
from patchtide.server.collection_uses import naming, uses
from patchtide.server.collection_view import Collection, OneCollection, shown
from patchtide.server.context import Call
from patchtide.server.kept_agent_settings import OF_COLLECTIONS, read_order
from patchtide.server.patterns import LINE
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Output
from patchtide.server.taking_over import decides_who_is_held_back
from patchtide.server.tier_zero import check_marking

COLLECTIONS = 2000
"""How many a site has at most."""
NAMED, MOST = 20_000, 500
"""Machines that one collection names, and that are put in or taken out at once."""
OTHERS = 100
Name = Annotated[
    str, Meta(min_length=1, max_length=128, pattern=LINE, description="What it is called.")
]
Description = Annotated[str, Meta(max_length=2000, description="What it is for.")]
QueryText = Annotated[
    str,
    Meta(max_length=MAX_LENGTH, description="Who answers to it is in: `platform = debian-12`."),
]
Others = Annotated[tuple[UUID, ...], Meta(max_length=OTHERS)]
Names = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...],
    Meta(max_length=MOST, description="Names of machines, or their ids."),
]


TierZero = Annotated[
    bool,
    Meta(
        description="Its machines are of tier 0: only who may target that changes anything there."
    ),
]


class CreateCollection(Input, kw_only=True, frozen=True):
    name: Name
    description: Description = ""
    limiting: Annotated[
        UUID | None,
        Meta(description="Only machines of this collection, by its id; else of all machines."),
    ] = None
    query: QueryText = ""
    include: Annotated[Others, Meta(description="Ids of collections whose machines are in.")] = ()
    exclude: Annotated[Others, Meta(description="Ids of collections whose machines are not.")] = ()
    names: Names = ()
    tier_zero: TierZero = False


class ChangeCollection(Input, kw_only=True, frozen=True):
    """What is not said stays as it was."""

    collection: Annotated[UUID, Meta(description="The collection's id.")]
    name: Annotated[str, Meta(max_length=128, pattern=LINE, description="Its new name.")] = ""
    description: Description = ""
    limiting: Annotated[
        UUID | None, Meta(description="Only machines of this collection from now on, by its id.")
    ] = None
    query: QueryText = ""
    include: Annotated[
        Others, Meta(description="Ids of collections whose machines are in, in place of before.")
    ] = ()
    exclude: Annotated[
        Others, Meta(description="Ids of collections whose machines are not, in place of before.")
    ] = ()
    tier_zero: TierZero = False
    forget: Annotated[
        tuple[Literal["description", "limiting", "query", "include", "exclude", "tier_zero"], ...],
        Meta(max_length=6, description="What to take back of what was said."),
    ] = ()
    revision: Annotated[
        int, Meta(ge=0, description="Refuse it unless this is the revision; 0: whichever it is.")
    ] = 0


class SomeMachines(Input, kw_only=True, frozen=True):
    collection: Annotated[UUID, Meta(description="The collection's id.")]
    names: Annotated[Names, Meta(min_length=1)]


class ChangedMembers(Output, kw_only=True, frozen=True):
    changed: int
    """How many were not named before, or are not any more."""
    named: int
    """How many machines it names now."""


async def create(call: Call, principal: Principal, asked: CreateCollection) -> Collection:
    """Make a collection.

    Raises:
        InvalidDocument: it speaks of what is not there, or of itself in the end.
        WrongState: there is one of that name, or there are too many; or it is to be of tier 0, and
            asks which updates machines need.
    """
    may_ask_updates(principal, asked.query)
    if asked.tier_zero:
        check_marking(principal)
    machines = await _called(call, asked.names)
    made = StoredCollection(
        definition=Definition(
            id=uuid4(),
            name=asked.name.strip(),
            limiting=asked.limiting or ALL_MACHINES,
            include=_each_once(asked.include),
            exclude=_each_once(asked.exclude),
            query=asked.query.strip(),
        ),
        description=asked.description.strip(),
        is_tier_zero=asked.tier_zero,
        revision=1,
        by=principal.actor,
        at=call.now,
    )

    def work(tx: Transaction) -> None:
        known = held(tx)
        if len(known) >= COLLECTIONS:
            raise WrongState(f"there are {COLLECTIONS} collections already; delete one first")
        check(made, known)
        if made.is_tier_zero:
            check_bounds(tx, asking([*known.values(), made]))
        numbers = numbers_of(tx, machines)
        tx.collections.add(made)
        tx.collections.put_in(made.id, list(numbers))
        _note(tx, made, {**in_words_of(made, known), "machines": ", ".join(numbers.values())})

    await call.decide(principal, work)
    return await _shown(call, made)


async def change(call: Call, principal: Principal, asked: ChangeCollection) -> Collection:
    """Define it otherwise; the machines that it names stay.

    Raises:
        InvalidDocument: it speaks of what is not there, or of itself in the end.
        NotFound
        Refused: people have rights within it, and this is not one who hands them on.
        StaleRevision: somebody else changed it meanwhile.
        WrongState: there is another one of that name, queries name it by the one it has, it is
            the one of all machines; or rights end at what asks which updates machines need then.
    """
    may_ask_updates(principal, asked.query)

    def work(tx: Transaction) -> StoredCollection:
        known = held(tx)
        was = one_for(principal, known, asked.collection)
        if asked.tier_zero and not was.is_tier_zero:
            check_marking(principal)
        if asked.revision not in (0, was.revision):
            raise StaleRevision(f"somebody changed {was.name} meanwhile; look at it again")
        now = StoredCollection(
            definition=_redefined(was.definition, asked),
            description=""
            if "description" in asked.forget
            else asked.description.strip() or was.description,
            is_tier_zero=asked.tier_zero or (was.is_tier_zero and "tier_zero" not in asked.forget),
            revision=was.revision + 1,
            by=principal.actor,
            at=call.now,
        )
        check(now, known)
        _check_name(tx, was, now)
        _check_agents(tx, now, known)
        check_bounds(tx, asking({**known, now.id: now}.values()))
        if replace(now.definition, name=was.name) != was.definition:
            _check_who_decides(call, tx, principal, was.id)
        tx.collections.change(now)
        before, after = in_words_of(was, known), in_words_of(now, known)
        changed = {
            key: f"{before[key] or 'none'} → {text or 'none'}"
            for key, text in after.items()
            if before[key] != text
        }
        _note(tx, was, {"name": was.name, **changed})
        return now

    return await _shown(call, await call.decide(principal, work))


def _check_who_decides(call: Call, tx: Transaction, principal: Principal, collection: UUID) -> None:
    """Let her say who is in it.

    Raises:
        Refused: people have rights within it, and she does not hand them on.
        SignInAgain: other updaters are held back by it, and she must prove anew who she is.
    """
    known = held(tx)
    check_who_decides(tx, principal, known, [collection])
    definitions = {key: one.definition for key, one in known.items()}
    if decides_who_is_held_back(tx, depending(definitions, [collection])):
        check_proof(principal, now=call.now, only_people=False)


def _check_name(tx: Transaction, was: StoredCollection, now: StoredCollection) -> None:
    """Raises WrongState: queries name it, and it is to be called otherwise."""
    if was.name.casefold() == now.name.casefold():
        return
    if by := list(naming(tx, was)):
        raise WrongState(f"{was.name} has to be called so: {'; '.join(by)}")


def _check_agents(
    tx: Transaction, now: StoredCollection, known: Mapping[UUID, StoredCollection]
) -> None:
    """Raises WrongState: one with settings for agents would follow from how machines stand."""
    definitions = {key: one.definition for key, one in known.items()}
    after = with_asked({**definitions, now.id: now.definition})
    order = read_order(tx.setting(OF_COLLECTIONS))
    check_settled(after, [one.collection for one in order])


def _redefined(was: Definition, asked: ChangeCollection) -> Definition:
    forgotten = asked.forget
    if both := [name for name in forgotten if getattr(asked, name)]:
        raise InvalidDocument([Problem(name, "is said and taken back at once") for name in both])
    return replace(
        was,
        name=asked.name.strip() or was.name,
        limiting=ALL_MACHINES if "limiting" in forgotten else asked.limiting or was.limiting,
        query="" if "query" in forgotten else asked.query.strip() or was.query,
        include=() if "include" in forgotten else _each_once(asked.include) or was.include,
        exclude=() if "exclude" in forgotten else _each_once(asked.exclude) or was.exclude,
    )


async def delete(call: Call, principal: Principal, asked: OneCollection) -> None:
    """Delete it; its machines stay what they are.

    Raises:
        NotFound
        WrongState: others use it, or it is the one of all machines.
    """

    def work(tx: Transaction) -> None:
        known = held(tx)
        one = one_for(principal, known, asked.collection)
        if using := uses(tx, one.id, may_name=may_name_holders(principal)):
            raise WrongState(f"{one.name} is in use: {'; '.join(using)}")
        tx.collections.drop(one.id)
        _note(tx, one, in_words_of(one, known))

    await call.decide(principal, work)


async def put_in(call: Call, principal: Principal, asked: SomeMachines) -> ChangedMembers:
    """Name these machines, too.

    Raises:
        InvalidDocument: some are not known.
        NotFound: there is no such collection.
        Refused: people have rights within it, and this is not one who hands them on.
        WrongState: it would name too many, one is retired, or it is the one of all machines.
    """
    machines = await _called(call, asked.names)

    def work(tx: Transaction) -> ChangedMembers:
        known = held(tx)
        one = one_for(principal, known, asked.collection)
        _check_who_decides(call, tx, principal, one.id)
        numbers = numbers_of(tx, machines)
        new = tx.collections.put_in(one.id, list(numbers))
        size = tx.collections.size(one.id)
        if new and size > NAMED:
            raise WrongState(f"a collection names at most {NAMED} machines; let a query find them")
        return _noted(tx, one, [numbers[n] for n in new], size)

    return await call.decide(principal, work)


async def take_out(call: Call, principal: Principal, asked: SomeMachines) -> ChangedMembers:
    """Name them no more; they may be in it still, by its query or by another collection.

    Raises:
        InvalidDocument: some are not known.
        NotFound: there is no such collection.
        Refused: people have rights within it, and this is not one who hands them on.
        WrongState: it is the one of all machines.
    """
    machines = await _called(call, asked.names)

    def work(tx: Transaction) -> ChangedMembers:
        known = held(tx)
        one = one_for(principal, known, asked.collection)
        _check_who_decides(call, tx, principal, one.id)
        numbers = numbers_of(tx, machines, may_be_retired=True)
        gone = tx.collections.take_out(one.id, list(numbers))
        size = tx.collections.size(one.id)
        return _noted(tx, one, [numbers[n] for n in gone], size)

    return await call.decide(principal, work)


def _noted(
    tx: Transaction, one: StoredCollection, changed: Sequence[str], size: int
) -> ChangedMembers:
    _note(tx, one, {"name": one.name, "machines": ", ".join(changed) or "none"})
    return ChangedMembers(changed=len(changed), named=size)


def _note(tx: Transaction, one: StoredCollection, words: Mapping[str, str]) -> None:
    tx.note(one.id.hex, **{key: text for key, text in words.items() if text})


def _each_once(collections: Sequence[UUID]) -> tuple[UUID, ...]:
    return tuple(dict.fromkeys(collections))


async def _called(call: Call, names: Sequence[str]) -> list[UUID]:
    fleet = call.context.fleet
    return await call.read_fleet(lambda: machines_called(fleet, names))


async def _shown(call: Call, one: StoredCollection) -> Collection:
    fleet = call.context.fleet
    return await call.read_fleet(
        lambda: fleet.ask(lambda view: shown(fleet, view, view.collections.get(one.id, one)))
    )
