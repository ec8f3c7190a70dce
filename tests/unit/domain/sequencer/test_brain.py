"""The brain, as conversations: what it is told, and what it asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec
import pytest
from msgspec import structs

from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer.brain import advance
from patchtide.domain.sequencer.pacing import FIRST_RETRY_S, MAX_RETRY_AFTER_S, SCAN_SPREAD_S
from patchtide.domain.sequencer.states import Brain, Idle, Installing, Order, Pace, newborn
from patchtide.domain.sequencer.steps import UnexpectedEvent

SEED = bytes(range(16))
NOON = 1_772_450_000.0
DAY_S = 86_400
NOTHING_NEWER = ev.CheckedIn()
UNCHANGED = ev.Scanned(needed=(), changed=False)
HELD = {"debian-12": 7}


@dataclass
class Playbook:
    """One machine's conversation; time is moved by hand."""

    state: Brain = field(default_factory=lambda: newborn(SEED))
    now: float = NOON
    wake_up: float = 0.0

    def tell(self, event: ev.Event) -> tuple[ev.Command, ...]:
        # Stored and read back at each step, as the journal does it.
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(self.state), type=Brain)
        self.state, commands, self.wake_up = advance(stored, event, self.now)
        return commands

    def tell_all(self, *events: ev.Event) -> tuple[ev.Command, ...]:
        return [self.tell(event) for event in events][-1]

    def crash(self, boot_id: str = "b1") -> tuple[ev.Command, ...]:
        return self.tell(ev.Started(boot_id))

    def is_idle(self) -> bool:
        return isinstance(self.state.phase, Idle)


def a_settled_machine() -> Playbook:
    """A machine that has started, checked in and reported once."""
    play = Playbook()
    play.tell_all(ev.Started("b1"), ev.Woken(), NOTHING_NEWER, ev.Refreshed())
    play.tell_all(ev.Scanned(needed=(), changed=True, shards=HELD), ev.Acknowledged())
    assert play.is_idle()
    return play


def an_order(**changes: object) -> Order:
    order = Order(id="o1", updates=(7,), valid_until=NOON + 30 * DAY_S, may_restart=True)
    return structs.replace(order, **changes)


def with_order(play: Playbook, order: Order | None = None) -> tuple[ev.Command, ...]:
    """Bring the order to the machine, scan and report; consent is what it asks for then."""
    play.tell_all(ev.Rung(), ev.CheckedIn(envelope=b"envelope"))
    commands = play.tell(ev.EnvelopeTaken((order or an_order(),)))
    if isinstance(commands[-1], ev.Refresh):  # once a day
        play.tell(ev.Refreshed())
    commands = play.tell(ev.Scanned(needed=(7,), changed=True))
    assert commands == (ev.Report(full=False, restored=False),)
    return play.tell(ev.Acknowledged())


def codes(commands: tuple[ev.Command, ...]) -> list[str]:
    return [command.code for command in commands if isinstance(command, ev.Note)]


def test_a_new_machine_checks_in_at_once_and_reports_everything() -> None:
    play = Playbook()
    play.tell(ev.Started("b1"))
    assert play.wake_up == NOON

    assert play.tell(ev.Woken()) == (ev.CheckIn(),)
    assert play.tell(ev.CheckedIn(shards={"custom": 4})) == (ev.Refresh({"custom": 4}),)
    assert play.tell(ev.Refreshed()) == (ev.Scan(frozenset()),)
    assert play.tell(ev.Scanned(needed=(), changed=True)) == (ev.Report(True, False),)
    assert play.tell(ev.Acknowledged()) == ()
    assert NOON < play.wake_up <= NOON + 3600


def test_nothing_newer_means_nothing_done() -> None:
    play = a_settled_machine()
    play.now = play.wake_up

    assert play.tell(ev.Woken()) == (ev.CheckIn(),)
    assert play.tell(NOTHING_NEWER) == ()


def test_waking_early_asks_nothing_of_the_server() -> None:
    play = a_settled_machine()
    play.now = play.wake_up - 1

    assert play.tell(ev.Woken()) == ()


def test_a_ring_checks_in_at_once() -> None:
    assert a_settled_machine().tell(ev.Rung()) == (ev.CheckIn(),)


