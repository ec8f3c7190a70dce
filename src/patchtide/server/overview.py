"""Where the whole fleet stands, in one answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from patchtide.domain.access.principals import Anonymous, Principal, may_read, may_read_updates
from patchtide.domain.access.rights import Kind
from patchtide.domain.compliance.judgement import Doubt
from patchtide.server.context import Call
from patchtide.server.fleet_view import View
from patchtide.server.machine_list import ComplianceCounts, counted
from patchtide.server.ports.audit import AuditEntry
from patchtide.server.ports.clients import ClientState
from patchtide.server.table import Nothing, Output
from patchtide.server.updates import Update, UpdateCounts, shown, worst

T = TypeVar("T")
WORST = 8
NEWEST = 10


class AdmissionCounts(Output, kw_only=True, frozen=True):
    waiting: int
    active: int
    quarantined: int


class NewestEvent(Output, kw_only=True, frozen=True):
    sequence: int
    at: datetime
    actor: str
    operation: str
    subject: str
    name: str
    """What the subject is called, as far as the decision said."""


class Overview(Output, kw_only=True, frozen=True):
    machines: AdmissionCounts
    compliance: ComplianceCounts
    """Among active machines."""
    doubts: dict[str, int]
    """Why how many of them are unknown."""
    reporting: int
    """Active machines that were heard of late."""
    silent: int
    """Active machines that were not."""
    silent_after_s: int
    """After how many seconds without a word a machine is silent."""
    updates: int
    """How many are published of those that the caller may read; so it is with the next two."""
    update_counts: UpdateCounts
    worst: tuple[Update, ...]
    """What is required, the most severe first."""
    shards: dict[str, int]
    events: tuple[NewestEvent, ...] | None
    """The newest decisions; null for whoever may not read the audit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    admitted: Counter[ClientState]
    compliance: ComplianceCounts
    doubts: Counter[Doubt]
    updates: int
    update_counts: UpdateCounts
    worst: tuple[Update, ...]
    shards: dict[str, int]


async def overview(call: Call, principal: Principal, asked: Nothing) -> Overview:
    return await call.read_fleet(lambda: _overview(call, principal))


def _overview(call: Call, principal: Principal) -> Overview:
    fleet, silent_after = call.context.fleet, call.context.silent_after
    told = fleet.ask(counts)
    active = told.admitted[ClientState.ACTIVE]
    reporting = min(active, fleet.heard_of_late(silent_after))
    held = frozenset() if isinstance(principal, Anonymous) else principal.rights
    reads = may_read_updates(held)
    return Overview(
        machines=AdmissionCounts(
            waiting=told.admitted[ClientState.WAITING],
            active=active,
            quarantined=told.admitted[ClientState.QUARANTINED],
        ),
        compliance=told.compliance,
        doubts={doubt.value: n for doubt, n in told.doubts.items() if doubt is not Doubt.NONE},
        reporting=reporting,
        silent=active - reporting,
        silent_after_s=int(silent_after.total_seconds()),
        updates=told.updates if reads else 0,
        update_counts=told.update_counts if reads else UpdateCounts(required=0, unknown=0),
        worst=told.worst if reads else (),
        shards=told.shards,
        events=tuple(map(_event, fleet.store.newest_audit(limit=NEWEST)))
        if may_read(held, Kind.AUDIT)
        else None,
    )


def counts(view: View) -> _Counts:
    alike = [(group, n) for group, n in view.alike().items() if n]
    active = [(how, doubt, n) for (state, how, doubt), n in alike if state is ClientState.ACTIVE]
    updates = list(view.updates.values())
    tallies = view.tallies(updates)
    return _Counts(
        admitted=_summed((state, n) for (state, _, _), n in alike),
        compliance=counted(_summed((how, n) for how, _, n in active)),
        doubts=_summed((doubt, n) for _, doubt, n in active),
        updates=len(updates),
        update_counts=UpdateCounts(
            required=sum(tally.required > 0 for tally in tallies),
            unknown=sum(tally.unknown > 0 for tally in tallies),
        ),
        worst=tuple(shown(view.counted(u)) for u in worst(updates, tallies, limit=WORST)),
        shards=dict(view.serials),
    )


def _summed(pairs: Iterable[tuple[T, int]]) -> Counter[T]:
    sums: Counter[T] = Counter()
    for key, number in pairs:
        sums[key] += number
    return sums


def _event(entry: AuditEntry) -> NewestEvent:
    return NewestEvent(
        sequence=entry.sequence,
        at=entry.at,
        actor=entry.actor,
        operation=entry.operation,
        subject=entry.subject,
        name=str(entry.detail.get("name") or ""),
    )
