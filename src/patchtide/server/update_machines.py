"""The machines by how they stand on one update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.server.context import Call
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import KnownUpdate
from patchtide.server.listing import After, Column, Limit, Search, matches, paged
from patchtide.server.machine_list import Named, seconds
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


@dataclass(frozen=True, slots=True)
class _Standing:
    member: Member
    state: LeafState


_ORDER = (LeafState.REQUIRED, LeafState.UNKNOWN, LeafState.INSTALLED, LeafState.NOT_REQUIRED)
_COLUMNS: Mapping[str, Column[_Standing]] = {
    "name": Column(lambda s: s.member.named, Named),
    "state": Column(lambda s: (_ORDER.index(s.state), s.member.named), tuple[int, Named]),
    "reported": Column(
        lambda s: (-seconds(s.member.reported_at), s.member.named), tuple[float, Named]
    ),
}


async def machines(call: Call, principal: Principal, asked: ListStanding) -> StandingList:
    return await call.read_fleet(
        lambda: call.context.fleet.ask(lambda view: _standing(view, asked))
    )


def _standing(view: View, asked: ListStanding) -> StandingList:
    update = view.update(asked.update)
    held = view.held(update)
    standing = [
        _Standing(view.members[number], state)
        for state, numbers in (
            (LeafState.REQUIRED, held.required),
            (LeafState.INSTALLED, held.installed),
            (LeafState.NOT_REQUIRED, held.not_required),
            (LeafState.UNKNOWN, held.unknown),
        )
        if asked.state in ("", state)
        for number in numbers
    ]
    fitting = [s for s in standing if _fits(s.member, asked.search)]
    page = paged(fitting, columns=_COLUMNS, sort=asked.sort, after=asked.after, limit=asked.limit)
    tally = held.tally
    items = tuple(_machine(view, update, standing) for standing in page.items)
    return StandingList(
        items=items,
        total=len(fitting),
        counts=StateCounts(
            required=tally.required,
            installed=tally.installed,
            not_required=tally.not_required,
            unknown=tally.unknown,
        ),
        next=page.next,
    )


def _fits(member: Member, search: str) -> bool:
    return not search or matches(search, member.client.name, member.client.group, str(member.id))


def _machine(view: View, update: KnownUpdate, standing: _Standing) -> StandingMachine:
    client = standing.member.client
    exposure = client.described.exposure
    return StandingMachine(
        id=standing.member.id,
        name=client.name,
        state=standing.state.value,
        doubt=view.doubt(standing.member).value,
        restart_pending=standing.member.number in view.restarting,
        group=client.group,
        platform=client.platform,
        exposure=exposure.value,
        risk=view.risk_of(update, exposure).value,
        reported_at=standing.member.reported_at,
    )