def test_a_scan_that_is_asked_for_goes_by_the_catalog_of_now_and_is_told_of() -> None:
    play = a_settled_machine()
    before = play.state.memory.scan_at
    play.now += 60

    assert play.tell_all(ev.Rung(), ev.CheckedIn(scan=7)) == (ev.Refresh({}),)
    assert play.tell(ev.Refreshed()) == (ev.Scan(frozenset()),)
    assert play.tell(UNCHANGED) == (ev.Report(False, False, scan_for=7),)
    assert play.tell(ev.Acknowledged()) == ()
    assert play.state.memory.scan_for == 0
    assert play.state.memory.scan_at != before


def test_one_that_cannot_get_to_the_server_is_told_as_tried_again_and_is_still_owed() -> None:
    play = a_settled_machine()

    play.tell_all(ev.Rung(), ev.CheckedIn(scan=7), ev.Failed("metadata-unreachable", "away"))
    assert play.tell(UNCHANGED) == (ev.Report(False, False, retrying=True),)
    play.tell(ev.Acknowledged())
    assert play.wake_up - play.now < FIRST_RETRY_S + 1
    play.now = play.wake_up
    play.tell_all(ev.Woken(), ev.CheckedIn(scan=7), ev.Refreshed())

    assert play.tell(UNCHANGED) == (ev.Report(False, False, scan_for=7),)


def test_after_a_scan_that_failed_the_next_one_is_told_though_nothing_changed() -> None:
    play = a_settled_machine()
    evaluated = ev.Scanned(needed=(), changed=False, shards={"custom": 4})
    play.tell_all(ev.Rung(scan=True), NOTHING_NEWER, evaluated, ev.Acknowledged())
    play.tell_all(ev.Rung(scan=True), NOTHING_NEWER, ev.Failed("unreadable"), ev.Acknowledged())

    play.tell_all(ev.Rung(scan=True), NOTHING_NEWER)

    assert play.tell(evaluated) == (ev.Report(False, False),)


def test_whoever_asks_for_a_scan_gets_one_though_nothing_is_newer() -> None:
    play = a_settled_machine()
    play.tell(ev.Rung(scan=True))

    assert play.tell(NOTHING_NEWER) == (ev.Scan(frozenset()),)


def test_polls_keep_the_machines_own_slot() -> None:
    play = a_settled_machine()
    places = set()
    for _ in range(3):
        play.now = play.wake_up + 5
        play.tell_all(ev.Woken(), NOTHING_NEWER)
        places.add(round(play.wake_up % 3600, 3))

    assert len(places) == 1


def test_a_stop_shortens_the_poll_until_it_is_over() -> None:
    play = a_settled_machine()
    play.tell_all(ev.Rung(), ev.CheckedIn(next_poll_s=60))

    assert play.wake_up <= play.now + 60


def test_a_scan_that_falls_due_goes_by_the_catalog_of_now() -> None:
    play = a_settled_machine()
    play.now = play.state.memory.scan_at
    play.tell(ev.Woken())

    assert play.tell(NOTHING_NEWER) == (ev.Refresh({}),)
    assert play.tell(ev.Refreshed(HELD)) == (ev.Scan(frozenset()),)


def test_once_a_day_the_servers_silence_is_checked_and_scanned_by_only_if_it_was_none() -> None:
    play = a_settled_machine()
    play.now += DAY_S + SCAN_SPREAD_S
    play.tell(ev.Woken())

    assert play.tell(NOTHING_NEWER) == (ev.Refresh({}),)
    assert play.tell(ev.Refreshed(HELD)) == ()
    assert play.tell_all(ev.Rung(), NOTHING_NEWER) == ()

    play.now += DAY_S + SCAN_SPREAD_S
    play.tell_all(ev.Woken(), NOTHING_NEWER)
    assert play.tell(ev.Refreshed({"debian-12": 8})) == (ev.Scan(frozenset()),)


def test_what_was_scanned_while_the_catalog_could_not_be_had_is_scanned_again() -> None:
    play = a_settled_machine()
    play.now += DAY_S + SCAN_SPREAD_S
    play.tell_all(ev.Woken(), NOTHING_NEWER)
    assert play.tell(ev.Failed("metadata-expired"))[-1] == ev.Scan(frozenset())
    play.tell_all(ev.Scanned(needed=(), changed=False, shards=HELD), ev.Acknowledged())

    play.now += DAY_S + SCAN_SPREAD_S
    play.tell_all(ev.Woken(), NOTHING_NEWER)
    assert play.tell(ev.Refreshed(HELD)) == (ev.Scan(frozenset()),)


