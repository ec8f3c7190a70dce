"""The agent as a whole: the brain's commands carried out, its answers fed back, all of it stored.

`step` runs one event to its end and returns when to be woken next. It needs no thread, process or
real clock, so the same code drives a machine and thousands of simulated ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import assert_never

import msgspec
from msgspec import structs

from patchtide.agent.parts import Condition, Ports
from patchtide.agent.ports.journal import JournalFailed, NoSpace
from patchtide.agent.ports.link import Answer, News, NoNews, Outgoing, Taken
from patchtide.agent.remembered import must_last, restored
from patchtide.agent.reporting import Reporter, ScanResult, event_note, event_of
from patchtide.agent.takeover import followed
from patchtide.agent.told import beginnings, not_asked_for, untold
from patchtide.domain.errors import InvalidDocument, PatchtideError
from patchtide.domain.findings import CLOCK, CLOCK_TOLERANCE_S
from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer.brain import advance
from patchtide.domain.sequencer.orders import open_orders
from patchtide.domain.sequencer.states import (
    Brain,
    Pace,
)
from patchtide.wire.messages import (
    INVENTORY_LIMITS,
    CheckInV1,
    HealthV1,
    InventoryV1,
    encode,
)
from patchtide.wire.sets import decode_set, pack

FACTS = "facts"
"""The list of what the last scan went by."""
_encode = msgspec.msgpack.Encoder().encode


class AgentCore:
    """One machine's agent. `seed` is the client's UUID."""

    def __init__(self, ports: Ports, *, seed: bytes, condition: Condition | None = None) -> None:
        self._ports = ports
        self._condition = condition or Condition()
        self._reporter = Reporter(ports.journal, ports.link)
        self._found: ScanResult | None = None
        self.failure: ev.Failed | None = None
        """The last thing that went wrong; None: nothing has."""
        self._state = restored(ports.journal.load(), seed)

    @property
    def state(self) -> Brain:
        return self._state

    def start(self) -> float:
        """Take up what the last process left; return when to be woken."""
        now = self._ports.clock.now()
        return self.step(ev.Started(self._ports.enforcer.boot_id(), self._pace(now)))

    def note(self, code: str, detail: str = "") -> None:
        """Tell the administrator of something that happened outside the brain."""
        memory = structs.replace(self._state.memory, report_due=True)
        self._state = Brain(memory, self._state.phase)
        self._save((ev.Note(code, detail),), durable=True)

    def step(self, event: ev.Event) -> float:
        """Run the event and all that follows from it; return the time to wake up at.

        Raises:
            JournalFailed: nothing that was not stored may count; this process must end.
        """
        while True:
            before = self._state
            self._state, commands, wake_up = advance(before, event, self._ports.clock.now())
            notes = tuple(c for c in commands if isinstance(c, ev.Note))
            work = [c for c in commands if not isinstance(c, ev.Note)]
            durable = bool(notes) or must_last(before, self._state)
            if durable or (not work and self._state != before):
                self._save(notes, durable=durable)
            if not work:
                self._send_inventory()
                return wake_up
            answer = self._perform(work[0])
            if answer is None:
                return wake_up
            if isinstance(answer, ev.Failed):
                self.failure = answer
            event = answer

    def _save(self, notes: tuple[ev.Note, ...], *, durable: bool) -> None:
        now = self._ports.clock.now()
        events = [event_note(now, note) for note in notes]
        self._ports.journal.save(_encode(self._state), durable=durable, notes=events)

    def _perform(self, command: ev.Command) -> ev.Event | None:
        try:
            return self._performed(command)
        except NoSpace as error:
            return ev.Failed(error.code, str(error))
        except JournalFailed:
            raise
        except PatchtideError as error:
            return ev.Failed(error.code, str(error))

    def _performed(self, command: ev.Command) -> ev.Event | None:
        now = self._ports.clock.now()
        match command:
            case ev.CheckIn():
                return self._check_in(now)
            case ev.TakeEnvelope(envelope):
                taken = self._ports.policy.take(envelope, now=now)
                return ev.EnvelopeTaken(taken.orders, taken.restarts_per_day)
            case ev.Refresh(newer):
                return self._refresh(newer, now)
            case ev.Scan(ordered):
                return self._scan(ordered, now)
            case ev.Report():
                found = self._found or self._ports.catalog.scan(now=now)
                if command.retrying:
                    why = f"{self.failure.code}: {self.failure.detail}" if self.failure else ""
                    found = replace(found, scan="retrying", error=found.error or why)
                return self._reporter.report(found, command, created=self._server_time(now))
            case ev.Consent(order):
                self._ports.enforcer.consent(order, now=now)
                return ev.Consented()
            case ev.Download(order):
                self._ports.enforcer.download(order)
                return ev.Downloaded()
            case ev.Stage(order):
                self._ports.enforcer.stage(order, now=now)
                return ev.Staged()
            case ev.Install(order):
                return self._ports.enforcer.install(order, now=now)
            case ev.Repair():
                self._ports.enforcer.repair()
                return ev.Repaired()
            case ev.Restart():
                return self._restart()
            case ev.Note():
                return None
            case _:
                assert_never(command)

    def _server_time(self, now: float) -> int:
        return max(1, int(now + self._state.memory.clock_offset_s))

    def _check_in(self, now: float) -> ev.Event:
        journal, known = self._ports.journal, self._ports.journal.acknowledged()
        seen = dict(self._ports.catalog.seen())
        counter = journal.take_counter()
        said = CheckInV1(
            counter=counter,
            shards=dict(self._ports.catalog.serials()),
            envelope=self._ports.policy.sequence(),
            digest=known.digest if known else b"",
            health=self._health(seen),
            inventory=untold(self._state.memory.inventory, self._state.memory.inventory_told),
            settings=self._ports.settings.mark(),
        )
        message = Outgoing(body=encode(said), counter=counter, created=self._server_time(now))
        answer = self._ports.link.check_in(message)
        if isinstance(answer, News):
            self._condition.wanted_inventory = answer.answer.inventory
            self._condition.root_version = answer.answer.root_version
        if isinstance(answer, NoNews):
            self._condition.root_version = answer.root_version
        if isinstance(answer, News | NoNews):
            memory = structs.replace(
                self._state.memory,
                trust_told=beginnings(seen),
                inventory_told=beginnings(not_asked_for(answer, self._state.memory.inventory)),
            )
            self._state = Brain(memory, self._state.phase)
        if isinstance(answer, News) and answer.answer.settings:
            self._take_settings(answer.answer.settings)
        self._follow(answer)
        event = event_of(answer, journal, counter=counter)
        if not isinstance(event, ev.CheckedIn):
            return event
        self._tell_of("proxy-failed", self._condition.detour())
        self._tell_of("local-settings-refused", self._condition.local_flaw)
        return replace(event, pace=self._pace(now))

    def _follow(self, answer: Answer) -> None:
        """Take other updaters over, or give them back."""
        notes, why_not = followed(self._ports.takeover, answer, self._ports.settings)
        for said in notes:
            self.note(said.code, said.detail)
        if why_not is not None:
            self._tell_of("updaters-not-taken-over", why_not)

    def _tell_of(self, code: str, why: str) -> None:
        """Tell of a trouble when it begins, and not at each check-in."""
        memory = self._state.memory
        if bool(why) is not (code in memory.troubles):
            others = {c: w for c, w in memory.troubles.items() if c != code}
            troubles = {**others, code: why} if why else others
            self._state = Brain(structs.replace(memory, troubles=troubles), self._state.phase)
            if why:
                self.note(code, why)

    def _take_settings(self, told: bytes) -> None:
        try:
            self._ports.settings.take(told)
        except InvalidDocument as error:
            self.note("settings-refused", str(error))

    def _pace(self, now: float) -> Pace:
        """Where what the site told cannot be read, freezes of before hold on."""
        memory, settings = self._state.memory, self._ports.settings
        pace = settings.pace(seed=memory.seed, now=now)
        if settings.is_readable():
            return pace
        return structs.replace(pace, frozen=memory.pace.frozen)

    def _health(self, seen: Mapping[str, bytes]) -> HealthV1:
        return HealthV1(
            agent_version=self._condition.agent_version,
            boot_id=self._ports.enforcer.boot_id(),
            restart_pending=self._ports.enforcer.restart_pending(),
            floor_lost=self._condition.floor_lost,
            degraded=self._condition.degraded,
            trust_seen=untold(seen, self._state.memory.trust_told),
            faults=self._faults(),
            taken_over=tuple(self._ports.takeover.taken()),
        )

    def _faults(self) -> tuple[str, ...]:
        is_off = abs(self._state.memory.clock_offset_s) >= CLOCK_TOLERANCE_S
        return tuple(sorted({*self._condition.faults(), *((CLOCK,) if is_off else ())}))

    def _refresh(self, newer: Mapping[str, int], now: float) -> ev.Event:
        root_version, catalog = self._condition.root_version, self._ports.catalog
        is_odd = False
        try:
            catalog.refresh(newer, now=now, root_version=root_version)
        finally:
            for heard in catalog.take_events():
                is_odd = True
                self._condition.floor_lost |= heard.code == "floor-lost"
                self.note(heard.code, heard.detail)
        # A shard that was begun anew may be another one under the number of the one before.
        held = {name: serial for name, serial in catalog.serials().items() if serial}
        return ev.Refreshed(None if is_odd else held)

    def _scan(self, ordered: frozenset[int], now: float) -> ev.Event:
        self._ports.enforcer.tidy(open_orders(self._state.memory))
        found = self._found = self._looked(now)
        memory = structs.replace(self._state.memory, inventory=self._digests_of_lists())
        self._state = Brain(memory, self._state.phase)
        known = self._ports.journal.acknowledged()
        states = found.states
        if found.error:
            return ev.Failed("scan-failed", found.error)
        required = ordered.intersection(decode_set(states.required)) if states else frozenset()
        present = ordered.intersection(decode_set(states.installed)) if states else frozenset()
        return ev.Scanned(
            needed=tuple(sorted(required)),
            present=tuple(sorted(present)),
            changed=(states and states.digest) != (known and known.digest),
            shards=found.shards,
            restart_pending=self._ports.enforcer.restart_pending(),
        )

    def _looked(self, now: float) -> ScanResult:
        """Look at the machine; what keeps the agent from it is what it tells of this scan."""
        try:
            return self._ports.catalog.scan(now=now)
        except JournalFailed:
            raise
        except PatchtideError as error:
            return ScanResult(
                states=None,
                shards={},
                scan="failed",
                at=int(now),
                boot_id=self._ports.enforcer.boot_id(),
                error=f"{error.code}: {error}",
            )

    def _restart(self) -> ev.Event | None:
        """Restart; only a machine that is simulated is still there to say how it went."""
        before = self._ports.enforcer.boot_id()
        self._ports.enforcer.restart()
        after = self._ports.enforcer.boot_id()
        return ev.Started(after) if after != before else None

    def _digests_of_lists(self) -> dict[str, bytes]:
        lists = {kind: self._list_of(kind) for kind in INVENTORY_LIMITS}
        return {kind: sha256(body).digest() for kind, body in lists.items() if body is not None}

    def _list_of(self, kind: str) -> bytes | None:
        """Return the list; None when there is none, or none that the server would take."""
        body = self._facts() if kind == FACTS else self._ports.inventory.inventory(kind)
        return body if body is not None and len(body) <= INVENTORY_LIMITS[kind] else None

    def _facts(self) -> bytes | None:
        """Return what the last scan went by; one of an earlier process is made again."""
        found = self._found or self._ports.catalog.scan(now=self._ports.clock.now())
        return found.facts or None

    def _send_inventory(self) -> None:
        """Send what the server lacks, after everything else; it asks again if this fails."""
        wanted, self._condition.wanted_inventory = self._condition.wanted_inventory, ()
        taken: dict[str, bytes] = {}
        for kind in INVENTORY_LIMITS.keys() & wanted:
            body = self._list_of(kind)
            if body is None:
                continue
            digest = sha256(body).digest()
            counter = self._ports.journal.take_counter()
            message = InventoryV1(kind=kind, digest=digest, body=pack(body))
            created = self._server_time(self._ports.clock.now())
            answer = self._ports.link.inventory(
                Outgoing(body=encode(message), counter=counter, created=created)
            )
            if isinstance(answer, Taken):
                taken[kind] = digest
        self._note_told(taken)

    def _note_told(self, taken: Mapping[str, bytes]) -> None:
        """Remember what the server has now, so that it need not be named once more."""
        if taken:
            memory = self._state.memory
            told = {**memory.inventory_told, **beginnings(taken)}
            self._state = Brain(structs.replace(memory, inventory_told=told), self._state.phase)
            self._save((), durable=False)
