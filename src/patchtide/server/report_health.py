"""The named report of machines that ail: what with, since when, and what they told last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from pyroaring import BitMap

from patchtide.domain.compliance.health import is_too_old
from patchtide.domain.compliance.judgement import Doubt
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.domain.findings import FAULTS, UPDATERS
from patchtide.server.context import Context
from patchtide.server.fact_index import FactIndex
from patchtide.server.fleet_view import View
from patchtide.server.listing import in_order
from patchtide.server.machine_list import policy_at
from patchtide.server.member import Member
from patchtide.server.named_report import CellKind, Figure, ReportColumn, Row, Rows
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.fleet import FleetDetails, Heard
from patchtide.server.report_compliance import ID
from patchtide.server.report_scope import AskReport, Scope, machine_in
from patchtide.server.report_table import Asking, Maker, Table, machine_path
from patchtide.server.report_words import AILMENTS
from patchtide.server.site_health import HEALTH, KeptHealth, read_health

_DOUBTS = (
    Doubt.NEVER_REPORTED, Doubt.STALE, Doubt.SCAN_FAILED, Doubt.NOT_SCANNED, Doubt.OTHER_CATALOG,
)  # fmt: skip
_COLUMNS = (
    ReportColumn(key="name", heading="Machine"),
    ReportColumn(key="ails", heading="What is wrong", kind=CellKind.TEXTS, is_sortable=False),
    ReportColumn(key="since", heading="Since", kind=CellKind.INSTANT),
    ReportColumn(key="heard_at", heading="Last heard", kind=CellKind.INSTANT, falls=True),
    ReportColumn(key="reported_at", heading="Last report", kind=CellKind.INSTANT, falls=True),
    ReportColumn(key="scanned_at", heading="Last scan", kind=CellKind.INSTANT, falls=True),
    ReportColumn(key="policy_at", heading="Last policy", kind=CellKind.INSTANT, is_sortable=False),
    ReportColumn(key="agent_version", heading="Agent"),
    ReportColumn(key="owner", heading="Owner"),
    ReportColumn(key="location", heading="Location"),
    ID,
)
_OUTSIDE = ("quarantined", "waiting", "expected", "missing")
"""Those are no members, or not all of them are: of whom there is no share."""
Ailments = Mapping[str, BitMap]
"""By what it is, who has it."""


def health(context: Context, asked: AskReport) -> Maker:
    kept = read_health(context.lookups.setting(HEALTH))
    context.fleet.follow_facts()
    return lambda asking: _table(asking, kept, context.fleet.store)


def _table(asking: Asking, kept: KeptHealth, store: FleetDetails) -> Table:
    """Raises InvalidDocument: there is no such state."""
    scope, state = asking.scope, asking.asked.state
    if state and state not in AILMENTS:
        raise InvalidDocument([Problem("state", f"is one of {', '.join(AILMENTS)}")])
    view, asked = scope.view, _asked(scope)
    ailments = {
        name: some & asked
        for name, some in _ailments(view, asked, kept, silent_after=asking.silent_after).items()
    }
    ailments["missing"] = _missing(view, asked, kept, scope.fleet.facts) | ailments["expected"]
    wanted = ailments[state] if state else BitMap().union(*ailments.values())
    found = [view.members[number] for number in scope.machines.ordered(wanted)]
    keys: Mapping[str, Callable[[Member], Any]] = {
        "name": lambda m: in_order(m.client.name),
        "since": lambda m: _since(view, m, ailments),
        "heard_at": lambda m: _heard_at(view, m),
        "reported_at": lambda m: m.reported_at,
        "scanned_at": lambda m: m.scanned_at,
        "agent_version": lambda m: _version(view, m),
        "owner": lambda m: m.client.described.owner,
        "location": lambda m: m.client.described.location,
    }

    page = asking.arranged(found, _COLUMNS, keys)

    @cache
    def policies() -> Mapping[int, Heard]:
        # It changes with every check-in: it is read only for rows that somebody reads.
        return store.heard([member.number for member in page])

    def row(member: Member) -> Row:
        ails = tuple(words for name, words in AILMENTS.items() if member.number in ailments[name])
        shown = {**{k: key(member) for k, key in keys.items()}, "name": member.client.name}
        shown |= {"ails": ails, "policy_at": policy_at(policies().get(member.number))}
        cells = (*(shown[column.key] for column in _COLUMNS[:-1]), str(member.id))
        return Row(cells, {"name": f"{machine_path(member.id)}?tab=health"})

    return Table(
        columns=_COLUMNS,
        rows=Rows(page, row),
        total=len(found),
        figures=[
            Figure(
                key=name,
                heading=words,
                count=len(ailments[name]),
                of=None if name in _OUTSIDE else len(asked & view.active),
                link=asking.to("health", state=name),
            )
            for name, words in AILMENTS.items()
            if ailments[name]
        ],
    )


def _asked(scope: Scope) -> BitMap:
    """Return those that are asked about: also who is not let in, but for who is retired."""
    view, asked = scope.live, scope.asked
    found = scope.fleet.collections.answering(view, asked.machines, among=view.present)
    if asked.machine is not None:
        found = found & BitMap([machine_in(view, asked.machine).number])
    if asked.collection is not None:
        found = found & scope.fleet.collections.members_of(view, asked.collection)
    return found


def _ailments(view: View, asked: BitMap, kept: KeptHealth, *, silent_after: timedelta) -> Ailments:
    active = asked & view.active
    heard = BitMap([n for n in active if view.heard_at.get(n)])
    found = {name: BitMap() for name in AILMENTS}
    found["never-heard"] = active - heard
    found["silent"] = view.silent(heard, silent_after=silent_after)
    standings = view.standings()
    doubts = {doubt.value for doubt in _DOUBTS}
    # Of one that never came is told that alone.
    for number in heard:
        doubt = standings[number].judgement.doubt.value
        if doubt in doubts:
            found[doubt].add(number)
        for name in _told(view, number, kept):
            found[name].add(number)
    too_long = view.now - timedelta(hours=kept.waiting_h)
    for number in asked - view.active:
        client = view.members[number].client
        if client.state is ClientState.QUARANTINED:
            found["quarantined"].add(number)
        elif client.enrolled_at <= too_long:
            is_waiting = client.state is ClientState.WAITING
            found["waiting" if is_waiting else "expected"].add(number)
    return found


def _missing(view: View, asked: BitMap, kept: KeptHealth, facts: FactIndex) -> BitMap:
    """Return who was let in long enough ago and has told of no packages.

    Nobody, until it is known again who told what.
    """
    if not facts.is_whole:
        return BitMap()
    too_long = view.now - timedelta(hours=kept.waiting_h)
    silent = (asked & view.active) - facts.telling
    return BitMap([n for n in silent if view.members[n].client.enrolled_at <= too_long])


def _told(view: View, number: int, kept: KeptHealth) -> Iterator[str]:
    spoken = view.spoken_by(number)
    if spoken.degraded or spoken.floor_lost:
        yield "agent"
    for code in spoken.faults:
        if code in UPDATERS:
            yield "updaters"
        elif code in FAULTS:
            yield code
    if is_too_old(spoken.agent_version, oldest=kept.oldest_agent):
        yield "old-agent"


def _since(view: View, member: Member, ailments: Ailments) -> datetime | None:
    """Return since when it is known; of what a machine tells of itself it does not say that."""
    number = member.number
    if number in ailments["silent"]:
        return _heard_at(view, member)
    if number in ailments["stale"]:
        return member.reported_at
    never = ("never-heard", "never-reported", "waiting", "expected", "missing")
    if any(number in ailments[name] for name in never):
        return member.client.enrolled_at
    return None


def _heard_at(view: View, member: Member) -> datetime | None:
    at = view.heard_at.get(member.number)
    return datetime.fromtimestamp(at, UTC) if at else None


def _version(view: View, member: Member) -> str:
    return view.spoken_by(member.number).agent_version or member.client.agent_version