HOUR_S = 3600
OWN = SCAN_SPREAD_S
PACES = {
    "as before": (Pace(), 7 * DAY_S, 7 * DAY_S + OWN),
    "oftener": (Pace(scan_every_s=4 * HOUR_S), 4 * HOUR_S, 4 * HOUR_S + OWN),
    "rarer": (Pace(scan_every_s=28 * DAY_S), 28 * DAY_S, 28 * DAY_S + OWN),
    "by the calendar, before its own": (Pace(anchor_at=NOON + DAY_S), DAY_S, DAY_S),
    "by a calendar whose day is after its own": (
        Pace(anchor_at=NOON + 20 * DAY_S), 7 * DAY_S, 7 * DAY_S + OWN,
    ),
    "by a calendar that is over": (Pace(anchor_at=NOON - DAY_S), 7 * DAY_S, 7 * DAY_S + OWN),
}  # fmt: skip


@pytest.mark.parametrize(("pace", "first", "last"), PACES.values(), ids=PACES)
def test_another_pace_counts_from_the_last_scan_on(pace: Pace, first: float, last: float) -> None:
    play = a_settled_machine()
    play.now += 3 * HOUR_S

    play.tell_all(ev.Woken(), ev.CheckedIn(pace=pace))

    assert NOON + first <= play.state.memory.scan_at <= NOON + last


def test_a_scan_that_is_due_stays_due_whatever_the_calendar_says_next() -> None:
    play = a_settled_machine()
    play.tell_all(ev.Rung(), ev.CheckedIn(pace=Pace(anchor_at=NOON + DAY_S)))
    play.now = NOON + DAY_S + 60
    following = Pace(anchor_at=NOON + 2 * DAY_S)

    play.tell(ev.Started("b1", following))
    play.tell(ev.Woken())
    assert play.tell(ev.CheckedIn(pace=following)) == (ev.Refresh({}),)
    assert play.tell(ev.Refreshed(HELD)) == (ev.Scan(frozenset()),)
    play.tell(UNCHANGED)
    assert play.state.memory.scan_at == NOON + 2 * DAY_S


def test_a_poll_interval_that_was_set_here_wins_over_what_the_server_answers() -> None:
    play = a_settled_machine()
    play.tell_all(ev.Rung(), ev.CheckedIn(next_poll_s=7200, pace=Pace(poll_s=300)))

    assert play.wake_up <= play.now + 300


def test_failures_back_off_up_to_the_poll_period() -> None:
    play = a_settled_machine()
    waits = []
    for _ in range(12):
        play.tell_all(ev.Rung(), ev.Failed("unreachable"))
        waits.append(play.wake_up - play.now)
        play.now = play.wake_up

    assert FIRST_RETRY_S / 2 <= waits[0] <= FIRST_RETRY_S
    assert waits[3] > 2 * waits[0]
    assert max(waits) <= 3600


def test_a_catalog_that_fails_again_and_again_backs_off_although_check_ins_succeed() -> None:
    play = a_settled_machine()
    waits = []
    for _ in range(6):
        play.tell_all(ev.Rung(), ev.CheckedIn(shards={"custom": 9}), ev.Failed("rollback"))
        play.tell_all(UNCHANGED)
        if not play.is_idle():
            play.tell(ev.Acknowledged())
        waits.append(play.wake_up - play.now)
        play.now = play.wake_up

    assert waits[-1] > 8 * waits[0]


def test_what_is_here_is_scanned_and_reported_when_the_catalog_is_refused() -> None:
    play = a_settled_machine()
    play.tell_all(ev.Rung(), ev.CheckedIn(shards={"custom": 9}))

    commands = play.tell(ev.Failed("metadata-rollback", "version 5 after 7"))

    assert codes(commands) == ["metadata-rollback"]
    assert commands[-1] == ev.Scan(frozenset())
    assert play.tell(UNCHANGED) == (ev.Report(False, False),)


@pytest.mark.parametrize("asked_s", [0, 1, 600, 10**9])
def test_a_busy_server_is_left_alone_as_long_as_it_asks_up_to_an_hour(asked_s: float) -> None:
    play = a_settled_machine()
    play.tell_all(ev.Rung(), ev.Deferred(asked_s))

    wait = play.wake_up - play.now

    assert min(asked_s, MAX_RETRY_AFTER_S) <= wait <= 1.5 * MAX_RETRY_AFTER_S
    assert wait >= 1


