"""The agents' plane of one server, put together: door, enrolment, check-ins, reports, events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from patchtide.adapters.content.files import FileContentStore
from patchtide.adapters.http.agents_plane import AgentsPlane, request_of
from patchtide.adapters.http.catch_up import CatchUpEndpoint
from patchtide.adapters.http.events import Events
from patchtide.adapters.http.exchange import AnswerWhole, Handed
from patchtide.adapters.http.files import Files
from patchtide.adapters.sodium.verifier import Verifier
from patchtide.adapters.storage import Storage
from patchtide.adapters.trust.catching_up import CatchUps
from patchtide.domain.errors import Unavailable
from patchtide.entry.server.settings import ServerSettings
from patchtide.entry.server.site import PublishedSite
from patchtide.entry.server.verifier_process import VerifierProcess
from patchtide.server.admission import Door
from patchtide.server.checkins import CheckIns
from patchtide.server.clones import CloneWatch
from patchtide.server.divergence import Divergence
from patchtide.server.enrolment import Enrolment
from patchtide.server.inventories import Inventories
from patchtide.server.people_first import PeopleFirst
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.following import Cursor
from patchtide.server.reports import ReportIntake
from patchtide.server.standings import Standings
from patchtide.server.token_book import TokenBook
from patchtide.server.token_vouching import Places
from patchtide.server.told_agents import ToldAgents
from patchtide.server.told_platforms import ToldPlatforms
from patchtide.wire.catch_up import MAX_CATCH_UP

Endpoint = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentsSide:
    since: Cursor
    """How far decisions had gone before the machines were read."""
    standings: Standings
    inventories: Inventories
    told: ToldAgents
    platforms: ToldPlatforms
    events: Events
    door: Door
    clock: Clock
    people: PeopleFirst
    endpoints: dict[str, Endpoint]
    whole: dict[str, AnswerWhole]
    """By operation, what answers requests that were read whole."""
    verifier: Verifier
    beside: VerifierProcess

    def close(self) -> None:
        self.verifier.close()
        self.beside.close()

    async def machines_changed(self, uuids: Sequence[bytes]) -> None:
        """Follow what was decided about these machines, and have those that listen come for it."""
        await self.standings.refresh(uuids)
        self.events.wake(uuids)

    def take_over(
        self, transport: asyncio.Transport, handed: Handed, when_held: Callable[[], None]
    ) -> bool:
        """Hold the connection once its request proves to be a client's own."""
        return self.events.welcome(transport, self._admit(handed), when_held=when_held)

    async def _admit(self, handed: Handed) -> bytes:
        now = self.clock.now().timestamp()
        request = request_of(
            handed.headers, method=handed.method, path=handed.raw_path, query=handed.query
        )
        caller = await self.door.admit(request, handed.headers, now=now)
        self.door.take_counter(caller, now=now)
        return caller.entry.uuid


def build_agents_side(
    settings: ServerSettings,
    storage: Storage,
    site: PublishedSite,
    *,
    clock: Clock,
    authorities: frozenset[str],
    answers: Ed25519PrivateKey,
    events: Events,
    places: Places,
) -> AgentsSide:
    # What another node decides while all this is read is followed from here.
    since = storage.epoch()
    standings = Standings(storage)
    standings.load()
    inventories = Inventories(storage, storage)
    inventories.load()
    told = ToldAgents(poll_s=settings.poll_s)
    told.load(storage, clock.now())
    platforms = ToldPlatforms(reading=storage, decisions=storage, clock=clock)
    beside = VerifierProcess(answers)
    verifier = Verifier(beside)
    door = Door(
        standings,
        verifier,
        authorities=authorities,
        started=clock.now().timestamp(),
        per_s=settings.calls_per_s,
        burst=settings.burst,
    )
    people = PeopleFirst()
    plane = _plane(
        settings,
        storage,
        site,
        door=door,
        standings=standings,
        inventories=inventories,
        told=told,
        platforms=platforms,
        verify=verifier,
        clock=clock,
        people=people,
        places=places,
    )
    return AgentsSide(
        since=since,
        standings=standings,
        inventories=inventories,
        told=told,
        platforms=platforms,
        events=events,
        door=door,
        clock=clock,
        people=people,
        whole=plane.whole(),
        verifier=verifier,
        beside=beside,
        endpoints={
            **plane.handlers(),
            "agents.events": _only_handed_over,
            "agents.catalog": Files(settings.home / "published"),
            "agents.catch-up": CatchUpEndpoint(_catch_ups(settings.home, site)),
            "agents.content": Files(settings.home / "content"),
        },
    )


def _catch_ups(home: Path, site: PublishedSite) -> CatchUps:
    content = FileContentStore(home / "content")
    return CatchUps(
        home / "published",
        read_content=partial(content.read, at_most=MAX_CATCH_UP),
        sign=site.sign_answer,
    )


def _plane(
    settings: ServerSettings,
    storage: Storage,
    site: PublishedSite,
    *,
    door: Door,
    standings: Standings,
    inventories: Inventories,
    told: ToldAgents,
    platforms: ToldPlatforms,
    verify: Verifier,
    clock: Clock,
    people: PeopleFirst,
    places: Places,
) -> AgentsPlane:
    clones = CloneWatch(decisions=storage, standings=standings)
    return AgentsPlane(
        door=door,
        enrolment=Enrolment(
            decisions=storage,
            standings=standings,
            site=site,
            verify=verify,
            tokens=TokenBook(storage),
            places=places,
        ),
        checkins=CheckIns(
            door=door,
            standings=standings,
            site=site,
            divergence=Divergence(site, storage),
            clones=clones,
            inventories=inventories,
            clock=clock,
            told=told,
            platforms=platforms,
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
        people=people,
    )


async def _only_handed_over(scope: Any, receive: Any, send: Any) -> None:
    """A request for events that comes here was not admitted; ask again by a check-in."""
    raise Unavailable("no event line for this request; check in instead")
