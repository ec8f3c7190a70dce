"""The view of the fleet follows what is stored, and never takes silence for an answer."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from pyroaring import BitMap

from patchtide.adapters.storage import Storage
from patchtide.domain.access.grants import Scope
from patchtide.domain.access.rights import MACHINE
from patchtide.domain.compliance.index import StateIndex
from patchtide.domain.compliance.judgement import Compliance, Doubt, Judgement
from patchtide.domain.compliance.states import Tally
from patchtide.server import fleet as fleet_module
from patchtide.server import fleet_follower
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_follower import STREAM
from patchtide.server.fleet_view import View
from patchtide.server.followed_view import FollowedView
from patchtide.server.history_needing import needing
from patchtide.server.listening import in_time
from patchtide.server.narrowed_fleet import NarrowedFleet
from patchtide.server.ports.catalog_status import PublishedShard
from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.ports.reports import IncomingReport, Presence
from patchtide.wire.messages import HealthV1, encode
from tests.simulator.catalogs import Catalog, a_leaf, a_scan, an_update_id, some_details
from tests.simulator.clock import FakeClock
from tests.simulator.reports import NOON, enrolled
from tests.simulator.restoring import mark_restored

pytestmark = pytest.mark.anyio


class Site:
    """A storage with a catalog of two updates, its view, and a clock."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.clock = FakeClock(NOON)
        self.catalog = Catalog(storage)
        self.fleet = Fleet(storage, self.catalog, self.clock, patience_s=10)

    async def begin(self, machines: int) -> list[Client]:
        await self.catalog.publish(
            [a_leaf(1, "openssl"), a_leaf(2, "curl")], details=[some_details("openssl")]
        )
        return await enrolled(self.storage, machines)

    async def report(self, *reports: IncomingReport) -> None:
        await self.storage.accept(reports, now=self.clock.now().timestamp())

    def judgement(self, client: Client) -> Judgement:
        return self.fleet.ask(lambda view: view.judgement(view.member(UUID(bytes=client.uuid))))

    def on(self, name: str) -> Tally:
        return self.fleet.ask(lambda view: view.tally_of(view.update(an_update_id(name))))


@pytest.fixture
def site(storage: Storage) -> Site:
    return Site(storage)


async def test_a_machine_that_said_nothing_is_unknown_and_not_one_that_needs_nothing(
    site: Site,
) -> None:
    first, silent = await site.begin(2)

    await site.report(a_scan(first.number, 1, installed=[1]))

    assert site.on("openssl") == Tally(installed=1, unknown=1)
    assert site.on("curl") == Tally(not_required=1, unknown=1)
    assert site.judgement(first) == Judgement(Compliance.COMPLIANT)
    assert site.judgement(silent) == Judgement(Compliance.UNKNOWN, Doubt.NEVER_REPORTED)


async def test_a_report_is_followed_without_reading_anything_but_its_row(site: Site) -> None:
    [client] = await site.begin(1)
    await site.report(a_scan(client.number, 1, required=[1, 2]))
    assert site.on("curl") == Tally(required=1)

    await site.report(a_scan(client.number, 2, required=[1], installed=[2]))

    assert site.on("curl") == Tally(installed=1)
    assert site.on("openssl") == Tally(required=1)


@pytest.mark.parametrize(("gather_s", "seen"), [(3600, STREAM), (0, STREAM + 1)])
async def test_while_reports_stream_in_they_are_gathered_but_decisions_are_not(
    site: Site, gather_s: float, seen: int
) -> None:
    machines = await site.begin(STREAM + 1)
    fleet = Fleet(site.storage, site.catalog, site.clock, patience_s=10, gather_s=gather_s)
    fleet.ask(lambda view: view.version)
    await site.report(*(a_scan(m.number, 1, required=[1]) for m in machines[:STREAM]))
    openssl = an_update_id("openssl")
    assert fleet.ask(lambda view: view.tally_of(view.update(openssl)).required) == STREAM

    await site.report(a_scan(machines[STREAM].number, 1, required=[1]))
    await site.storage.decide(
        "admin",
        "machines.quarantine",
        lambda tx: (
            tx.set_client_state([machines[0].uuid], ClientState.QUARANTINED),
            tx.note(machines[0].uuid.hex()),
        ),
        now=NOON,
    )

    assert fleet.ask(lambda view: view.tally_of(view.update(openssl)).required) == seen - 1