def test_a_report_not_acknowledged_is_sent_again_after_the_next_check_in() -> None:
    play = a_settled_machine()
    play.tell_all(ev.Rung(), ev.CheckedIn(full_report=True), UNCHANGED, ev.Failed("unreachable"))
    play.now = play.wake_up

    play.tell(ev.Woken())

    assert play.tell(NOTHING_NEWER) == (ev.Report(True, False),)


def test_a_jump_means_everything_is_told_and_marked_restored() -> None:
    play = a_settled_machine()
    play.tell(ev.Rung())

    commands = play.tell(ev.CounterJumped())

    assert codes(commands) == ["restored"]
    assert commands[-1] == ev.CheckIn()
    assert play.tell(NOTHING_NEWER) == (ev.Scan(frozenset()),)
    assert play.tell(UNCHANGED) == (ev.Report(True, True),)
    assert play.tell(ev.Acknowledged()) == ()
    assert not play.state.memory.restored


def test_two_that_fight_over_a_counter_do_not_hammer_the_server() -> None:
    play = a_settled_machine()
    play.tell_all(ev.Rung(), ev.CheckedIn(full_report=True), UNCHANGED)
    jumps = 0
    while not play.is_idle():
        play.tell(ev.CounterJumped())
        jumps += 1

    assert jumps == 3
    assert play.wake_up > play.now


def test_the_servers_time_dates_the_next_request() -> None:
    play = a_settled_machine()
    play.tell(ev.Rung())

    assert play.tell(ev.ClockOff(NOON + 5000)) == (ev.CheckIn(),)
    assert play.state.memory.clock_offset_s == 5000


@pytest.mark.parametrize("said", [NOON * 3, -NOON, math.inf, math.nan])
def test_an_unbelievable_server_time_is_not_believed(said: float) -> None:
    play = a_settled_machine()
    play.tell(ev.Rung())

    commands = play.tell(ev.ClockOff(said))

    assert codes(commands) == ["clock-unbelievable"]
    assert play.state.memory.clock_offset_s == 0


def test_a_clock_set_back_by_years_does_not_silence_the_machine() -> None:
    play = a_settled_machine()
    play.now -= 10 * 366 * DAY_S

    assert play.tell(ev.Woken()) == (ev.CheckIn(),)


def test_a_difference_that_does_not_fit_is_followed_by_everything() -> None:
    play = a_settled_machine()
    play.tell_all(ev.Rung(), ev.CheckedIn(shards={"custom": 5}), ev.Refreshed())
    assert play.tell(ev.Scanned(needed=(), changed=True)) == (ev.Report(False, False),)

    assert play.tell(ev.FullWanted()) == (ev.Report(True, False),)


def test_an_order_is_consented_fetched_staged_installed_and_reported() -> None:
    play = a_settled_machine()

    assert with_order(play) == (ev.Consent(an_order()),)
    assert play.tell(ev.Consented()) == (ev.Download(an_order()),)
    assert play.tell(ev.Downloaded()) == (ev.Stage(an_order()),)
    assert play.tell(ev.Staged()) == (ev.Install(an_order(), attempt=1),)
    commands = play.tell(ev.Installed(restart_needed=False))
    assert codes(commands) == ["installed"]
    commands = play.tell(ev.Scanned(needed=(), present=(7,), changed=True))
    assert codes(commands) == ["order-done"]
    assert commands[-1] == ev.Report(False, False)
    assert play.tell(ev.Acknowledged()) == ()


def test_an_order_waits_for_its_time() -> None:
    play = a_settled_machine()
    begins = NOON + 600

    assert with_order(play, an_order(not_before=begins)) == ()
    assert play.wake_up <= begins
    play.state = Brain(structs.replace(play.state.memory, poll_at=begins + 9))
    play.now = begins
    assert isinstance(play.tell(ev.Woken())[-1], ev.Consent)


READY = (ev.Consented(), ev.Downloaded(), ev.Staged())
"""What brings an order from its consent to its installation."""


