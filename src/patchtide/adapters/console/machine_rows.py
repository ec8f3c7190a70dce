"""Lists of machines, as their addresses ask for them: of all, or by how they stand on an update."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar
from uuid import UUID

from pyroaring import BitMap

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.listing import EXPORTED, PAGE, Asked, Listed
from patchtide.adapters.console.visits import Visit
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.server import machine_list
from patchtide.server.collection_checks import may_ask, readable
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.machine_list import Machine
from patchtide.server.machine_pages import Found, Sets, Wanted, choices_of, look
from patchtide.server.machine_standings import Standing
from patchtide.server.ports.clients import ClientState
from patchtide.server.update_machines import sets_of

R = TypeVar("R")
RETIRED = ClientState.DECOMMISSIONED.value
FILTERS = (
    "standing", "platform", "group", "owner", "exposure", "location", "restart", "doubt", "role",
)  # fmt: skip
SORTS = ("name", "standing", "required", "platform", "group", "owner", "reported", "criticality")
_NOTHING: Mapping[str, Mapping[str, int]] = {name: {} for name in FILTERS}
FILTERS_THERE = ("platform", "group", "restart")
SORTS_THERE = ("state", "name", "platform", "group", "reported")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineThere:
    """A machine, and how it stands on one update."""

    machine: Machine
    state: str


def standing(machine: Machine) -> str:
    """Return how a machine stands; of one that is not let in, that."""
    return machine.compliance if machine.state == ClientState.ACTIVE else machine.state


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinesListed(Listed[Machine]):
    """One page of machines; with an error, of none, because the query cannot be read."""

    error: InvalidQuery | None = None


async def machines(desk: Desk, visit: Visit, *, within: UUID | None = None) -> MachinesListed:
    """Return the machines, or those of a collection, as the address asks for them.

    Raises:
        Refused: the query names collections, and whoever asks may not read those.
    """
    fleet = desk.context.fleet
    asked = Asked(path=visit.path, values=visit.query, default_sort="name")
    wanted = replace(_wanted(visit, asked, SORTS), search="", query=asked.search)
    may_ask(visit.principal, None, wanted.query)

    def question(view: View) -> Found:
        choices = choices_of(fleet.machines, view, *FILTERS)
        if within is not None:
            # Of one of which nobody knows who is in it, the page says so.
            among = fleet.collections.ground(view).members_of(within)
            return look(fleet, view, wanted, among=among, choices=choices)
        if mine := readable(visit.principal, view):
            choices = {**choices, "collection": _members(fleet, view, mine)}
        among = BitMap(view.members)
        if wanted.choices.get("standing") != RETIRED:
            among -= choices["standing"].get(RETIRED, BitMap())
        return look(fleet, view, wanted, among=among, choices=choices)

    def listed() -> MachinesListed:
        if wanted.query:
            fleet.follow_facts()
        found = fleet.ask(question)
        rows = [_shown(one) for one in found.rows]
        return MachinesListed(
            asked=asked, rows=rows, total=found.total, of=found.of, counts=found.counts
        )

    try:
        return await desk.of_fleet(listed)
    except InvalidQuery as error:
        return MachinesListed(asked=asked, rows=(), total=0, of=1, counts=_NOTHING, error=error)


def _members(fleet: Fleet, view: View, collections: Iterable[UUID]) -> Sets:
    ground = fleet.collections.ground(view)
    return {str(key): ground.members_of(key) for key in collections}


async def on_update(desk: Desk, visit: Visit, update: UUID) -> Listed[MachineThere]:
    """Raises NotFound."""
    fleet = desk.context.fleet
    asked = Asked(path=visit.path, values=visit.query, default_sort="state")
    wanted = _wanted(visit, asked, SORTS_THERE)

    def question(view: View) -> tuple[Found, Sets]:
        states = {
            state.value: machines
            for state, machines in sets_of(view.held(view.update(update))).items()
        }
        choices = {"state": states, **choices_of(fleet.machines, view, *FILTERS_THERE)}
        found = look(fleet, view, wanted, among=view.active, choices=choices)
        return found, states

    def listed() -> Listed[MachineThere]:
        found, states = fleet.ask(question)
        return _listed(asked, found, partial(_there, states))

    return await desk.of_fleet(listed)


async def most_behind(desk: Desk, *, limit: int) -> Sequence[Machine]:
    """Return the machines that require most."""
    fleet = desk.context.fleet
    wanted = Wanted(
        choices={"standing": LeafState.REQUIRED.value}, sort="required", descending=True, size=limit
    )

    def question(view: View) -> Found:
        choices = choices_of(fleet.machines, view, "standing")
        return look(fleet, view, wanted, among=view.active, choices=choices)

    found: Found = await desk.of_fleet(partial(fleet.ask, question))
    return [_shown(one) for one in found.rows]


async def names(desk: Desk, uuids: Sequence[UUID]) -> Mapping[UUID, str]:
    """Return what those of these machines are called that there are."""

    def question(view: View) -> Mapping[UUID, str]:
        numbers = {uuid: view.numbers.get(uuid.bytes) for uuid in uuids}
        return {u: view.members[n].client.name for u, n in numbers.items() if n is not None}

    return await desk.of_fleet(partial(desk.context.fleet.ask, question))


def _wanted(visit: Visit, asked: Asked, sorts: Sequence[str]) -> Wanted:
    is_export = "format" in visit.query
    return Wanted(
        search=asked.search,
        choices={name: value for name, value in asked.values.items() if value},
        sort=asked.sort if asked.sort in sorts else asked.default_sort,
        descending=asked.descending,
        page=1 if is_export else asked.page,
        size=EXPORTED if is_export else PAGE,
    )


def _listed(asked: Asked, found: Found, shown: Callable[[Standing], R]) -> Listed[R]:
    return Listed(
        asked=asked,
        rows=[shown(one) for one in found.rows],
        total=found.total,
        of=found.of,
        counts=found.counts,
    )


def _shown(one: Standing) -> Machine:
    return machine_list.shown(one, None)


def _there(states: Sets, one: Standing) -> MachineThere:
    number = one.member.number
    state = next(state for state, machines in states.items() if number in machines)
    return MachineThere(machine=_shown(one), state=state)
