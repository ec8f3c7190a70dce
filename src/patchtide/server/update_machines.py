"""The machines by how they stand on one update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta
from pyroaring import BitMap

from patchtide.domain.access.principals import Principal
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.compliance.ground import Held
from patchtide.server.context import Call
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import KnownUpdate
from patchtide.server.listing import (
    After,
    Column,
    Limit,
    Search,
    cursor_at,
    matches,
    place_in,
)
from patchtide.server.machine_index import MachineIndex
from patchtide.server.machine_orders import COLUMNS, Named
from patchtide.server.machine_standings import Standing
from patchtide.server.member import Member
from patchtide.server.table import Input, Output
from patchtide.server.updates import UpdateId

LeafStateName = Literal["", "required", "installed", "not-required", "unknown"]
StandingSort = Literal["name", "-name", "state", "-state", "reported", "-reported"]


class ListStanding(Input, kw_only=True, frozen=True):
    update: UpdateId
    state: Annotated[LeafStateName, Meta(description="Only machines in this state.")] = ""
    search: Annotated[Search, Meta(description="Part of the name, group or id.")] = ""
    sort: Annotated[StandingSort, Meta(description="The order; a minus turns it round.")] = "state"
    after: After = ""
    limit: Limit = 100


class StandingMachine(Output, kw_only=True, frozen=True):
    id: UUID
    name: str
    state: str
    doubt: str
    """Why it is unknown, when nothing of the machine can be believed."""
    restart_pending: bool
    """What is installed there takes effect only after a restart."""
    group: str
    platform: str
    exposure: str
    """Where people say that it stands."""
    risk: str
    """The update's risk class there."""
    reported_at: datetime | None


class StateCounts(Output, kw_only=True, frozen=True):
    required: int
    installed: int
    not_required: int
    unknown: int


class StandingList(Output, kw_only=True, frozen=True):
    items: tuple[StandingMachine, ...]
    total: int
    """How many machines there are that fit, on all pages."""
    counts: StateCounts
    """Among all active machines."""
    next: str | None
    """Where to go on; null at the end."""


_ORDER = (LeafState.REQUIRED, LeafState.UNKNOWN, LeafState.INSTALLED, LeafState.NOT_REQUIRED)
_Row = tuple[LeafState, Standing]
_COLUMNS: Mapping[str, Column[_Row]] = {
    "name": Column(lambda row: COLUMNS["name"].key(row[1]), COLUMNS["name"].kind),
    "state": Column(lambda row: (_ORDER.index(row[0]), row[1].member.named), tuple[int, Named]),
    "reported": Column(lambda row: COLUMNS["reported"].key(row[1]), COLUMNS["reported"].kind),
}


async def machines(call: Call, principal: Principal, asked: ListStanding) -> StandingList:
    fleet = call.context.fleet
    return await call.read_fleet(
        lambda: fleet.ask(lambda view: _standing(fleet.machines, view, asked))
    )


def _standing(index: MachineIndex, view: View, asked: ListStanding) -> StandingList:
    update = view.update(asked.update)
    held = view.held(update)
    by_state = sets_of(held)
    wanted = {state: by_state[state] for state in _ORDER if asked.state in ("", state)}
    if asked.search:
        mentioning = _mentioning(index, view, asked.search)
        wanted = {state: machines & mentioning for state, machines in wanted.items()}
    rows = _page(index, view, asked, wanted)
    tally = held.tally
    is_last = len(rows) <= asked.limit
    items = rows[: asked.limit]
    key = _COLUMNS[asked.sort.removeprefix("-")].key
    return StandingList(
        items=tuple(_machine(view, update, *row) for row in items),
        total=sum(map(len, wanted.values())),
        counts=StateCounts(
            required=tally.required,
            installed=tally.installed,
            not_required=tally.not_required,
            unknown=tally.unknown,
        ),
        next=None if is_last else cursor_at(asked.sort, key(items[-1])),
    )


def sets_of(held: Held) -> Mapping[LeafState, BitMap]:
    return {
        LeafState.REQUIRED: held.required,
        LeafState.INSTALLED: held.installed,
        LeafState.NOT_REQUIRED: held.not_required,
        LeafState.UNKNOWN: held.unknown,
    }


def _mentioning(index: MachineIndex, view: View, text: str) -> BitMap:
    """Return those that have the text in their names, groups or ids, and not elsewhere."""
    some = index.mentioning(view, text.casefold())
    return BitMap([number for number in some if _fits(view.members[number], text)])


def _page(
    index: MachineIndex, view: View, asked: ListStanding, wanted: Mapping[LeafState, BitMap]
) -> Sequence[_Row]:
    """Return the rows of the page and one more, if there is one."""
    place, falls = place_in(_COLUMNS, asked.sort, asked.after), asked.sort.startswith("-")
    standings, orders = view.standings(), index.orders(view)
    limit, by = asked.limit + 1, asked.sort.removeprefix("-")
    if by != "state":
        every = BitMap().union(*wanted.values())
        numbers = orders.behind(by, place, among=every, falls=falls, limit=limit)
        return [(_state_in(wanted, number), standings[number]) for number in numbers]
    rows: list[_Row] = []
    for state in reversed(_ORDER) if falls else _ORDER:
        rank = _ORDER.index(state)
        if state not in wanted or (place and (rank > place[0] if falls else rank < place[0])):
            continue
        # States are few, and within one it is names that say who comes first.
        named = place[1] if place and place[0] == rank else None
        within = orders.behind(
            "name", named, among=wanted[state], falls=falls, limit=limit - len(rows)
        )
        rows += [(state, standings[number]) for number in within]
        if len(rows) == limit:
            break
    return rows


def _state_in(states: Mapping[LeafState, BitMap], number: int) -> LeafState:
    return next(state for state, machines in states.items() if number in machines)


def _fits(member: Member, search: str) -> bool:
    return matches(search, member.client.name, member.client.group, str(member.id))


def _machine(
    view: View, update: KnownUpdate, state: LeafState, standing: Standing
) -> StandingMachine:
    member, client = standing.member, standing.member.client
    exposure = client.described.exposure
    return StandingMachine(
        id=member.id,
        name=client.name,
        state=state.value,
        doubt=view.doubt(member).value,
        restart_pending=standing.restart_pending,
        group=client.group,
        platform=client.platform,
        exposure=exposure.value,
        risk=view.risk_of(update, exposure).value,
        reported_at=member.reported_at,
    )