@pytest.mark.parametrize(
    ("before", "event"),
    [(READY[:n], READY[n]) for n in range(3)],
    ids=["consented", "fetched", "staged"],
)
def test_an_order_past_its_time_goes_no_further(
    before: tuple[ev.Event, ...], event: ev.Event
) -> None:
    play = a_settled_machine()
    with_order(play, an_order(valid_until=NOON + 60))
    for step in before:
        play.tell(step)
    play.now += 60

    assert play.tell(event) == ()
    assert play.is_idle()


def test_only_what_the_machine_needs_of_an_order_is_installed() -> None:
    play = a_settled_machine()

    [consent] = with_order(play, an_order(updates=(7, 8, 9)))

    assert consent == ev.Consent(an_order(updates=(7,)))


def test_after_a_crash_nothing_is_replayed() -> None:
    play = a_settled_machine()
    with_order(play)
    play.tell_all(*READY)
    assert play.state.phase == Installing("o1", "b1", 1)

    assert codes(play.crash()) == ["installation-interrupted"]
    assert play.tell(ev.Woken()) == (ev.Repair("o1"),)
    assert play.tell(ev.Repaired())[-1] == ev.Scan(frozenset({7}))
    commands = play.tell(ev.Scanned(needed=(), present=(7,), changed=True))
    assert not any(isinstance(command, ev.Install) for command in commands)
    assert play.tell(ev.Acknowledged()) == ()


def test_what_a_crash_left_undone_is_decided_again() -> None:
    play = a_settled_machine()
    with_order(play)
    play.tell_all(*READY)
    play.crash()
    play.tell_all(ev.Woken(), ev.Repaired(), ev.Scanned(needed=(7,), changed=False))

    play.tell(ev.Acknowledged())

    assert play.tell_all(*READY) == (ev.Install(an_order(), attempt=2),)


def test_a_failing_order_is_given_up_after_three_attempts() -> None:
    play = a_settled_machine()
    commands = with_order(play)
    seen: list[str] = []
    for _ in range(20):
        match commands[-1:]:
            case (ev.Consent(),):
                commands = play.tell_all(*READY)
            case (ev.Install(),):
                commands = play.tell(ev.Failed("install-failed", "exit status 1"))
            case (ev.Scan(),):
                commands = play.tell(ev.Scanned(needed=(7,), changed=False))
            case (ev.Report(),):
                commands = play.tell(ev.Acknowledged())
            case (ev.Repair(),):
                commands = play.tell(ev.Repaired())
            case (ev.CheckIn(),):
                commands = play.tell(NOTHING_NEWER)
            case _:
                play.now = max(play.now + 1, play.wake_up)
                commands = play.tell(ev.Woken())
        seen += codes(commands)

    assert seen.count("install-failed") == 3
    assert seen.count("order-given-up") == 1


def restart_once(play: Playbook, order: str, boot_id: str) -> tuple[ev.Command, ...]:
    commands = with_order(play, an_order(id=order))
    assert isinstance(commands[-1], ev.Consent)
    play.tell_all(*READY, ev.Installed(restart_needed=True))
    play.tell(ev.Scanned(needed=(), present=(7,), changed=True, restart_pending=True))
    commands = play.tell(ev.Acknowledged())
    if isinstance(commands[-1], ev.Restart):
        play.crash(boot_id)
    return commands


def test_the_third_restart_of_a_day_is_refused() -> None:
    play = a_settled_machine()
    first = restart_once(play, "o1", "b2")
    second = restart_once(play, "o2", "b3")
    third = restart_once(play, "o3", "b4")

    assert (first, second) == ((ev.Restart("o1"),), (ev.Restart("o2"),))
    assert codes(third) == ["restart-limit"]
    assert not any(isinstance(command, ev.Restart) for command in third)


def test_a_day_later_it_may_restart_again() -> None:
    play = a_settled_machine()
    restart_once(play, "o1", "b2")
    restart_once(play, "o2", "b3")
    play.now += DAY_S + 1

    assert restart_once(play, "o3", "b4") == (ev.Restart("o3"),)


def test_an_order_that_may_not_restart_does_not() -> None:
    play = a_settled_machine()
    with_order(play, an_order(may_restart=False))
    play.tell_all(*READY, ev.Installed(restart_needed=True))
    play.tell(ev.Scanned(needed=(), present=(7,), changed=True, restart_pending=True))

    assert play.tell(ev.Acknowledged()) == ()


