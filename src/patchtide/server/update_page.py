"""One update: its text, its rules in words, and the machines by how they stand on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import Rule
from patchtide.domain.catalog.words import lines
from patchtide.server.context import Call
from patchtide.server.fleet_view import KnownUpdate, Member, View
from patchtide.server.listing import Key, Limit, Search, matches, paged
from patchtide.server.ports.storage import StoredLeaf
from patchtide.server.table import Input, Output
from patchtide.server.updates import Update, UpdateId, counted, shown
from patchtide.wire.leaves import entry, read_leaves

LeafStateName = Literal["", "required", "installed", "not-required", "unknown"]
StandingSort = Literal["name", "-name", "state", "-state", "reported", "-reported"]


class OneUpdate(Input, kw_only=True, frozen=True):
    update: UpdateId


class ListStanding(Input, kw_only=True, frozen=True):
    update: UpdateId
    state: Annotated[LeafStateName, Meta(description="Only machines in this state.")] = ""
    search: Annotated[Search, Meta(description="Part of the name, group or id.")] = ""
    sort: Annotated[StandingSort, Meta(description="The order; a minus turns it round.")] = "state"
    after: Annotated[
        UUID | None, Meta(description="Go on after this machine (`next` of the page before).")
    ] = None
    limit: Limit = 100


class RuleLine(Output, kw_only=True, frozen=True):
    depth: int
    text: str


class ShownFile(Output, kw_only=True, frozen=True):
    name: str
    version: str
    size_bytes: int


class ShownLeaf(Output, kw_only=True, frozen=True):
    """A variant of the update, for one platform."""

    shard: str
    revision: int
    origin: str
    restart: str
    files: tuple[ShownFile, ...]
    prerequisite: tuple[RuleLine, ...]
    """When it is looked at on a machine at all."""
    applicable: tuple[RuleLine, ...]
    """When the machine is one that it is for."""
    installed: tuple[RuleLine, ...]
    """When it is there already."""


class ShownUpdate(Update, kw_only=True, frozen=True):
    description: str
    vendor: str
    feed: str
    leaves: tuple[ShownLeaf, ...]


class StandingMachine(Output, kw_only=True, frozen=True):
    id: UUID
    name: str
    state: str
    doubt: str
    """Why it is unknown, when nothing of the machine can be believed."""
    group: str
    platform: str
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
    next: UUID | None
    """Where to go on; null at the end."""


@dataclass(frozen=True, slots=True)
class _Standing:
    member: Member
    state: LeafState


_ORDER = (LeafState.REQUIRED, LeafState.UNKNOWN, LeafState.INSTALLED, LeafState.NOT_REQUIRED)
_COLUMNS: Mapping[str, Key[_Standing]] = {
    "name": lambda s: _by_name(s),
    "state": lambda s: (_ORDER.index(s.state), *_by_name(s)),
    "reported": lambda s: (-_reported(s.member), *_by_name(s)),
}


def _by_name(standing: _Standing) -> tuple[Any, ...]:
    return (standing.member.client.name.casefold(), standing.member.number)


def _reported(member: Member) -> float:
    return member.reported_at.timestamp() if member.reported_at else 0.0


async def show(call: Call, principal: Principal, asked: OneUpdate) -> ShownUpdate:
    return await call.read(lambda: _shown(call, asked.update))


async def machines(call: Call, principal: Principal, asked: ListStanding) -> StandingList:
    return await call.read(lambda: call.context.fleet.ask(lambda view: _standing(view, asked)))


def _shown(call: Call, update: UUID) -> ShownUpdate:
    fleet = call.context.fleet
    found = fleet.ask(lambda view: counted(view, view.update(update)))
    listed, details = shown(found), found.update.details
    return ShownUpdate(
        **{name: getattr(listed, name) for name in Update.__struct_fields__},
        description=details.description if details else "",
        vendor=details.vendor if details else "",
        feed=details.feed if details else "",
        leaves=tuple(_leaves(found.update, fleet.store.leaves_of(update))),
    )


def _leaves(update: KnownUpdate, stored: Iterable[StoredLeaf]) -> Iterable[ShownLeaf]:
    """Yield the leaves in the revision that is published."""
    by_place = {(leaf.number, leaf.entered_serial): leaf for leaf in stored}
    for placed in update.leaves:
        kept = by_place.get((placed.number, placed.entered))
        if kept is not None:
            [leaf], _ = read_leaves([entry(kept.number, kept.revision, kept.document)])
            yield _leaf(leaf, placed.shard)


def _leaf(leaf: Leaf, shard: str) -> ShownLeaf:
    return ShownLeaf(
        shard=shard,
        revision=leaf.revision,
        origin=leaf.origin.text,
        restart=leaf.restart.value,
        files=tuple(
            ShownFile(name=f.name, version=f.version, size_bytes=f.size_bytes) for f in leaf.files
        ),
        prerequisite=_worded(leaf.prerequisite),
        applicable=_worded(leaf.applicable),
        installed=_worded(leaf.installed),
    )


def _worded(rule: Rule) -> tuple[RuleLine, ...]:
    return tuple(RuleLine(depth=line.depth, text=line.text) for line in lines(rule))


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
    after = None
    if asked.after is not None:
        member = view.member(asked.after)
        after = _Standing(member, view.states_on(member)(update))
    page = paged(fitting, columns=_COLUMNS, sort=asked.sort, after=after, limit=asked.limit)
    tally = held.tally
    items = tuple(_machine(view, standing) for standing in page.items)
    return StandingList(
        items=items,
        total=len(fitting),
        counts=StateCounts(
            required=tally.required,
            installed=tally.installed,
            not_required=tally.not_required,
            unknown=tally.unknown,
        ),
        next=items[-1].id if page.has_more else None,
    )


def _fits(member: Member, search: str) -> bool:
    return not search or matches(search, member.client.name, member.client.group, str(member.id))


def _machine(view: View, standing: _Standing) -> StandingMachine:
    client = standing.member.client
    return StandingMachine(
        id=standing.member.id,
        name=client.name,
        state=standing.state.value,
        doubt=view.doubt(standing.member).value,
        group=client.group,
        platform=client.platform,
        reported_at=standing.member.reported_at,
    )
