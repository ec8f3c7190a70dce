"""The agents' plane of one server, put together: door, enrolment, check-ins, reports, events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from patchtide.adapters.http.agents_plane import AgentsPlane
from patchtide.adapters.http.events import Events
from patchtide.adapters.http.files import Files
from patchtide.adapters.http.protocol import Handed
from patchtide.adapters.storage import Storage
from patchtide.domain.errors import PatchtideError, Unavailable
from patchtide.entry.server.settings import ServerSettings
from patchtide.entry.server.site import PublishedSite
from patchtide.server.admission import Door
from patchtide.server.checkins import CheckIns
from patchtide.server.clones import CloneWatch
from patchtide.server.enrolment import Enrolment
from patchtide.server.inventories import Inventories
from patchtide.server.ports.clock import Clock
from patchtide.server.reports import ReportIntake
from patchtide.server.standings import Standings
from patchtide.wire.request_signature import Request

Endpoint = Callable[[Any, Any, Any], Awaitable[None]]


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentsSide:
    standings: Standings
    inventories: Inventories
    events: Events
    door: Door
    clock: Clock
    endpoints: dict[str, Endpoint]

    def take_over(self, transport: asyncio.Transport, handed: Handed) -> bool:
        """Hold the connection when its request is a client's own; else leave it to the table."""
        now = self.clock.now().timestamp()
        try:
            caller = self.door.admit(_request_of(handed), handed.headers, now=now)
            self.door.take_counter(caller, now=now)
        except PatchtideError:
            return False
        self.events.hold(transport, caller.entry.uuid)
        return True


def build_agents_side(
    settings: ServerSettings,
    storage: Storage,
    site: PublishedSite,
    *,
    clock: Clock,
    authorities: frozenset[str],
) -> AgentsSide:
    standings = Standings(storage)
    standings.load()
    inventories = Inventories(storage, storage)
    inventories.load()
    door = Door(
        standings,
        verify,
        authorities=authorities,
        started=clock.now().timestamp(),
        per_s=settings.calls_per_s,
        burst=settings.burst,
    )
    clones = CloneWatch(decisions=storage, standings=standings)
    plane = AgentsPlane(
        door=door,
        enrolment=Enrolment(decisions=storage, standings=standings, site=site, verify=verify),
        checkins=CheckIns(
            door=door,
            standings=standings,
            site=site,
            decisions=storage,
            clones=clones,
            inventories=inventories,
            clock=clock,
            poll_s=settings.poll_s,
        ),
        intake=ReportIntake(
            reports=storage,
            door=door,
            standings=standings,
            clones=clones,
            inventories=inventories,
            clock=clock,
        ),
        site=site,
        clock=clock,
    )
    return AgentsSide(
        standings=standings,
        inventories=inventories,
        events=Events(limit=settings.events),
        door=door,
        clock=clock,
        endpoints={
            **plane.handlers(),
            "agents.events": _only_handed_over,
            "agents.catalog": Files(settings.home / "published"),
            "agents.content": Files(settings.home / "content"),
        },
    )


async def _only_handed_over(scope: Any, receive: Any, send: Any) -> None:
    """A request for events that comes here was not admitted; ask again by a check-in."""
    raise Unavailable("no event line for this request; check in instead")


def _request_of(handed: Handed) -> Request:
    hosts = [value for name, value in handed.headers if name.lower() == b"host"]
    return Request(
        method=handed.method,
        authority=hosts[0].decode("latin-1") if len(hosts) == 1 else "",
        path=handed.raw_path.decode("latin-1"),
        query=handed.query.decode("latin-1"),
    )