def test_a_restart_that_did_not_happen_is_noticed() -> None:
    play = a_settled_machine()
    with_order(play)
    play.tell_all(*READY, ev.Installed(restart_needed=True))
    play.tell(ev.Scanned(needed=(), present=(7,), changed=True, restart_pending=True))
    play.tell(ev.Acknowledged())

    assert codes(play.crash("b1")) == ["restart-did-not-happen"]


def test_a_campus_with_its_power_back_does_not_check_in_all_at_once() -> None:
    wake_ups = []
    for machine in range(200):
        play = Playbook(newborn(machine.to_bytes(16)))
        play.tell_all(ev.Started("b1"), ev.Woken(), NOTHING_NEWER, ev.Refreshed())
        play.tell_all(UNCHANGED, ev.Acknowledged())
        play.now = NOON + 5 * 3600
        play.crash("b2")
        wake_ups.append(play.wake_up - play.now)

    quarters = [sum(q * 900 <= w < (q + 1) * 900 for w in wake_ups) for q in range(4)]
    assert min(quarters) > 25


def test_an_answer_to_nothing_is_refused() -> None:
    with pytest.raises(UnexpectedEvent):
        a_settled_machine().tell(ev.Acknowledged())


@pytest.mark.parametrize("reached", range(3), ids=["consenting", "downloading", "staging"])
def test_an_order_whose_files_are_out_of_reach_waits_and_is_not_given_up(reached: int) -> None:
    play = a_settled_machine()
    with_order(play)
    waits, told = [], []
    for _ in range(8):
        for step in READY[:reached]:
            play.tell(step)
        commands = play.tell(ev.Failed("download-failed", "no source of 1 has it"))
        told += codes(commands)
        if commands and isinstance(commands[-1], ev.Report):
            play.tell(ev.Acknowledged())
        waits.append(play.state.memory.held["o1"].until - play.now)
        play.now = play.state.memory.held["o1"].until
        play.state = Brain(structs.replace(play.state.memory, poll_at=play.now + 9))
        assert isinstance(play.tell(ev.Woken())[-1], ev.Consent)

    assert told == ["download-failed"]
    assert waits[-1] > 8 * waits[0]
    assert play.state.memory.attempts == {}


def test_an_order_that_is_denied_three_times_is_given_up_untouched() -> None:
    play = a_settled_machine()
    commands = with_order(play)
    seen: list[ev.Command] = []
    for _ in range(20):
        match commands[-1:]:
            case (ev.Consent(),):
                commands = play.tell(ev.Failed("consent-denied", "7: not-assigned"))
            case (ev.Scan(),):
                commands = play.tell(ev.Scanned(needed=(7,), changed=False))
            case (ev.Report(),):
                commands = play.tell(ev.Acknowledged())
            case (ev.CheckIn(),):
                commands = play.tell(NOTHING_NEWER)
            case _:
                play.now = max(play.now + 1, play.wake_up)
                commands = play.tell(ev.Woken())
        seen += commands

    assert codes(tuple(seen)).count("order-given-up") == 1
    assert not any(isinstance(c, ev.Download | ev.Stage | ev.Install) for c in seen)


def test_a_rollback_comes_before_what_leads_on_and_is_told_as_one() -> None:
    play = a_settled_machine()
    onward, back = an_order(id="onward", updates=(8,)), an_order(id="back", rollback=True)
    play.tell_all(ev.Rung(), ev.CheckedIn(envelope=b"envelope"))
    if isinstance(play.tell(ev.EnvelopeTaken((onward, back)))[-1], ev.Refresh):
        play.tell(ev.Refreshed())
    play.tell(ev.Scanned(needed=(7, 8), changed=True))

    assert play.tell(ev.Acknowledged()) == (ev.Consent(back),)
    commands = play.tell_all(*READY, ev.Installed(restart_needed=False))
    assert codes(commands) == ["rolled-back"]
    play.tell(ev.Scanned(needed=(8,), present=(7,), changed=True))
    assert play.tell(ev.Acknowledged()) == (ev.Consent(onward),)


