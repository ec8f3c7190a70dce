"""The list of machines: where each stands, searched, filtered, sorted and paged."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta
from pyroaring import BitMap

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.query_parser import MAX_LENGTH
from patchtide.domain.compliance.judgement import Compliance
from patchtide.server.collection_checks import may_ask
from patchtide.server.context import Call
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.listing import After, Limit, Page, Search, cursor_at, place_in
from patchtide.server.machine_descriptions import ExposureName
from patchtide.server.machine_orders import COLUMNS
from patchtide.server.machine_standings import Standing
from patchtide.server.ports.fleet import Heard
from patchtide.server.table import Input, Output
from patchtide.wire.messages import HealthV1, decode

StateName = Literal["", "expected", "waiting", "active", "quarantined", "decommissioned"]
ComplianceName = Literal["", "compliant", "required", "restart", "unknown"]
MachineSort = Literal[
    "name", "-name", "required", "-required", "unknown", "-unknown", "reported", "-reported",
    "platform", "-platform", "enrolled", "-enrolled", "criticality", "-criticality",
]  # fmt: skip


class ListMachines(Input, kw_only=True, frozen=True):
    state: Annotated[StateName, Meta(description="Only machines in this state.")] = ""
    compliance: Annotated[
        ComplianceName, Meta(description="Only machines that stand so on updates.")
    ] = ""
    owner: Annotated[Search, Meta(description="Only machines of this owner.")] = ""
    role: Annotated[Search, Meta(description="Only machines with this role among theirs.")] = ""
    exposure: Annotated[ExposureName, Meta(description="Only machines that stand so.")] = ""
    location: Annotated[Search, Meta(description="Only machines at this location.")] = ""
    collection: Annotated[
        UUID | None, Meta(description="Only machines in this collection, by its id.")
    ] = None
    query: Annotated[
        str,
        Meta(
            max_length=MAX_LENGTH,
            description=(
                "Only machines that answer to this query, such as"
                " `package(openssl) < 3.0.11 and restart`; see the guide to machines by query."
            ),
        ),
    ] = ""
    search: Annotated[
        Search, Meta(description="Part of the name, group, platform, owner, location, site or id.")
    ] = ""
    sort: Annotated[MachineSort, Meta(description="The order; a minus turns it round.")] = "name"
    after: After = ""
    limit: Limit = 100


class Machine(Output, kw_only=True, frozen=True):
    id: UUID
    name: str
    state: str
    compliance: str
    """compliant, required (some update is), restart (installed, but waiting for it), or unknown."""
    doubt: str
    """Why it is unknown; empty otherwise."""
    required: int
    installed: int
    unknown: int
    """How many updates are in which state; the others are not required."""
    reported_at: datetime | None
    seen_at: datetime | None
    restart_pending: bool
    """What is installed there takes effect only after a restart."""
    in_build: bool
    """It is new: no maintenance window binds it until it is handed over."""
    site: str
    group: str
    platform: str
    owner: str
    roles: tuple[str, ...]
    exposure: str
    """Where people say that it stands: perimeter, critical, server, laptop, isolated, ordinary."""
    location: str
    cluster: str
    """The cluster or load-balancing group that it is a member of."""
    management_group: str
    tags: tuple[str, ...]
    criticality: int | None
    """The sum of the six scores that follow, from 0 to 5 each; null: nobody has scored it."""
    business: int | None
    downtime: int | None
    redundancy: int | None
    testing: int | None
    complexity: int | None
    distance: int | None
    schedule: UUID | None
    """The collection in whose windows it may be changed."""
    restart: str
    """automatic, none, interactive, script (its own, before and after); empty: nobody has said."""
    agent_version: str
    enrolled_at: datetime


class ComplianceCounts(Output, kw_only=True, frozen=True):
    compliant: int
    required: int
    restart: int
    """Nothing is required, but what is installed waits for a restart: not compliant."""
    unknown: int


class MachineList(Output, kw_only=True, frozen=True):
    items: tuple[Machine, ...]
    total: int
    """How many machines there are that fit, on all pages."""
    counts: ComplianceCounts
    """How those stand that fit all but the `compliance` asked for."""
    next: str | None
    """Where to go on; null at the end."""


async def list_some(call: Call, principal: Principal, asked: ListMachines) -> MachineList:
    """Raises InvalidQuery, NotFound."""
    may_ask(principal, asked.collection, asked.query)
    return await call.read_fleet(lambda: listed(call, asked))


def listed(call: Call, asked: ListMachines) -> MachineList:
    fleet = call.context.fleet
    if asked.query:
        fleet.follow_facts()
    page, total, counts = fleet.ask(lambda view: found(fleet, view, asked))
    heard = fleet.store.heard([j.member.number for j in page.items])
    items = tuple(shown(j, heard.get(j.member.number)) for j in page.items)
    return MachineList(items=items, total=total, counts=counts, next=page.next)


def found(
    fleet: Fleet, view: View, asked: ListMachines
) -> tuple[Page[Standing], int, ComplianceCounts]:
    """Return a page, of how many, and how those stand that fit."""
    place, falls = place_in(COLUMNS, asked.sort, asked.after), asked.sort.startswith("-")
    index = fleet.machines
    fitting = _fitting(fleet, view, asked)
    by_standing = index.values(view, "standing")
    wanted = fitting
    if asked.compliance:
        wanted = fitting & by_standing.get(asked.compliance, BitMap())
    name = asked.sort.removeprefix("-")
    numbers = index.orders(view).behind(
        name, place, among=wanted, falls=falls, limit=asked.limit + 1
    )
    standings = view.standings()
    items = [standings[number] for number in numbers[: asked.limit]]
    is_last = len(numbers) <= asked.limit
    page = Page(items, None if is_last else cursor_at(asked.sort, COLUMNS[name].key(items[-1])))
    counts = {
        Compliance(str(value)): machines.intersection_cardinality(fitting)
        for value, machines in by_standing.items()
    }
    return page, len(wanted), counted(counts)


def _fitting(fleet: Fleet, view: View, asked: ListMachines) -> BitMap:
    """Return the machines that fit all but the `compliance` asked for."""
    index = fleet.machines
    found = BitMap(view.members)
    if asked.collection is not None:
        found = fleet.collections.members_of(view, asked.collection)
    if asked.query:
        found = fleet.collections.answering(view, asked.query, among=found)
    for field, value in (
        ("state", asked.state),
        ("role", asked.role),
        ("exposure", asked.exposure),
    ):
        if value:
            found &= index.values(view, field).get(value, BitMap())
    for field, text in (("owner", asked.owner), ("location", asked.location)):
        if text:
            folded = text.casefold()
            alike = index.values(view, field).items()
            found &= BitMap().union(*(n for value, n in alike if str(value).casefold() == folded))
    if asked.search:
        found &= index.mentioning(view, asked.search.casefold())
    return found


def counted(standings: Mapping[Compliance, int]) -> ComplianceCounts:
    return ComplianceCounts(
        compliant=standings.get(Compliance.COMPLIANT, 0),
        required=standings.get(Compliance.REQUIRED, 0),
        restart=standings.get(Compliance.RESTART, 0),
        unknown=standings.get(Compliance.UNKNOWN, 0),
    )


def shown(standing: Standing, heard: Heard | None) -> Machine:
    member, client, health = standing.member, standing.member.client, health_of(heard)
    tally = standing.tally
    return Machine(
        id=member.id,
        name=client.name,
        state=client.state.value,
        compliance=standing.judgement.compliance.value,
        doubt=standing.judgement.doubt.value,
        required=tally.required,
        installed=tally.installed,
        unknown=tally.unknown,
        reported_at=member.reported_at,
        seen_at=seen_at(heard),
        restart_pending=standing.restart_pending,
        in_build=client.build_until > 0,
        site=client.site,
        group=client.group,
        platform=client.platform,
        owner=client.described.owner,
        roles=client.described.roles,
        exposure=client.described.exposure.value,
        location=client.described.location,
        cluster=client.described.cluster,
        management_group=client.described.management_group,
        tags=client.described.tags,
        criticality=client.described.criticality,
        business=client.described.business,
        downtime=client.described.downtime,
        redundancy=client.described.redundancy,
        testing=client.described.testing,
        complexity=client.described.complexity,
        distance=client.described.distance,
        schedule=client.described.schedule,
        restart=client.described.restart.value,
        agent_version=health.agent_version or client.agent_version,
        enrolled_at=client.enrolled_at,
    )


def health_of(heard: Heard | None) -> HealthV1:
    """Return what the machine said of itself when it was last heard."""
    return decode(heard.health, HealthV1) if heard and heard.health else HealthV1()


def seen_at(heard: Heard | None) -> datetime | None:
    return datetime.fromtimestamp(heard.at, UTC) if heard and heard.at else None


def policy_at(heard: Heard | None) -> datetime | None:
    """Return when it last came with the settings that hold for it."""
    return datetime.fromtimestamp(heard.policy_at, UTC) if heard and heard.policy_at else None
