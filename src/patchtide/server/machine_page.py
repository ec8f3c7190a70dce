"""One machine: what it is, how it stands on every update, and what happened to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Anonymous, Principal, may_read
from patchtide.domain.access.rights import Kind
from patchtide.server.building import build_of
from patchtide.server.collection_checks import readable
from patchtide.server.collection_view import NamedCollection, named
from patchtide.server.context import Call
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import KnownUpdate
from patchtide.server.machine_descriptions import WAS
from patchtide.server.machine_list import Machine, health_of, shown
from patchtide.server.machines import MachineId, OneMachine
from patchtide.server.member import Member
from patchtide.server.ports.audit import AuditEntry
from patchtide.server.ports.fleet import ReportedEvents
from patchtide.server.table import Input, Output
from patchtide.server.told_hardware import hardware_of
from patchtide.wire.inventory import HardwareV1
from patchtide.wire.messages import EventV1

NEWEST = 100
UNREADABLE = "unreadable-events"


class ShownMachine(Machine, kw_only=True, frozen=True):
    not_required: int
    is_tier_zero: bool
    """It is in a collection of tier 0, or may be: who is in one is not known."""
    full_report: bool
    """The server has asked for a full report and not got it yet."""
    scan: str
    """none, running, completed, waiting-catalog, failed, retrying; asked: not heard since."""
    scan_wanted: datetime | None
    """When somebody asked for a scan that the machine still owes; null: it owes none."""
    scan_error: str
    scanned_at: datetime | None
    aged_catalog: bool
    """It was scanned against a catalog whose signatures were older than they should be."""
    shards: dict[str, int]
    """The shards that it follows, each with the serial that it evaluated last."""
    poll_s: int
    """Seconds between two check-ins that it is told."""
    scan_every_h: int
    """Hours between two scans that it is told; what its own file says, only it knows."""
    postpone_times: int
    """How often whoever sits at it may put off what is due there; 0: never."""
    postpone_h: int
    """For how many hours in all."""
    told_by: NamedCollection | None
    """By the settings of which collection; null: by the site's."""
    degraded: str
    """What its agent says is wrong with itself; empty: nothing."""
    host_name: str
    system: str
    kernel: str
    architecture: str
    model: str
    processors: int
    memory_bytes: int
    addresses: tuple[str, ...]
    services: tuple[str, ...]
    time_zone: str
    """By which clocks it goes, as it told; empty: it did not."""
    build_until: datetime | None
    """It is in build, and at the latest until then; null: it was handed over, or never was."""
    faults: tuple[str, ...]
    """What it finds wrong with itself, by code; who else installs updates there among it."""
    taken_over: tuple[str, ...]
    """Who else would install updates there, by code, and is held back by its agent."""
    takes_over: bool
    """Its agent is told to hold those back."""


class ListHistory(Input, kw_only=True, frozen=True):
    machine: MachineId
    limit: Annotated[int, Meta(ge=1, le=NEWEST, description="How many at most.")] = 50


class HistoryEntry(Output, kw_only=True, frozen=True):
    at: datetime
    actor: str
    """Who: the machine itself, or whoever decided something about it."""
    what: str
    """A step's code, or the name of the operation."""
    update: UUID | None
    title: str
    """Of that update; empty when it is about none."""
    detail: str


class History(Output, kw_only=True, frozen=True):
    items: tuple[HistoryEntry, ...]


async def show(call: Call, principal: Principal, asked: OneMachine) -> ShownMachine:
    return await call.read_fleet(lambda: _shown(call, principal, asked.machine))


async def history(call: Call, principal: Principal, asked: ListHistory) -> History:
    return await call.read_fleet(lambda: _history(call, principal, asked))