@pytest.mark.parametrize("code", ["download-failed", "consent-denied"])
def test_an_order_that_cannot_go_on_holds_no_other_back(code: str) -> None:
    play = a_settled_machine()
    stuck, good = an_order(id="stuck"), an_order(id="good", updates=(8,))
    play.tell_all(ev.Rung(), ev.CheckedIn(envelope=b"envelope"))
    if isinstance(play.tell(ev.EnvelopeTaken((stuck, good)))[-1], ev.Refresh):
        play.tell(ev.Refreshed())
    play.tell(ev.Scanned(needed=(7, 8), changed=True))
    assert play.tell(ev.Acknowledged()) == (ev.Consent(stuck),)

    [told, *work] = play.tell(ev.Failed(code, "stuck"))
    while not isinstance(work[-1], ev.Consent):
        answer = ev.Scanned(needed=(7, 8), changed=False)
        work = [*play.tell(answer if isinstance(work[-1], ev.Scan) else ev.Acknowledged())]

    assert codes((told,)) == [code]
    assert work == [ev.Consent(good)]


def test_an_order_under_way_is_not_left_for_one_that_is_free_again() -> None:
    play = a_settled_machine()
    stuck, good = an_order(id="stuck"), an_order(id="good", updates=(8,))
    play.tell_all(ev.Rung(), ev.CheckedIn(envelope=b"envelope"))
    if isinstance(play.tell(ev.EnvelopeTaken((stuck, good)))[-1], ev.Refresh):
        play.tell(ev.Refreshed())
    play.tell_all(ev.Scanned(needed=(7, 8), changed=True), ev.Acknowledged())
    play.tell_all(ev.Failed("download-failed"), ev.Acknowledged(), ev.Consented())
    play.now += 3600  # a slow line

    assert play.tell_all(ev.Downloaded(), ev.Staged()) == (ev.Install(good, attempt=1),)


def test_the_same_states_of_a_newer_catalog_are_told_once() -> None:
    play = a_settled_machine()
    play.now = play.wake_up
    newer = ev.Scanned(needed=(), changed=False, shards={"debian-12": 8})

    play.tell_all(ev.Woken(), ev.CheckedIn(shards={"debian-12": 8}), ev.Refreshed())
    assert play.tell(newer) == (ev.Report(False, False),)
    play.tell(ev.Acknowledged())

    play.now = play.wake_up
    play.tell_all(ev.Woken(), ev.CheckedIn(shards={"debian-12": 9}), ev.Refreshed())
    assert play.tell(newer) == ()
    assert play.is_idle()


def test_a_machine_on_which_nothing_changes_says_so_once_in_a_while() -> None:
    play = a_settled_machine()
    play.tell_all(ev.Rung(), ev.CheckedIn(pace=Pace(scan_every_s=6 * HOUR_S)))
    scans = []
    for _ in range(15):
        play.now = play.state.memory.scan_at
        play.tell_all(ev.Woken(), NOTHING_NEWER, ev.Refreshed())
        if said := play.tell(ev.Scanned(needed=(), changed=False, shards=HELD)):
            play.tell(ev.Acknowledged())
        scans.append(bool(said))

    assert [scan for scan, said in enumerate(scans, start=1) if said] == [4, 8, 12]


def test_no_server_silences_a_machine_for_longer_than_a_day() -> None:
    for number in range(8):
        play = Playbook(state=newborn(bytes([number]) * 16))
        play.tell_all(ev.Started("b1"), ev.Woken(), ev.CheckedIn(next_poll_s=10**9))

        assert play.state.memory.poll_at <= NOON + DAY_S
        assert play.state.memory.poll_s == DAY_S


def test_who_scans_rarer_than_the_site_says_tells_of_itself_as_often_as_the_site_expects() -> None:
    play = a_settled_machine()
    pace = Pace(scan_every_s=28 * DAY_S, told_scan_every_s=7 * DAY_S)
    heard = ev.CheckedIn(pace=pace)

    play.now += DAY_S
    play.tell_all(ev.Rung(), heard)
    play.crash()
    assert not play.state.memory.report_due
    play.now += 6 * DAY_S
    play.tell_all(ev.Rung(), heard)

    assert play.tell(ev.Refreshed(shards=HELD)) == (ev.Report(full=False, restored=False),)
    assert not play.state.memory.scan_due


HELD_UNTIL = NOON + 3 * 3600
FROZEN = Pace(frozen=((NOON - DAY_S, HELD_UNTIL), (HELD_UNTIL + 3600, HELD_UNTIL + DAY_S)))


def frozen(play: Playbook) -> Playbook:
    play.tell_all(ev.Rung(), ev.CheckedIn(pace=FROZEN))
    return play


