"""What a collection must be to be let in, and in which words its definition is written down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from patchtide.domain.access.grants import Scope, visible
from patchtide.domain.access.principals import Anonymous, Principal
from patchtide.domain.access.principals import check as check_right
from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.domain.catalog.queries import Asked, conditions
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.collections.definitions import (
    ALL_MACHINES,
    ALL_MACHINES_NAME,
    Definitions,
    Reference,
    circle_through,
    in_words,
    made_of,
)
from patchtide.domain.collections.names import names_asked, with_asked
from patchtide.domain.compliance.machine_query import (
    JUDGED,
    MACHINE_FIELDS,
    REQUIRES,
    machine_fields,
)
from patchtide.domain.errors import InvalidDocument, NotFound, Problem, WrongState
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.decisions import Transaction
from patchtide.server.tier_zero import check_marking, deciding_tier

Held = Mapping[UUID, StoredCollection]
PLACES: Mapping[Reference, str] = {
    Reference.LIMITED: "limiting",
    Reference.INCLUDES: "include",
    Reference.EXCLUDES: "exclude",
    Reference.ASKS: "query",
}
"""Where in an input each is said."""


def may_ask(principal: Principal, collection: UUID | None, query: str = "") -> None:
    """Let somebody ask who is in a collection, if he asks for one, or his query names some.

    Raises:
        NotFound, Refused: he may not read collections, or not all and his query names some; or he
            may not read the catalog, and it asks for updates.
    """
    if names_asked(query):
        check_right(principal, Right(Kind.COLLECTIONS, Verb.READ))
    if collection is not None:
        check_right(principal, Right(Kind.COLLECTIONS, Verb.READ), narrows=True)
        places = _scope(principal).places
        if places is not None and str(collection) not in {*places, str(ALL_MACHINES)}:
            raise NotFound(f"there is no collection {collection}")
    may_ask_updates(principal, query)


def may_ask_updates(principal: Principal, query: str) -> None:
    """Let somebody ask who needs which updates, if his query asks for that.

    Raises:
        NotFound, Refused: he may not read the catalog, or not as all machines that he sees stand.
    """
    if REQUIRES in query and REQUIRES in _fields_asked(query):
        narrows = _sees_no_more_than_updates(principal)
        check_right(principal, Right(Kind.CATALOG, Verb.READ), narrows=narrows)


def _sees_no_more_than_updates(principal: Principal) -> bool:
    """Say whether of each machine that somebody is shown he may read how it stands on updates."""
    if isinstance(principal, Anonymous):
        return False
    seen, read = (
        visible(principal.rights, Right(kind, Verb.READ)) for kind in (Kind.MACHINES, Kind.CATALOG)
    )
    if read.places is None or seen.places is None:
        return read.is_everything
    return not seen.is_nothing and seen.places <= read.places


def may_name(principal: Principal) -> bool:
    """Say whether somebody may ask who is in whichever collection."""
    return _scope(principal).is_everything


def readable(principal: Principal, view: View) -> Mapping[UUID, StoredCollection]:
    """Return the collections that somebody may read, of those that are in the view."""
    places = _scope(principal).places
    if places is None:
        return view.collections
    return {key: one for key, one in view.collections.items() if str(key) in places}


def _scope(principal: Principal) -> Scope:
    held = frozenset() if isinstance(principal, Anonymous) else principal.rights
    return visible(held, Right(Kind.COLLECTIONS, Verb.READ))


def may_read_updates(principal: Principal) -> bool:
    """Say whether somebody may ask for updates, if only as some machines stand on them."""
    if isinstance(principal, Anonymous):
        return False
    return not visible(principal.rights, Right(Kind.CATALOG, Verb.READ)).is_nothing


def one_of(held: Held, collection: UUID) -> StoredCollection:
    """Return the one that somebody decides about.

    Raises:
        NotFound
        WrongState: it is the one of all machines.
    """
    if collection == ALL_MACHINES:
        raise WrongState(f"{ALL_MACHINES_NAME} is always there, and nobody changes it")
    if collection not in held:
        raise NotFound(f"there is no collection {collection}")
    return held[collection]


def one_for(principal: Principal, held: Held, collection: UUID) -> StoredCollection:
    """Return the one that he decides about, as it is when that is decided.

    Raises:
        NotFound
        Refused: tier 0 is made of it, and he may do nothing to that.
        WrongState: it is the one of all machines.
    """
    one = one_of(held, collection)
    if collection in deciding_tier(held):
        check_marking(principal)
    return one


def check(made: StoredCollection, held: Held) -> None:
    """Let it in beside those that are there, in the place of the one of its id.

    Raises:
        InvalidDocument: it has no name, or speaks of what is not there, or of itself in the end.
        InvalidQuery
        WrongState: there is another one of that name.
    """
    if not made.name:
        raise InvalidDocument([Problem("name", "is blank")])
    named = {one.name.casefold() for one in held.values() if one.id != made.id}
    if made.name.casefold() in named | {ALL_MACHINES_NAME.casefold()}:
        raise WrongState(f"there is a collection {made.name} already")
    definitions: Definitions = {
        **{key: one.definition for key, one in held.items()},
        made.id: made.definition,
    }
    if problems := [
        Problem(PLACES[how], f"there is no collection {other}")
        for how, other in made.definition.references()
        if other not in definitions
    ]:
        raise InvalidDocument(problems)
    check_query(made.definition.query, [one.name for one in definitions.values()])
    definitions = with_asked(definitions)
    if circle := circle_through(definitions, made.id):
        why = f"goes in a circle: {in_words(circle)}"
        raise InvalidDocument([Problem(PLACES[circle[0].how], why)])


def check_settled(definitions: Definitions, collections: Iterable[UUID]) -> None:
    """Let only those go by settings of their own whose machines do not follow from these.

    How often a machine scans says when its report is too old, and so how it stands.

    Raises:
        WrongState
    """
    for key in collections:
        for one in (definitions[other] for other in made_of(definitions, [key])):
            if fields := JUDGED & _fields_asked(one.query):
                raise WrongState(
                    f"{definitions[key].name} cannot have settings for agents: who is in"
                    f" {one.name} follows from how machines stand ({', '.join(sorted(fields))}),"
                    " and that from how often they scan"
                )


def _fields_asked(query: str) -> set[str]:
    if not query:
        return set()
    try:
        parsed = parse_query(query, MACHINE_FIELDS)
    except InvalidQuery:  # what it asked for is gone since: nobody answers to it
        return set()
    return {one.field for one in conditions(parsed) if isinstance(one, Asked)}


def check_query(text: str, collections: Iterable[str]) -> None:
    """Raises InvalidQuery."""
    if text:
        parse_query(text, machine_fields([ALL_MACHINES_NAME, *collections]))


def in_words_of(one: StoredCollection, held: Held) -> dict[str, str]:
    """Return what it is made of, as the audit tells it; what it has nothing of is empty."""
    definition = one.definition
    return {
        "name": one.name,
        "description": one.description,
        "limiting": _names([definition.limiting], held),
        "query": definition.query,
        "include": _names(definition.include, held),
        "exclude": _names(definition.exclude, held),
        "tier": "0" if one.is_tier_zero else "",
    }


def _names(collections: Iterable[UUID], held: Held) -> str:
    return ", ".join(
        ALL_MACHINES_NAME if key == ALL_MACHINES else held[key].name for key in collections
    )


def machines_called(fleet: Fleet, names: Sequence[str], *, where: str = "names") -> list[UUID]:
    """Return the machines of these names or ids, each once.

    Raises:
        InvalidDocument: with each that no machine has, or that several have.
    """
    return fleet.ask(lambda view: _called(fleet, view, names, where)) if names else []


def _called(fleet: Fleet, view: View, names: Sequence[str], where: str) -> list[UUID]:
    by_name = fleet.machines.values(view, "name")
    found: dict[UUID, None] = {}
    problems = []
    for name in names:
        having = [view.members[n] for n in by_name.get(name, ()) if n in view.present]
        if len(having) == 1:
            found[having[0].id] = None
        elif having:
            problems.append(Problem(where, f"{name!r}: several machines are called so; say the id"))
        elif (one := _id(name)) is not None:  # whether it is there the decision itself sees
            found[one] = None
        else:
            problems.append(Problem(where, f"{name!r}: no machine is called so"))
    if problems:
        raise InvalidDocument(problems)
    return list(found)


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def numbers_of(
    tx: Transaction, machines: Sequence[UUID], *, may_be_retired: bool = False
) -> dict[int, str]:
    """Return the machines' numbers with their names.

    Raises:
        NotFound: one is not there.
        WrongState: one is retired.
    """
    known = tx.clients([one.bytes for one in machines]) if machines else []
    if len(known) < len(machines):
        raise NotFound
    retired = [one.name for one in known if one.state is ClientState.DECOMMISSIONED]
    if retired and not may_be_retired:
        raise WrongState(f"{retired[0]} is retired")
    return {one.number: one.name for one in sorted(known, key=lambda one: one.name)}
