"""Laws of the brain, whatever happens to the machine in whatever order."""

from __future__ import annotations

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer.brain import advance
from patchtide.domain.sequencer.orders import MAX_ATTEMPTS, MAX_RESTARTS_PER_DAY
from patchtide.domain.sequencer.states import Brain, Idle, Order, newborn

DAY_S = 86_400
NUMBERS = (1, 2, 3)
seconds = st.sampled_from([0.0, 1.0, 60.0, 3600.0, 40_000.0, 90_000.0])


class MachineLife(RuleBasedStateMachine):
    """Answers the brain's commands well or badly, crashes it, and moves its clock forward."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_772_450_000.0
        self.boot = 1
        self.state: Brain = newborn(bytes(16))
        self.command: ev.Command | None = None
        self.restarts: list[float] = []
        self.installs: dict[str, int] = {}
        self.wake_up = self.now
        self.orders_made = 0
        self.allowed = ""
        """The order that consent was found for, since the last start and the last envelope."""
        self.tell(ev.Started("1"))

    def tell(self, event: ev.Event) -> None:
        self.state, commands, self.wake_up = advance(self.state, event, self.now)
        work = [command for command in commands if not isinstance(command, ev.Note)]
        assert len(work) <= 1
        self.command = work[0] if work else None
        if isinstance(self.command, ev.Restart):
            self.restarts.append(self.now)
        if isinstance(event, ev.Started | ev.EnvelopeTaken | ev.Failed | ev.Installed):
            self.allowed = ""
        if isinstance(self.command, ev.Download | ev.Stage | ev.Install):
            assert self.command.order.id == self.allowed, "nothing is touched before consent"
        if isinstance(self.command, ev.Install):
            order = self.command.order.id
            self.installs[order] = self.installs.get(order, 0) + 1

    @rule(waits=seconds)
    def time_passes(self, waits: float) -> None:
        self.now += waits

    @rule()
    def wakes(self) -> None:
        if self.command is None:
            self.now = max(self.now, self.wake_up)
            self.tell(ev.Woken())

    @rule(with_power=st.booleans())
    def crashes(self, with_power: bool) -> None:
        """Nothing is left but what was stored."""
        stored = msgspec.msgpack.encode(self.state)
        self.state = msgspec.msgpack.decode(stored, type=Brain)
        self.boot += not with_power
        self.tell(ev.Started(str(self.boot)))

    @precondition(lambda self: self.command is not None)
    @rule(
        code=st.sampled_from(
            ["unreachable", "install-failed", "trust-refused", "repository-unreachable"]
        )
    )
    def command_fails(self, code: str) -> None:
        self.tell(ev.Failed(code))

    @precondition(lambda self: isinstance(self.command, ev.CheckIn | ev.Report))
    @rule(
        answer=st.sampled_from(
            [ev.CounterJumped(), ev.ClockOff(1_772_460_000.0), ev.FullWanted(), ev.Deferred(30)]
        )
    )
    def server_wants_otherwise(self, answer: ev.Event) -> None:
        self.tell(answer)

    @precondition(lambda self: self.command is not None)
    @rule(
        needed=st.frozensets(st.sampled_from(NUMBERS)),
        news=st.booleans(),
        restart=st.booleans(),
    )
    def command_succeeds(self, needed: frozenset[int], news: bool, restart: bool) -> None:
        match self.command:
            case ev.CheckIn():
                self.tell(ev.CheckedIn(envelope=b"new" if news else b""))
            case ev.TakeEnvelope():
                self.orders_made += 1
                order = Order(
                    id=f"o{self.orders_made}",
                    updates=NUMBERS,
                    valid_until=self.now + 7 * DAY_S,
                    may_restart=True,
                )
                self.tell(ev.EnvelopeTaken((*self.state.memory.orders[-2:], order)))
            case ev.Refresh():
                self.tell(ev.Refreshed())
            case ev.Scan(ordered):
                self.tell(
                    ev.Scanned(
                        needed=tuple(needed & ordered),
                        present=tuple(ordered - needed),
                        changed=news,
                        restart_pending=restart,
                    )
                )
            case ev.Report():
                self.tell(ev.Acknowledged())
            case ev.Consent(order):
                self.allowed = order.id
                self.tell(ev.Consented())
            case ev.Download():
                self.tell(ev.Downloaded())
            case ev.Stage():
                self.tell(ev.Staged())
            case ev.Install():
                self.tell(ev.Installed(restart))
            case ev.Repair():
                self.tell(ev.Repaired())
            case ev.Restart():
                self.boot += 1
                self.tell(ev.Started(str(self.boot)))
            case _:
                raise AssertionError(self.command)

    @invariant()
    def never_restarts_more_often_than_it_may(self) -> None:
        for last in self.restarts:
            day = [at for at in self.restarts if last - DAY_S < at <= last]
            assert len(day) <= MAX_RESTARTS_PER_DAY

    @invariant()
    def never_tries_an_order_without_end(self) -> None:
        assert all(count <= MAX_ATTEMPTS for count in self.installs.values())

    @invariant()
    def always_knows_when_to_wake(self) -> None:
        assert self.wake_up < self.now + 8 * DAY_S

    @invariant()
    def rests_only_when_nothing_is_under_way(self) -> None:
        assert (self.command is None) == isinstance(self.state.phase, Idle)


TestMachineLife = MachineLife.TestCase
TestMachineLife.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
