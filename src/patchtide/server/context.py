"""What use cases work with: the ports, the site they serve, and the decision they may make."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from patchtide.domain.access.grants import Scope
from patchtide.domain.access.limits import Deed
from patchtide.domain.access.principals import Principal
from patchtide.server.attempts import Attempts
from patchtide.server.authentication import ApiTokens
from patchtide.server.bootstrap_code import BootstrapCode
from patchtide.server.bound_reach import reaching
from patchtide.server.catalog_files import CatalogExchange
from patchtide.server.descriptions import Descriptions
from patchtide.server.disruptions import REACHED, HourlyLimit, spend
from patchtide.server.drafts import DraftDesk
from patchtide.server.failed_sign_ins import FailedSignIns
from patchtide.server.fleet import Fleet
from patchtide.server.four_eyes import FOUR_EYES, Void, Waits, Watched, Whole, read_rule
from patchtide.server.makers import check_still_let_in
from patchtide.server.narrowed_fleet import NarrowedFleets
from patchtide.server.passwords import PasswordDesk
from patchtide.server.ports.audit_archive import AuditArchive
from patchtide.server.ports.catalog_status import CatalogStatus
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.content import ContentIntake
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.ports.metrics import Exposition
from patchtide.server.ports.notifying import Channels
from patchtide.server.ports.reading import Lookups, Reading
from patchtide.server.ports.security_keys import Authenticators
from patchtide.server.proposing import PROPOSED, VOIDED, call_void, propose
from patchtide.server.report_desk import ReportDesk
from patchtide.server.synchronisation_desk import SynchronisationDesk
from patchtide.server.threads import Threads
from patchtide.server.told_agents import ToldAgents
from patchtide.server.whatif_runs import WhatIfs

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The server as its use cases see it; built once, in the composition root."""

    decisions: Decisions
    reading: Reading
    lookups: Lookups
    clock: Clock
    catalog: CatalogStatus
    fleet: Fleet
    api_tokens: ApiTokens
    bootstrap_code: BootstrapCode
    passwords: PasswordDesk
    attempts: Attempts
    failed_sign_ins: FailedSignIns
    synchronisations: SynchronisationDesk
    descriptions: Descriptions
    exchange: CatalogExchange
    content: ContentIntake
    drafts: DraftDesk
    exposition: Exposition
    audit_archive: AuditArchive
    channels: Channels
    authenticators: Authenticators
    hosts: tuple[str, ...]
    """What browsers may name as this server, with and without its port; the first is preferred."""
    site_name: str
    site_ca: str
    """SHA-256 of the site CA, hex: enrolment tokens carry it."""
    machines_changed: Callable[[Sequence[bytes]], Awaitable[None]]
    """Told after a decision about machines, so that it holds at once and not at the next poll."""
    lists_wanted: Callable[[int, Sequence[str]], None] = lambda client, kinds: None
    """Told which lists a machine is to be asked for when it checks in next."""
    reports_waiting: Callable[[], int] = lambda: 0
    """How many reports of machines have come to this node and are not durable yet."""
    notifying: Threads = field(default_factory=lambda: Threads("notify", count=8))
    """What waits for somebody outside."""
    report_files: ReportDesk = field(default_factory=lambda: ReportDesk(None))
    what_ifs: WhatIfs = field(default_factory=WhatIfs)
    agents: ToldAgents = field(default_factory=ToldAgents)
    """What this node tells machines of their settings."""
    narrowed_fleets: NarrowedFleets = field(default_factory=NarrowedFleets)

    def within(self, scopes: frozenset[Scope]) -> Context:
        """Return the server as somebody sees it who may see no more than is in these scopes."""
        if scopes <= self.fleet.bounds:
            return self
        return replace(self, fleet=self.narrowed_fleets.of(self.fleet, scopes))

    @property
    def silent_after(self) -> timedelta:
        """A machine that was not heard for so long is silent."""
        return self.agents.silent_after


async def nothing() -> AsyncIterator[bytes]:
    """The body of what takes no file."""
    return
    yield b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One operation being performed."""

    context: Context
    operation: str
    audited: bool
    body: AsyncIterator[bytes]
    """The file that came with it, if it takes one."""
    deed: Deed | None = None
    """What counts against the limits per hour."""
    watched: Watched | None = None
    """What it is if it may need a second person."""

    @property
    def now(self) -> datetime:
        return self.context.clock.now()

    async def decide(
        self, principal: Principal, work: Callable[[Transaction], T], *, whole: Whole | None = None
    ) -> T:
        """Run `work` in one transaction, audited under this operation's name.

        `whole`: of what this is only the first part; the others are decided by `rest`.

        Raises:
            Unauthenticated, Refused: the principal was shut out since the request was let in.
            HourlyLimit: it disturbs more than may be within an hour.
            Proposed: others have to agree first.
        """
        if not self.audited:
            raise LookupError(f"{self.operation} is declared as one that decides nothing")
        now, fleet = self.now, self.context.fleet
        if self.watched is not None and await self.read(self._is_watched):
            # Before, since machines' reports wait for whoever decides.
            await self.read_fleet(lambda: fleet.ask(fleet.collections.ground))

        def decided(tx: Transaction) -> T:
            check_still_let_in(tx, principal, now=now)
            if self.watched is None:
                return counted(tx)
            return self.watched.carried_out(
                tx, principal, counted, whole=whole, reaching=reaching(fleet.everything), now=now
            )

        def counted(tx: Transaction) -> T:
            done = work(tx)
            count = len(tx.noted) if whole is None else whole.counted
            if self.deed is not None and count:
                spend(tx, principal.actor, self.deed, count, now=now)
            if whole is not None and whole.expected:
                spend(tx, principal.actor, Deed.EXPECT, whole.expected, now=now)
            return done

        decide = self.context.decisions.decide
        try:
            return await decide(principal.actor, self.operation, decided, now=now)
        except HourlyLimit as error:
            await decide(principal.actor, REACHED, partial(self._note_limit, error), now=now)
            raise
        except Void:
            await self._aside(principal, VOIDED, call_void)
            raise
        except Waits as waits:
            raise await self._aside(principal, PROPOSED, partial(propose, waits=waits)) from None

    @property
    def is_agreed(self) -> bool:
        """Say whether others agreed to it, or time stood for them."""
        return self.watched is not None and bool(self.watched.proposal)

    def rest(self) -> Call:
        """Return the call that decides what follows the first part of a whole."""
        return replace(self, watched=None, deed=None)

    async def _aside(self, principal: Principal, operation: str, aside: Callable[..., T]) -> T:
        """Decide about the proposal in place of what was asked for."""
        now, watched = self.now, self.watched

        def decided(tx: Transaction) -> T:
            check_still_let_in(tx, principal, now=now)
            return aside(tx, watched, actor=principal.actor, now=now)

        decide = self.context.decisions.decide
        return await decide(principal.actor, operation, decided, now=now)

    def _is_watched(self) -> bool:
        return read_rule(self.context.lookups.setting(FOUR_EYES)).is_on

    def _note_limit(self, error: HourlyLimit, tx: Transaction) -> None:
        tx.note("site", operation=self.operation, count=error.count, why=str(error))

    async def read(self, question: Callable[[], T]) -> T:
        """Ask the database in a thread: the loop goes on serving machines meanwhile."""
        return await asyncio.to_thread(question)

    async def read_fleet(self, question: Callable[[], T]) -> T:
        """Ask the fleet, in one of its own threads."""
        return await self.context.fleet.run(question)