async def test_machines_that_much_is_decided_of_are_read_in_pages(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = await site.begin(5)
    assert site.on("openssl") == Tally(unknown=5)
    pages, clients_of = list[int](), site.storage.clients_of
    monkeypatch.setattr(fleet_follower, "PAGE", 2)
    monkeypatch.setattr(
        site.storage, "clients_of", lambda some: pages.append(len(some)) or clients_of(some)
    )

    await site.storage.decide(
        "admin",
        "machines.quarantine",
        lambda tx: (
            tx.set_client_state([m.uuid for m in machines], ClientState.QUARANTINED),
            [tx.note(m.uuid.hex()) for m in machines],
        ),
        now=NOON,
    )

    assert site.on("openssl") == Tally()
    assert pages == [2, 2, 1]


async def test_in_a_stream_a_question_looks_for_nothing_but_what_was_decided_here(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = await site.begin(STREAM)
    fleet, asked = site.fleet, list[object]()
    decided = site.storage.decided
    assert site.on("openssl") == Tally(unknown=STREAM)
    monkeypatch.setattr(fleet_module, "DECIDED_S", 3600)
    await site.report(*(a_scan(m.number, 1, serial=1, required=[1]) for m in machines))
    fleet.keep_up()
    monkeypatch.setattr(
        site.storage, "decided", lambda *args, **more: asked.append(args) or decided(*args, **more)
    )

    assert site.on("openssl") == Tally(required=STREAM)
    assert asked == []
    await site.storage.decide(
        "admin",
        "machines.quarantine",
        lambda tx: (
            tx.set_client_state([machines[0].uuid], ClientState.QUARANTINED),
            tx.note(machines[0].uuid.hex()),
        ),
        now=NOON,
    )
    assert site.on("openssl") == Tally(required=STREAM - 1)
    assert len(asked) == 1


async def test_a_stream_is_followed_in_slices_between_which_questions_have_their_turn(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = await site.begin(5)
    fleet, asked = site.fleet, list[int]()
    assert site.on("openssl") == Tally(unknown=5)
    await site.report(*(a_scan(m.number, 1, serial=1, required=[1]) for m in machines))
    monkeypatch.setattr(fleet_module, "SLICE", 2)
    followed = site.storage.states_of

    def states_of(clients: Sequence[int]) -> object:
        asked.append(len(clients))
        return followed(clients)

    monkeypatch.setattr(site.storage, "states_of", states_of)
    fleet.keep_up()

    assert asked == [2, 2, 1]
    assert site.on("openssl") == Tally(required=5)
    assert asked == [2, 2, 1]


async def test_whoever_follows_a_stream_judges_its_machines_and_not_who_asks_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = await site.begin(5)
    fleet, held, judge = site.fleet, list[int](), FollowedView.judge_some
    assert len(fleet.ask(lambda view: view.standings())) == 5
    await site.report(*(a_scan(m.number, 1, serial=1, required=[1]) for m in machines))
    monkeypatch.setattr(fleet_module, "JUDGED", 2)

    def judge_some(view: FollowedView, at_most: int) -> bool:
        held.append(view.moves.end)
        return judge(view, at_most)

    monkeypatch.setattr(FollowedView, "judge_some", judge_some)
    fleet.keep_up()
    monkeypatch.setattr(FollowedView, "_judged", None)  # nobody is left to be judged

    assert [end - held[0] for end in held] == [0, 2, 4]
    stand = fleet.ask(lambda view: [one.judgement.compliance for one in view.standings().values()])
    assert stand == [Compliance.REQUIRED] * 5


async def test_counts_of_updates_follow_a_stream_now_and_then_and_machines_at_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = await site.begin(3 * STREAM)
    fleet, seen = site.fleet, list[tuple[int, int]]()
    openssl = an_update_id("openssl")

    def look(view: View) -> tuple[int, int]:
        stand = Counter(view.judgement(m).compliance for m in view.members.values())
        return stand[Compliance.REQUIRED], view.tally_of(view.updates[openssl]).required

    monkeypatch.setattr(fleet_module, "SETTLE_SHARE", 10**9)
    assert fleet.ask(look) == (0, 0)
    for start in range(0, len(machines), STREAM):
        some = machines[start : start + STREAM]
        await site.report(*(a_scan(m.number, 1, serial=1, required=[1]) for m in some))
        fleet.keep_up()
        seen.append(fleet.ask(look))
    at_once = list[bool]()
    settle = FollowedView.settle
    monkeypatch.setattr(
        FollowedView, "settle", lambda view: (at_once.append(not view.is_settled), settle(view))
    )
    version = fleet.version()
    assert fleet.ask(look) == (3 * STREAM, STREAM)
    fleet.keep_up()  # and nothing more came: it goes on in parts, whoever asks meanwhile

    assert not any(at_once)
    assert fleet.version() != version
    assert seen == [(STREAM, STREAM), (2 * STREAM, STREAM), (3 * STREAM, STREAM)]
    assert fleet.ask(look) == (3 * STREAM, 3 * STREAM)

    some = machines[:STREAM]
    await site.report(*(a_scan(m.number, 2, serial=1, installed=[1]) for m in some))
    fleet.keep_up()
    assert fleet.ask(look) == (2 * STREAM, 3 * STREAM)
    assert len(BitMap.deserialize(needing(fleet, {openssl: 0})[0])) == 2 * STREAM  # of history


async def test_whoever_wants_counts_of_all_reports_has_them_follow_part_by_part(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of the stream waits until then; of some machines is told how they stood before it."""
    machines = await site.begin(3 * STREAM)
    fleet, one = site.fleet, f"{MACHINE}{UUID(bytes=machines[-1].uuid)}"
    limited = NarrowedFleet(fleet, frozenset({Scope(places=frozenset({one}))}))
    openssl = an_update_id("openssl")

    def required(view: View) -> int:
        return view.part(view.active).tally(view.updates[openssl]).required

    monkeypatch.setattr(fleet_module, "SETTLE_SHARE", 10**9)
    assert fleet.ask(required) == limited.ask(required) == 0
    for some in (machines[:STREAM], machines[STREAM:]):
        await site.report(*(a_scan(m.number, 1, serial=1, required=[1]) for m in some))
        fleet.keep_up()
    parts, in_one_piece, later = list[bool](), list[int](), threading.Thread(target=fleet.keep_up)
    settle_some, settle = FollowedView.settle_some, FollowedView.settle

    def part(view: FollowedView) -> bool:
        if not parts:
            later.start()
        parts.append(True)
        return settle_some(view)

    def at_once(view: FollowedView) -> None:
        in_one_piece.append(len(view._unsettled.earlier))
        settle(view)

    monkeypatch.setattr(FollowedView, "settle_some", part)
    monkeypatch.setattr(FollowedView, "settle", at_once)
    site.clock.advance(seconds=1)
    earlier = limited.ask_settled(lambda view: (required(view), view.now - view.as_of))
    await site.report(a_scan(machines[0].number, 2, serial=1, installed=[1]))
    assert fleet.ask_settled(required) == 3 * STREAM
    later.join()
    fleet.save()

    assert len(parts) > 1 and max(in_one_piece) <= 1
    assert earlier == (0, timedelta(seconds=1))
    assert limited.ask(required) == 1


@pytest.mark.parametrize("how", ["putting", "put"])
async def test_counts_that_failed_to_follow_half_way_are_made_anew(
    how: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = await site.begin(STREAM)
    assert site.on("openssl") == Tally(unknown=STREAM)
    await site.report(*(a_scan(m.number, 1, serial=1, required=[1]) for m in machines))

    def fail(*_: object) -> None:
        raise MemoryError

    follow = site.fleet.keep_up if how == "putting" else site.fleet.version
    with monkeypatch.context() as failing:
        failing.setattr(StateIndex, how, fail)
        with pytest.raises(MemoryError):
            follow()
    site.fleet.keep_up()

    assert site.on("openssl") == Tally(required=STREAM)


async def test_an_update_that_a_machine_has_not_evaluated_yet_is_unknown_there(
    site: Site,
) -> None:
    [client] = await site.begin(1)
    await site.report(a_scan(client.number, 1, installed=[1, 2]))
    assert site.judgement(client) == Judgement(Compliance.COMPLIANT)

    await site.catalog.publish([a_leaf(2, "curl", "2.1-1", revision=2), a_leaf(3, "bash")])

    assert site.on("openssl") == Tally(installed=1)
    assert site.on("curl") == site.on("bash") == Tally(unknown=1)
    assert site.judgement(client) == Judgement(Compliance.UNKNOWN, Doubt.OLD_CATALOG)


async def test_what_left_the_catalog_is_required_no_more(site: Site) -> None:
    [client] = await site.begin(1)
    await site.report(a_scan(client.number, 1, required=[1], installed=[2]))
    assert site.judgement(client) == Judgement(Compliance.REQUIRED)

    await site.catalog.publish([], drops=[1])

    assert site.judgement(client) == Judgement(Compliance.COMPLIANT)


DOUBTS: dict[str, tuple[Callable[[int], IncomingReport], Doubt]] = {
    "its scan failed": (lambda n: a_scan(n, 1, installed=[1], scan="failed"), Doubt.SCAN_FAILED),
    "it tries again": (lambda n: a_scan(n, 1, installed=[1], scan="retrying"), Doubt.SCAN_FAILED),
    "it waits for the catalog": (
        lambda n: a_scan(n, 1, serial=0, scan="waiting-catalog"),
        Doubt.NOT_SCANNED,
    ),
    "it follows no shard": (lambda n: a_scan(n, 1, serial=0), Doubt.NOT_SCANNED),
    "its numbers are another catalog's": (
        lambda n: a_scan(n, 1, installed=[1], lineage=b"x" * 16),
        Doubt.OTHER_CATALOG,
    ),
}


@pytest.mark.parametrize(("report", "doubt"), DOUBTS.values(), ids=DOUBTS)
async def test_a_machine_that_cannot_be_believed_is_unknown_on_every_update(
    site: Site, report: Callable[[int], IncomingReport], doubt: Doubt
) -> None:
    [client] = await site.begin(1)

    await site.report(report(client.number))

    assert site.judgement(client) == Judgement(Compliance.UNKNOWN, doubt)
    assert site.on("openssl") == Tally(unknown=1)


async def test_after_two_weeks_of_silence_what_a_machine_said_counts_no_more(site: Site) -> None:
    [client] = await site.begin(1)
    await site.report(a_scan(client.number, 1, installed=[1, 2]))
    site.clock.advance(days=14, seconds=-1)
    assert site.on("openssl") == Tally(installed=1)

    site.clock.advance(seconds=1)

    assert site.on("openssl") == Tally(unknown=1)
    assert site.judgement(client) == Judgement(Compliance.UNKNOWN, Doubt.STALE)


async def test_a_machine_of_another_platform_does_not_require_it(site: Site) -> None:
    site.catalog.others = ("rhel-9",)
    [client] = await site.begin(1)

    await site.report(a_scan(client.number, 1, shard="rhel-9"))

    assert site.on("openssl") == Tally(not_required=1)
    assert site.judgement(client) == Judgement(Compliance.COMPLIANT)


async def test_a_machine_fills_no_memory_with_numbers_that_stand_for_nothing(site: Site) -> None:
    [client] = await site.begin(1)
    far = range(10_000, 20_000)

    await site.report(a_scan(client.number, 1, required=[1, *far], unknown=range(3, 9_000)))

    kept = site.fleet.ask(lambda view: view.members[client.number].states)
    assert (set(kept.required), set(kept.unknown)) == ({1}, set())
    assert len(site.fleet.ask(lambda view: view.population()).index) == 1
    assert site.on("openssl") == Tally(required=1)


async def test_what_is_published_after_a_machine_named_it_counts_as_far_as_it_was_evaluated(
    site: Site,
) -> None:
    early, late = await site.begin(2)
    await site.report(
        a_scan(early.number, 1, serial=1, required=[3]),
        a_scan(late.number, 1, serial=2, required=[3]),
    )
    assert site.judgement(late) == Judgement(Compliance.UNKNOWN, Doubt.OTHER_CATALOG)

    await site.catalog.publish([a_leaf(3, "bash")])

    # The first had not seen it: what it called by that number was something else.
    assert site.on("bash") == Tally(required=1, unknown=1)
    assert site.judgement(late) == Judgement(Compliance.REQUIRED)
    assert site.judgement(early) == Judgement(Compliance.UNKNOWN, Doubt.OLD_CATALOG)


@pytest.mark.parametrize("serial", [2, 2**53 - 1])
async def test_a_serial_that_is_not_published_makes_nobody_compliant(
    site: Site, serial: int
) -> None:
    [client] = await site.begin(1)

    await site.report(a_scan(client.number, 1, serial=serial, installed=[1, 2]))

    assert site.judgement(client) == Judgement(Compliance.UNKNOWN, Doubt.OTHER_CATALOG)
    assert site.on("openssl") == Tally(unknown=1)


async def test_a_shard_that_is_not_published_makes_nobody_compliant(site: Site) -> None:
    [client] = await site.begin(1)

    await site.report(a_scan(client.number, 1, shard="made-up"))

    assert site.judgement(client) == Judgement(Compliance.UNKNOWN, Doubt.NOT_SCANNED)
    assert site.on("openssl") == Tally(unknown=1)


async def test_only_machines_that_are_let_in_are_counted(site: Site) -> None:
    kept, other = await site.begin(2)
    await site.report(a_scan(kept.number, 1, required=[1]), a_scan(other.number, 1, required=[1]))
    assert site.on("openssl") == Tally(required=2)

    await site.storage.decide(
        "admin",
        "machines.quarantine",
        lambda tx: (
            tx.set_client_state([other.uuid], ClientState.QUARANTINED),
            tx.note(other.uuid.hex()),
        ),
        now=NOON,
    )

    assert site.on("openssl") == Tally(required=1)
    assert site.judgement(other) == Judgement(Compliance.UNKNOWN, Doubt.NOT_ACTIVE)


async def test_after_a_restore_everything_is_read_anew(site: Site) -> None:
    [client] = await site.begin(1)
    await site.report(a_scan(client.number, 1, required=[1]))
    assert site.on("openssl") == Tally(required=1)

    await mark_restored(site.storage, now=NOON)
    await site.report(a_scan(client.number, 2, installed=[1]))

    assert site.on("openssl") == Tally(installed=1)


async def test_its_version_changes_with_the_fleet_and_only_then(site: Site) -> None:
    [client] = await site.begin(1)
    before = site.fleet.version()
    assert site.fleet.version() == before

    await site.report(a_scan(client.number, 1, required=[1]))

    assert site.fleet.version() != before


async def test_what_people_read_of_an_update_is_replaced_as_a_whole(site: Site) -> None:
    [client] = await site.begin(1)
    await site.report(a_scan(client.number, 1, required=[1]))
    assert site.on("openssl") == Tally(required=1)
    told = some_details("openssl", cves=("CVE-2026-1",))

    await site.storage.decide(
        "system",
        "catalog.describe",
        lambda tx: (
            tx.put_update_details([told, some_details("curl", cves=None)]),
            tx.note("updates"),
        ),
        now=NOON,
    )

    def read(view: View) -> list[tuple[str, ...] | None]:
        found = (view.update(an_update_id(name)).details for name in ("openssl", "curl"))
        return [details.cves if details else () for details in found]

    assert site.fleet.ask(read) == [("CVE-2026-1",), None]
    assert site.on("openssl") == Tally(required=1)
    assert site.storage.update_details([an_update_id("openssl")]) == [told]


async def say_restart(site: Site, client: Client, *, pending: bool) -> None:
    health = encode(HealthV1(restart_pending=pending))
    at = site.clock.now().timestamp()
    seen = Presence(client=client.number, counter=client.number, seen_at=at, health=health)
    await site.storage.flush_presence([seen])


async def test_what_is_installed_but_waits_for_a_restart_is_not_compliant(site: Site) -> None:
    waiting, done, behind = await site.begin(3)
    await site.report(
        a_scan(waiting.number, 1, installed=[1]),
        a_scan(done.number, 1, installed=[1]),
        a_scan(behind.number, 1, installed=[1], required=[2]),
    )
    for client, pending in ((waiting, True), (done, False), (behind, True)):
        await say_restart(site, client, pending=pending)

    def with_openssl(view: View) -> int:
        return view.restarting_with(view.update(an_update_id("openssl")))

    assert site.judgement(waiting) == Judgement(Compliance.RESTART)
    assert site.judgement(done) == Judgement(Compliance.COMPLIANT)
    assert site.judgement(behind) == Judgement(Compliance.REQUIRED)
    assert (site.on("openssl").installed, site.fleet.ask(with_openssl)) == (3, 2)

    site.clock.advance(seconds=30)
    await say_restart(site, waiting, pending=False)

    assert site.judgement(waiting) == Judgement(Compliance.COMPLIANT)
    assert site.fleet.ask(with_openssl) == 1


async def test_a_word_about_a_restart_counts_however_late_it_could_be_stored(site: Site) -> None:
    [client] = await site.begin(1)
    await site.report(a_scan(client.number, 1, installed=[1]))
    assert site.judgement(client) == Judgement(Compliance.COMPLIANT)
    at = site.clock.now().timestamp()
    health = encode(HealthV1(restart_pending=True))
    seen = [Presence(client=client.number, counter=1, seen_at=at + 1, health=health)]
    site.clock.advance(seconds=300)
    assert site.judgement(client) == Judgement(Compliance.COMPLIANT)

    site.clock.advance(seconds=10)
    await site.storage.flush_presence(in_time(seen, now=site.clock.now()))
    site.clock.advance(seconds=10)

    assert site.judgement(client) == Judgement(Compliance.RESTART)


async def test_who_is_heard_after_the_clock_was_put_back_is_listened_to(site: Site) -> None:
    [client] = await site.begin(1)
    await site.report(a_scan(client.number, 1, installed=[1]))
    site.clock.advance(seconds=3600)
    assert site.judgement(client) == Judgement(Compliance.COMPLIANT)
    site.clock.advance(seconds=-3600)

    await say_restart(site, client, pending=True)

    assert site.judgement(client) == Judgement(Compliance.RESTART)


async def test_silence_is_no_word_about_a_restart(site: Site) -> None:
    [client] = await site.begin(1)
    await say_restart(site, client, pending=True)

    assert site.judgement(client) == Judgement(Compliance.UNKNOWN, Doubt.NEVER_REPORTED)

    await site.report(a_scan(client.number, 1, installed=[1], unknown=[2]))
    assert site.judgement(client) == Judgement(Compliance.RESTART)

    site.clock.advance(days=14)
    assert site.judgement(client) == Judgement(Compliance.UNKNOWN, Doubt.STALE)


async def test_what_a_machine_could_not_judge_by_a_newer_catalog_is_told_apart(
    site: Site,
) -> None:
    [client] = await site.begin(1)
    await site.catalog.publish([a_leaf(3, "bash")])

    await site.report(a_scan(client.number, 1, serial=1, installed=[1]))
    assert site.judgement(client) == Judgement(Compliance.UNKNOWN, Doubt.OLD_CATALOG)

    await site.report(a_scan(client.number, 2, serial=2, installed=[1], unknown=[3]))
    assert site.judgement(client) == Judgement(Compliance.UNKNOWN, Doubt.SOME_UNKNOWN)


async def test_machines_heard_of_late_are_counted(site: Site) -> None:
    heard, _ = await site.begin(2)
    at = NOON.timestamp()

    await site.storage.flush_presence([Presence(client=heard.number, counter=1, seen_at=at)])

    assert site.fleet.heard_of_late(timedelta(hours=1)) == 1
    site.clock.advance(hours=1)
    assert site.fleet.heard_of_late(timedelta(hours=1)) == 0
    assert site.storage.heard([heard.number])[heard.number].at == at


async def test_a_report_that_only_names_a_newer_serial_makes_its_updates_known(
    site: Site,
) -> None:
    [client] = await site.begin(1)
    before = a_scan(client.number, 1, installed=[1])
    await site.report(before)
    await site.catalog.publish([a_leaf(3, "bash")])
    assert site.on("bash") == Tally(unknown=1)

    same = a_scan(client.number, 2, serial=2, installed=[1])
    await site.report(replace(same, required=b"", installed=b"", unknown=b"", has_states=False))

    assert site.on("bash") == Tally(not_required=1)
    assert site.on("openssl") == Tally(installed=1)


async def test_questions_that_wait_for_each_other_keep_nothing_else_waiting(site: Site) -> None:
    await site.begin(1)
    held, go_on = threading.Event(), threading.Event()

    def hold(view: View) -> None:
        held.set()
        go_on.wait(10)

    holding = asyncio.create_task(site.fleet.run(lambda: site.fleet.ask(hold)))
    waiting = [asyncio.create_task(site.fleet.run(site.fleet.version)) for _ in range(200)]
    try:
        assert await asyncio.to_thread(held.wait, 10)
        epoch = await asyncio.wait_for(asyncio.to_thread(site.storage.epoch), 5)
    finally:
        go_on.set()
    await asyncio.gather(holding, *waiting)

    assert epoch.n > 0


class Circle:
    """Something that only the collector finds."""

    def __init__(self) -> None:
        self.itself = self


async def test_with_a_new_view_no_garbage_is_kept_nor_the_view_that_it_replaces(
    site: Site,
) -> None:
    await site.begin(1)
    site.fleet.keep_up()
    gc.disable()
    try:
        garbage = [weakref.ref(Circle()), weakref.ref(site.fleet._current)]
        await site.catalog.publish([a_leaf(3, "bash")])
        site.fleet.keep_up()

        assert [one() for one in garbage] == [None, None]
    finally:
        gc.enable()


async def test_no_question_waits_while_a_publication_is_read(site: Site) -> None:
    [client] = await site.begin(1)
    await site.report(a_scan(client.number, 1, installed=[1, 2]))
    go_on, catalog = threading.Event(), SlowCatalog(site.storage, 1, {1, 2})
    fleet = Fleet(site.storage, catalog, site.clock, patience_s=0)
    assert len(fleet.ask(lambda view: view.updates)) == 2
    catalog.may_be_read = go_on

    await catalog.publish([a_leaf(3, "bash")])
    try:
        before = [fleet.ask(lambda view: len(view.updates)) for _ in range(3)]
        # What machines report is followed meanwhile, and not lost by what comes after.
        await site.report(a_scan(client.number, 2, serial=2, required=[3], installed=[1, 2]))
        seen = fleet.ask(lambda view: view.members[client.number].is_of_this_catalog)
    finally:
        go_on.set()
    fleet.keep_up()
    fleet.keep_up()

    assert (before, seen) == ([2, 2, 2], False)
    assert fleet.ask(lambda view: view.judgement(view.members[client.number])) == Judgement(
        Compliance.REQUIRED
    )


class SlowCatalog(Catalog):
    """One that is read only when the test lets it."""

    may_be_read: threading.Event | None = None

    def shards(self) -> Sequence[PublishedShard]:
        if self.may_be_read is not None:
            self.may_be_read.wait(10)
        return super().shards()
