"""A look at one machine from the server, from whether it exists to whether it reports.

What a repair does disturbs nobody on the machine: it is asked for a report, or for a scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

from patchtide.domain.access.principals import Principal
from patchtide.domain.compliance.health import FULL_REPORT, SCAN, Seen, examined
from patchtide.domain.errors import NotFound, WrongState
from patchtide.domain.findings import Finding, Level
from patchtide.server.context import Call
from patchtide.server.machine_list import health_of, policy_at, seen_at
from patchtide.server.machines import OneMachine
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.fleet import FleetDetails
from patchtide.server.site_health import HEALTH, read_health
from patchtide.server.table import Output

LISTS = ("packages", "hardware", "facts")


class ShownFinding(Output, kw_only=True, frozen=True):
    level: str
    """fine, note (to be known) or wrong."""
    check: str
    said: str
    cure: str
    """What to do about it; empty: nothing."""
    repair: str
    """What `machines repair` does about it: full-report or scan; empty: nothing."""


class Examined(Output, kw_only=True, frozen=True):
    items: tuple[ShownFinding, ...]
    wrong: int
    """How many of the checks found something wrong."""


async def examine(call: Call, principal: Principal, asked: OneMachine) -> Examined:
    """Raises NotFound."""
    return await call.read_fleet(lambda: _shown(list(_found(call, asked.machine))))


async def repair(call: Call, principal: Principal, asked: OneMachine) -> Examined:
    """Do what is safe about what is wrong, and look again.

    Raises:
        NotFound
        WrongState: there is nothing that a repair could do, or the machine is not let in.
    """
    uuid = asked.machine.bytes
    found = await call.read_fleet(lambda: list(_found(call, asked.machine)))
    wanted = sorted({finding.repair for finding in found} - {""})
    if not wanted:
        raise WrongState("a repair from here would change nothing; see what to do of each finding")

    def work(tx: Transaction) -> None:
        client = tx.client(uuid)
        if client is None:
            raise NotFound
        if client.state is not ClientState.ACTIVE:
            raise WrongState(f"{client.name} is {client.state}")
        if FULL_REPORT in wanted:
            tx.ask_full_report([uuid])
        if SCAN in wanted:
            tx.ask_scan([uuid], now=call.now)
        tx.note(uuid.hex(), name=client.name, asked=", ".join(wanted))

    await call.decide(principal, work)
    await call.context.machines_changed([uuid])
    return await call.read_fleet(lambda: _shown(list(_found(call, asked.machine))))


def _found(call: Call, machine: UUID) -> Iterator[Finding]:
    context = call.context
    fleet = context.fleet
    standing = fleet.ask(lambda view: view.standing(view.member(machine)))
    member, number = standing.member, standing.member.number
    heard = fleet.store.heard([number]).get(number)
    health = health_of(heard)
    [client] = fleet.store.clients_of([machine.bytes])
    yield from examined(
        Seen(
            now=call.now,
            state=client.state.value,
            enrolled_at=client.enrolled_at,
            heard_at=seen_at(heard),
            policy_at=policy_at(heard),
            silent_after=context.agents.settings_of(machine.bytes).silent_after,
            reported_at=member.reported_at,
            doubt=standing.judgement.doubt,
            full_report=client.full_report,
            scan=member.scan,
            scan_error=member.scan_error,
            scanned_at=member.scanned_at,
            scan_wanted=datetime.fromtimestamp(client.scan_wanted, UTC)
            if client.scan_wanted
            else None,
            aged_catalog=member.aged_catalog,
            faults=health.faults,
            taken_over=health.taken_over,
            takes_over=context.agents.settings_of(machine.bytes).takes_over,
            degraded=health.degraded,
            floor_lost=health.floor_lost,
            lacks=[kind for kind in LISTS if _lacks(fleet.store, number, kind)],
            agent_version=health.agent_version or client.agent_version,
            oldest_agent=read_health(context.lookups.setting(HEALTH)).oldest_agent,
            restart_pending=standing.restart_pending,
        )
    )


def _lacks(store: FleetDetails, number: int, kind: str) -> bool:
    return store.inventory(number, kind) is None


def _shown(found: Sequence[Finding]) -> Examined:
    return Examined(
        items=tuple(
            ShownFinding(
                level=one.level.value,
                check=one.check,
                said=one.said,
                cure=one.cure,
                repair=one.repair,
            )
            for one in found
        ),
        wrong=sum(one.level is Level.WRONG for one in found),
    )