def _shown(call: Call, principal: Principal, machine: UUID) -> ShownMachine:
    fleet = call.context.fleet
    told = call.context.agents.settings_of(machine.bytes)
    found, collections, zero = fleet.ask(
        lambda view: (
            view.standing(view.member(machine)),
            _named(principal, view, told.collection),
            fleet.collections.tier_zero(view),
        )
    )
    member = found.member
    heard = fleet.store.heard([member.number]).get(member.number)
    listed = shown(found, heard)
    [client] = fleet.store.clients_of([machine.bytes])
    wanted = datetime.fromtimestamp(client.scan_wanted, UTC) if client.scan_wanted else None
    hardware = hardware_of(fleet.store, member.number)
    return ShownMachine(
        **{name: getattr(listed, name) for name in Machine.__struct_fields__},
        not_required=found.tally.not_required,
        is_tier_zero=zero is None or member.number in zero,
        full_report=client.full_report,
        scan=_scan(member, wanted, listed.seen_at),
        scan_wanted=wanted,
        scan_error=member.scan_error,
        scanned_at=member.scanned_at,
        aged_catalog=member.aged_catalog,
        shards=dict(member.states.shards),
        poll_s=told.poll_s,
        scan_every_h=told.scans.every_s // 3600,
        postpone_times=told.postponing.times,
        postpone_h=told.postponing.within_s // 3600,
        told_by=next(iter(collections), None),
        degraded=health_of(heard).degraded,
        faults=health_of(heard).faults,
        taken_over=health_of(heard).taken_over,
        takes_over=told.takes_over,
        build_until=(build := build_of(client)) and build.ends,
        **{name: getattr(hardware, name) for name in HardwareV1.__struct_fields__},
    )


def _named(principal: Principal, view: View, collection: UUID | None) -> Sequence[NamedCollection]:
    if collection is None or collection not in readable(principal, view):
        return ()
    return named(view, [collection])


def _scan(member: Member, wanted: datetime | None, seen_at: datetime | None) -> str:
    """Say how its scan stands: one that was asked for and heard of is under way."""
    if wanted is None or (member.reported_at and member.reported_at >= wanted):
        return member.scan
    return "running" if seen_at is not None and seen_at >= wanted else "asked"


def _history(call: Call, principal: Principal, asked: ListHistory) -> History:
    fleet = call.context.fleet
    member = fleet.ask(lambda view: view.member(asked.machine))
    told = list(_told(fleet.store.recent_events(member.number, limit=asked.limit)))
    updates: Mapping[int, KnownUpdate | None] = {}
    if _may_read(principal, Kind.CATALOG):
        updates = fleet.ask(lambda view: {e.update: view.of_leaf(e.update) for e in told})
    entries = [_step(member, event, updates.get(event.update)) for event in told]
    if _may_read(principal, Kind.AUDIT):
        entries += map(_decision, fleet.store.audit_of(member.id.hex, limit=asked.limit))
    entries.sort(key=lambda entry: entry.at, reverse=True)
    return History(items=tuple(entries[: asked.limit]))


def _may_read(principal: Principal, kind: Kind) -> bool:
    return not isinstance(principal, Anonymous) and may_read(principal.rights, kind)


def _told(reports: Iterable[ReportedEvents]) -> Iterator[EventV1]:
    for report in reports:
        try:
            yield from msgspec.msgpack.decode(report.events, type=tuple[EventV1, ...])
        except msgspec.DecodeError as error:
            # Taken when less was asked of events; that there were some is known all the same.
            at = int(report.at.timestamp())
            yield EventV1(at=at, code=UNREADABLE, detail=str(error))


def _step(member: Member, event: EventV1, update: KnownUpdate | None) -> HistoryEntry:
    return HistoryEntry(
        at=datetime.fromtimestamp(event.at, UTC),
        actor=member.client.name,
        what=event.code,
        update=update.id if update else None,
        title=update.title if update else "",
        detail=event.detail,
    )


def _decision(entry: AuditEntry) -> HistoryEntry:
    detail = ", ".join(_parts(entry.detail))
    return HistoryEntry(
        at=entry.at, actor=entry.actor, what=entry.operation, update=None, title="", detail=detail
    )


def _parts(detail: Mapping[str, object]) -> Iterator[str]:
    for name, value in detail.items():
        was = detail.get(f"{name}{WAS}")
        if was:
            yield f"{name}: {value or 'nothing'}, was {was}"
        elif value and not name.endswith(WAS):
            yield f"{name}: {value}"
