"""Whatever happens in whatever order, the view of the fleet counts as one would by hand.

Machines report while others are followed, are let in and shut out, fall silent; the catalog changes
under them; databases are put back, logs are trimmed, servers write down what they know and go on
from there. In between somebody asks, and the answer is held against each machine's row by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from pyroaring import BitMap

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.updates import UpdateId, UpdateNumber
from patchtide.domain.compliance.judgement import Compliance
from patchtide.domain.compliance.states import PlacedLeaf, States, Tally, state_of
from patchtide.domain.schedules.scanning import SCAN_EVERY_S, Habit, ScanRule, stale_after
from patchtide.server.fleet_checkpoint import read, written
from patchtide.server.fleet_follower import FleetFollower
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.fleet import Heard
from patchtide.server.ports.reports import StateRow
from patchtide.wire.messages import HealthV1, encode
from patchtide.wire.sets import decode_set
from tests.simulator.catalogs import an_update_id, some_details
from tests.simulator.clock import FakeClock
from tests.simulator.reports import LINEAGE, NOON
from tests.simulator.told_fleet import ToldFleet, name_of

SHARDS = ("debian-11", "debian-12")
UPDATES = 4
LEAVES = [10 * update + leaf for update in range(UPDATES) for leaf in range(2)]
machines = st.integers(1, 5)
leaves = st.frozensets(st.sampled_from(LEAVES))
reports = st.fixed_dictionaries(
    {
        "required": leaves,
        "installed": leaves,
        "unknown": st.frozensets(st.sampled_from(LEAVES), max_size=2),
        "shards": st.dictionaries(st.sampled_from(SHARDS), st.integers(1, 6)),
        "scan": st.sampled_from(["completed", "completed", "running", "failed", "none"]),
        "lineage": st.sampled_from([LINEAGE, LINEAGE, LINEAGE, b"another numbering"]),
    }
)
streams = st.lists(
    st.tuples(st.dictionaries(machines, reports, min_size=1), st.integers(0, 4)),
    min_size=1,
    max_size=3,
)
"""What some report, and how many parts of that are counted before others do."""


class FleetLaws(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.told, self.clock = ToldFleet(), FakeClock(NOON)
        self.kept: bytes | None = None
        self.habits: dict[int, Habit] = {}
        self.kept_habits: dict[int, Habit] = {}
        self.start()

    @initialize(
        newer=st.lists(st.frozensets(st.integers(0, UPDATES - 1), max_size=2), min_size=UPDATES),
        fleet=st.frozensets(machines, min_size=2),
    )
    def begin(self, newer: list[frozenset[int]], fleet: frozenset[int]) -> None:
        self.newer = {
            an_update_id(f"update-{n}"): frozenset(an_update_id(f"update-{o}") for o in newer[n])
            for n in range(UPDATES)
        }
        self.told.details = [
            replace(
                some_details(f"update-{n}"),
                supersedes=tuple(self.newer[an_update_id(f"update-{n}")]),
            )
            for n in range(UPDATES)
        ]
        for number in fleet:
            self.told.put_client(number, ClientState.ACTIVE)
        self.told.publish(SHARDS[0], upserts=LEAVES[:4], drops=[])
        self.told.publish(SHARDS[1], upserts=LEAVES[4:], drops=[])

    def start(self) -> None:
        self.follower = FleetFollower(self.told, self.told, self.clock)  # type: ignore[arg-type]

    # What happens.

    @rule(some=st.dictionaries(machines, reports, min_size=1, max_size=4), asks=st.booleans())
    def report(self, some: dict[int, dict[str, object]], asks: bool) -> None:
        self.report_all(some)
        if asks:
            self.ask()

    def report_all(self, some: Mapping[int, dict[str, object]]) -> None:
        for number in some.keys() & self.told.clients_by_number.keys():
            self.told.report(number, **some[number], at=self.clock.now())  # type: ignore[arg-type]

    @rule(number=machines, said=reports, changes=st.sampled_from(["scan", "shards", "lineage"]))
    def report_the_same_otherwise(self, number: int, said: dict[str, object], changes: str) -> None:
        """Name the same leaves, and change one of what decides whether and how they count."""
        row = self.told.rows.get(number)
        if row is None or number not in self.told.clients_by_number:
            return
        self.ask()
        kept = {
            "required": decode_set(row.required),
            "installed": decode_set(row.installed),
            "unknown": decode_set(row.unknown),
            "shards": msgspec.msgpack.decode(row.shards),
            "scan": row.scan,
            "lineage": row.lineage,
        }
        self.report_all({number: {**kept, changes: said[changes]}})
        self.ask()

    @rule(number=machines, said=reports)
    def report_while_another_is_read(self, number: int, said: dict[str, object]) -> None:
        self.told.meanwhile = lambda: self.report_all({number: said})

    @rule(number=machines, state=st.sampled_from(ClientState))
    def decide(self, number: int, state: ClientState) -> None:
        self.told.put_client(number, state)

    @rule(shard=st.sampled_from(SHARDS), upserts=leaves, drops=leaves)
    def publish(self, shard: str, upserts: frozenset[int], drops: frozenset[int]) -> None:
        here = self.told.published
        mine = {n for n in LEAVES if n not in here or here[n].shard == shard}
        self.told.publish(shard, upserts=upserts & mine, drops=(drops - upserts) & mine)

    @rule(number=machines, waits=st.booleans())
    def say_health(self, number: int, waits: bool) -> None:
        self.clock.advance(seconds=10)
        health = encode(HealthV1(restart_pending=waits))
        self.told.health[number] = Heard(at=self.clock.now().timestamp(), health=health)

    @rule(days=st.integers(1, stale_after(SCAN_EVERY_S).days))
    def pass_time(self, days: int) -> None:
        self.clock.advance(days=days)

    @rule(every_h=st.sampled_from([4, 24, 168, 672]))
    def have_machines_scan(self, every_h: int) -> None:
        before = self.told.scans.every_s
        self.told.set_scans(
            ScanRule(every_s=every_h * 3600, before_s=before, since=self.clock.now())
        )

    @rule(some=st.frozensets(machines), every_h=st.sampled_from([4, 24, 672]))
    def have_some_machines_scan(self, some: frozenset[int], every_h: int) -> None:
        """As `ToldAgents` does: those that move keep to what they did before for a while."""
        now = self.clock.now()
        habits = {
            n: Habit(
                timedelta(hours=3), ScanRule(every_s=every_h * 3600).taken_up(self.rule_of(n), now)
            )
            for n in some
        }
        self.settle()
        self.habits = habits
        self.put_habits()

    @rule(without=st.frozensets(machines))
    def put_back_the_database(self, without: frozenset[int]) -> None:
        self.told.restore(without=without)

    @rule()
    def trim_the_log(self) -> None:
        self.told.trim()

    @rule()
    def write_down(self) -> None:
        checkpoint = self.follower.checkpoint()
        if checkpoint is not None:
            self.kept = b"".join(written(checkpoint))
            self.kept_habits = dict(self.follower.view.habits)

    @rule()
    def end_and_start_again(self) -> None:
        self.start()
        if self.kept is not None and self.follower.resume(read(self.kept)):
            assert self.follower.view.habits == self.kept_habits

    @rule(stream=streams)
    def end_in_the_middle_of_a_stream(
        self, stream: list[tuple[dict[int, dict[str, object]], int]]
    ) -> None:
        """Counts follow beside it, and speak of a part of what was reported by then."""
        self.ask()
        for some, parts in stream:
            self.report_all(some)
            self.follower.is_streaming = True
            self.follower.follow_up_to(self.follower.look_ahead(at_most=3), goes_on=True)
            for _ in range(parts):
                self.follower.settle_some()
        self.write_down()
        self.end_and_start_again()
        self.ask()

    @rule(some=st.dictionaries(machines, reports, max_size=3))
    def follow_beside_one_that_is_made(self, some: dict[int, dict[str, object]]) -> None:
        made = self.follower.copied()
        self.report_all(some)
        self.follower.follow()
        made.renew()
        self.follower = made

    # What is asked.

    @rule()
    def ask(self) -> None:
        self.settle()
        # Whoever reported while others were read is seen by the next to follow.
        self.settle()
        view = self.follower.view

        placed = self.placed()
        assert view.updates.keys() == placed.keys()
        stands = {number: self.stands(number, placed) for number in self.told.clients_by_number}
        active = [
            stands[number]
            for number, client in self.told.clients_by_number.items()
            if client.state is ClientState.ACTIVE
        ]
        for key, update in view.updates.items():
            tally = tallied(Counter(each[key] for each in active))
            assert (view.tally_of(update), view.held(update).tally) == (tally, tally)
            assert view.counted(update).tally == tally
        found = view.standings()
        for number, each in stands.items():
            tally = tallied(Counter(each.values()))
            assert (number, found[number].tally) == (number, tally)
            assert found[number].judgement.compliance is self.compliance(number, tally)
        assert sum(view.alike().values()) == len(stands)

    def settle(self) -> None:
        while not self.follower.follow():
            made = self.follower.copied()
            made.renew()
            self.follower = made
        self.put_habits()

    def put_habits(self) -> None:
        view = self.follower.view
        view.put_habits({n: self.habits.get(n) for n in view.habits.keys() | self.habits.keys()})

    # The same by hand.

    def rule_of(self, number: int) -> ScanRule:
        own = self.habits.get(number)
        return own.scans if own else self.told.scans

    def placed(self) -> dict[UpdateId, list[PlacedLeaf]]:
        found: dict[UpdateId, list[PlacedLeaf]] = {}
        for one in self.told.published.values():
            leaf = PlacedLeaf(number=UpdateNumber(one.number), shard=one.shard, entered=one.entered)
            found.setdefault(an_update_id(name_of(one.number)), []).append(leaf)
        return found

    def stands(
        self, number: int, placed: Mapping[UpdateId, list[PlacedLeaf]]
    ) -> dict[UpdateId, LeafState]:
        row = self.told.rows.get(number)
        if row is None or not self.is_believed(number, row):
            return dict.fromkeys(placed, LeafState.UNKNOWN)
        says = States(
            required=BitMap(decode_set(row.required)),
            installed=BitMap(decode_set(row.installed)),
            unknown=BitMap(decode_set(row.unknown)),
            shards=self.followed(row),
        )
        named = {key: state_of(says, leaves) for key, leaves in placed.items()}
        return {key: self.laid_over(key, named) for key in named}

    def laid_over(self, key: UpdateId, named: Mapping[UpdateId, LeafState]) -> LeafState:
        """Return how it stands: not missed where something newer applies, but of no circle."""
        newer = {k for k in self.above(key, named) if key not in self.above(k, named)}
        applies = any(named[k] in (LeafState.REQUIRED, LeafState.INSTALLED) for k in newer)
        return (
            LeafState.NOT_REQUIRED if named[key] is LeafState.REQUIRED and applies else named[key]
        )

    def above(self, key: UpdateId, among: Mapping[UpdateId, object]) -> set[UpdateId]:
        found: set[UpdateId] = set()
        ahead = {key}
        while ahead:
            ahead = {k for k in among if self.newer[k] & ahead} - found
            found |= ahead
        return found

    def is_believed(self, number: int, row: StateRow) -> bool:
        followed = self.followed(row)
        return (
            self.told.clients_by_number[number].state is ClientState.ACTIVE
            and self.clock.now() - datetime.fromtimestamp(row.reported_at, UTC)
            < self.rule_of(number).stale_after(self.clock.now())
            and row.scan in ("completed", "running")
            and row.lineage == LINEAGE
            and bool(followed)
            and all(serial <= self.told.serials[shard] for shard, serial in followed.items())
        )

    def followed(self, row: StateRow) -> dict[str, int]:
        said = msgspec.msgpack.decode(row.shards, type=dict[str, int])
        return {shard: serial for shard, serial in said.items() if shard in self.told.serials}

    def compliance(self, number: int, tally: Tally) -> Compliance:
        row = self.told.rows.get(number)
        if row is None or not self.is_believed(number, row):
            return Compliance.UNKNOWN
        if tally.required:
            return Compliance.REQUIRED
        if number in self.follower.view.restarting:
            return Compliance.RESTART
        return Compliance.UNKNOWN if tally.unknown else Compliance.COMPLIANT


def tallied(counts: Mapping[LeafState, int]) -> Tally:
    return Tally(
        required=counts[LeafState.REQUIRED],
        installed=counts[LeafState.INSTALLED],
        not_required=counts[LeafState.NOT_REQUIRED],
        unknown=counts[LeafState.UNKNOWN],
    )


TestFleetLaws = FleetLaws.TestCase
TestFleetLaws.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