def test_while_it_is_frozen_nothing_is_taken_up_and_then_it_is_by_itself() -> None:
    play = a_settled_machine()
    scans_at = play.state.memory.scan_at
    assert frozen(play).state.memory.scan_at == scans_at

    assert with_order(play) == ()
    without_polls(play)
    assert play.wake_up == HELD_UNTIL
    play.now = HELD_UNTIL - 1
    assert play.tell(ev.Woken()) == ()
    play.now = HELD_UNTIL
    assert play.tell(ev.Woken()) == (ev.Consent(an_order()),)


def without_polls(play: Playbook) -> None:
    """Have it check in after all that is looked at, so that it wakes for its orders alone."""
    memory = structs.replace(play.state.memory, poll_at=NOON + 3600 * 4)
    play.state = structs.replace(play.state, memory=memory)
    play.tell(ev.Woken())


def test_an_emergency_is_done_while_it_is_frozen_and_restarts_it() -> None:
    play = frozen(a_settled_machine())
    order = an_order(emergency=True)

    assert with_order(play, order) == (ev.Consent(order),)
    play.tell_all(*READY, ev.Installed(restart_needed=True))
    play.tell(ev.Scanned(needed=(), present=(), changed=True, restart_pending=True))
    assert play.tell(ev.Acknowledged()) == (ev.Restart("o1"),)


RIDES: dict[str, tuple[ev.Installed, str]] = {
    "it needs one itself": (ev.Installed(restart_needed=True), "urgent"),
    "only the older order does": (ev.Installed(restart_needed=True, for_others=True), ""),
    "nobody does any more": (ev.Installed(restart_needed=False), ""),
}


@pytest.mark.parametrize(("done", "restarts"), RIDES.values(), ids=RIDES)
def test_no_restart_for_an_older_order_rides_on_an_emergency_through_a_freeze(
    done: ev.Installed, restarts: str
) -> None:
    play = a_settled_machine()
    with_order(play)
    play.tell_all(*READY)
    play.state = frozen_now(play.state)
    play.tell(ev.Installed(restart_needed=True))
    play.tell(ev.Scanned(needed=(), present=(7,), changed=True, restart_pending=True))
    play.tell(ev.Acknowledged())
    assert play.state.memory.restart_for == "o1"
    urgent = an_order(id="urgent", updates=(8,), emergency=True)
    play.tell_all(ev.Rung(), ev.CheckedIn(envelope=b"more"))
    if isinstance(play.tell(ev.EnvelopeTaken((an_order(), urgent)))[-1], ev.Refresh):
        play.tell(ev.Refreshed())
    pending = done.restart_needed
    play.tell(ev.Scanned(needed=(8,), present=(7,), changed=True, restart_pending=pending))
    assert play.tell(ev.Acknowledged()) == (ev.Consent(urgent),)
    play.tell_all(*READY, done)
    play.tell(ev.Scanned(needed=(), present=(7, 8), changed=True, restart_pending=pending))

    assert play.tell(ev.Acknowledged()) == ((ev.Restart(restarts),) if restarts else ())
    without_polls(play)
    if pending and not restarts:
        play.now = HELD_UNTIL
        assert play.tell(ev.Woken()) == (ev.Restart("urgent"),)


def test_a_freeze_that_begins_on_the_way_holds_installations_and_restarts() -> None:
    staging, restarting = a_settled_machine(), a_settled_machine()
    for play in (staging, restarting):
        with_order(play)
    staging.tell_all(ev.Consented(), ev.Downloaded())
    staging.state = frozen_now(staging.state)
    restarting.tell_all(*READY)
    restarting.state = frozen_now(restarting.state)
    restarting.tell(ev.Installed(restart_needed=True))
    restarting.tell(ev.Scanned(needed=(), present=(7,), changed=True, restart_pending=True))

    assert staging.tell(ev.Staged()) == ()
    assert restarting.tell(ev.Acknowledged()) == ()
    without_polls(restarting)
    assert restarting.wake_up == HELD_UNTIL
    restarting.now = HELD_UNTIL
    assert restarting.tell(ev.Woken()) == (ev.Restart("o1"),)


def frozen_now(state: Brain) -> Brain:
    return structs.replace(state, memory=structs.replace(state.memory, pace=FROZEN))
