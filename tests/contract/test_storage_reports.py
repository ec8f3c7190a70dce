"""What the storage promises about reports, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import sha256

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.errors import CursorLost, InvalidDocument
from patchtide.server.fact_changes import FactUpkeep
from patchtide.server.ports.following import Cursor
from patchtide.server.ports.reports import Accepted, HeldInventory, Outcome, Presence
from patchtide.wire.sets import decode_set, encode_set
from tests.simulator.reports import NOON, a_report, digest_of, enrolled
from tests.simulator.restoring import mark_restored

pytestmark = pytest.mark.anyio
DAY = 86_400.0
ACCEPTED = Accepted(Outcome.ACCEPTED)
NEED_FULL = Accepted(Outcome.NEED_FULL)


async def test_a_full_report_replaces_what_was_stored(storage: Storage) -> None:
    [client] = await enrolled(storage)
    await storage.accept([a_report(client.number, 1, required=[5, 7], installed=[1])], now=10.0)

    await storage.accept([a_report(client.number, 2, required=[7], installed=[5])], now=11.0)

    [row] = storage.states()
    assert (row.counter, row.reported_at) == (2, 11.0)
    assert (decode_set(row.required), decode_set(row.installed)) == ([7], [5])


async def test_a_difference_moves_numbers_between_the_sets(storage: Storage) -> None:
    [client] = await enrolled(storage)
    full = a_report(client.number, 1, required=[5, 7, 9], installed=[1])
    difference = a_report(
        client.number,
        2,
        installed=[5],
        gone=[9],
        base=full.digest,
        digest=digest_of(required=[7], installed=[1, 5]),
    )

    answers = await storage.accept([full, difference], now=10.0)

    [row] = storage.states()
    assert answers == [ACCEPTED, ACCEPTED]
    assert (decode_set(row.required), decode_set(row.installed)) == ([7], [1, 5])


async def test_the_followers_read_what_each_report_added_and_removed(storage: Storage) -> None:
    [client] = await enrolled(storage)
    start = storage.epoch()
    full = a_report(client.number, 1, required=[5, 9])
    await storage.accept([full], now=10.0)
    after = digest_of(installed=[5])
    change = a_report(client.number, 2, installed=[5], gone=[9], base=full.digest, digest=after)
    await storage.accept([change], now=11.0)

    end, [first, second] = storage.deltas(start)

    assert decode_set(first.required_added) == [5, 9]
    assert decode_set(second.required_removed) == [5, 9]
    assert decode_set(second.installed_added) == [5]
    assert (first.change, second.change) == (start.n + 1, start.n + 2)
    assert end == storage.epoch()
    assert storage.states()[0].change == second.change


WRONG = {
    "starts elsewhere": {"base": bytes(32), "digest": digest_of([5, 6])},
    "leads elsewhere": {"base": digest_of([5]), "digest": digest_of([5, 7])},
    "is of another lineage": {
        "base": digest_of([5]),
        "digest": digest_of([5, 6], lineage=bytes(16)),
        "lineage": bytes(16),
    },
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_a_difference_that_does_not_fit_asks_for_everything(
    storage: Storage, wrong: dict[str, bytes]
) -> None:
    [client] = await enrolled(storage)
    await storage.accept([a_report(client.number, 1, required=[5])], now=10.0)
    difference = replace(a_report(client.number, 2, required=[6]), **wrong)

    answers = await storage.accept([difference], now=11.0)

    assert answers == [NEED_FULL]
    assert storage.states()[0].counter == 1


async def test_a_difference_without_a_stored_state_asks_for_everything(storage: Storage) -> None:
    [client] = await enrolled(storage)
    difference = a_report(client.number, 1, required=[6], base=digest_of())
    unknown = a_report(client.number + 1, 1, required=[6], base=digest_of())

    assert await storage.accept([difference, unknown], now=10.0) == [NEED_FULL, NEED_FULL]
    assert storage.states() == []


async def test_the_same_report_again_gets_the_same_answer_and_changes_nothing(
    storage: Storage,
) -> None:
    [client] = await enrolled(storage)
    report = a_report(client.number, 3, required=[5])
    await storage.accept([report], now=10.0)
    before = storage.epoch()

    again, same_counter, older = await storage.accept(
        [report, a_report(client.number, 3, required=[6]), a_report(client.number, 2)], now=11.0
    )

    assert again == Accepted(Outcome.REPEATED)
    assert same_counter == older == Accepted(Outcome.STALE_COUNTER, 4)
    assert storage.epoch() == before


async def test_a_scan_without_news_is_durable_and_keeps_the_sets(storage: Storage) -> None:
    [client] = await enrolled(storage)
    await storage.accept([a_report(client.number, 1, required=[5])], now=10.0)
    scan = a_report(client.number, 2, digest=digest_of([5]), has_states=False, scan="failed")
    other = a_report(client.number, 3, digest=digest_of([6]), has_states=False)

    assert await storage.accept([scan, other], now=11.0) == [ACCEPTED, NEED_FULL]

    [row] = storage.states()
    assert (row.counter, row.scan, decode_set(row.required)) == (2, "failed", [5])


async def test_many_callers_share_transactions_and_each_gets_its_own_answer(
    storage: Storage,
) -> None:
    clients = await enrolled(storage, 60)
    start = storage.epoch()
    reports = [a_report(c.number, 1, required=[c.number]) for c in clients]
    stale = a_report(clients[0].number, 0)

    answers = await asyncio.gather(*(storage.accept([r], now=1.0) for r in [*reports, stale]))

    assert answers[:-1] == [[ACCEPTED]] * 60
    assert answers[-1][0].outcome is not Outcome.ACCEPTED
    _, deltas = storage.deltas(start)
    assert [d.change for d in deltas] == list(range(start.n + 1, start.n + 61))


async def test_a_report_that_cannot_be_stored_does_not_take_others_with_it(
    storage: Storage,
) -> None:
    clients = await enrolled(storage, 3)
    reports = [a_report(c.number, 1, required=[1]) for c in clients]
    reports[1] = replace(reports[1], scanned_at=2**70)

    first, broken, last = await asyncio.gather(
        *(storage.accept([r], now=1.0) for r in reports), return_exceptions=True
    )

    assert first == last == [ACCEPTED]
    assert isinstance(broken, Exception)
    assert [row.client for row in storage.states()] == [clients[0].number, clients[2].number]


async def test_restores_are_remembered_for_a_day(storage: Storage) -> None:
    [client] = await enrolled(storage)
    times = [10.0, 20.0, DAY + 15.0]
    for counter, at in enumerate(times, 1):
        await storage.accept([a_report(client.number, counter, restored=True)], now=at)

    [standing] = storage.standings([client.uuid])

    assert standing.restores == (20.0, DAY + 15.0)


async def test_a_full_report_that_was_asked_for_is_asked_until_it_came(storage: Storage) -> None:
    [client] = await enrolled(storage)
    full = a_report(client.number, 1, required=[5])
    await storage.accept([full], now=10.0)
    assert not storage.standings_after(0, limit=10)[0].full_report

    await storage.decide("a", "o", lambda tx: tx.ask_full_report([client.uuid]), now=NOON)
    change = a_report(client.number, 2, required=[6], base=full.digest, digest=digest_of([5, 6]))
    await storage.accept([change], now=11.0)
    assert storage.standings_after(0, limit=10)[0].full_report

    await storage.accept([a_report(client.number, 3, required=[5])], now=12.0)
    assert not storage.standings_after(0, limit=10)[0].full_report


async def test_a_restore_begins_an_epoch_and_asks_everybody(storage: Storage) -> None:
    clients = await enrolled(storage, 3)
    await storage.accept([a_report(c.number, 1, required=[5]) for c in clients], now=10.0)
    before = storage.epoch()

    await mark_restored(storage, now=NOON)

    assert [s.full_report for s in storage.standings_after(0, limit=10)] == [True] * 3
    with pytest.raises(CursorLost):
        storage.deltas(before)
    assert storage.deltas(Cursor(epoch=storage.epoch().epoch, n=before.n))[1] == []


async def test_deltas_of_yesterday_are_trimmed_and_a_slow_follower_is_told(
    storage: Storage,
) -> None:
    [client] = await enrolled(storage)
    start = storage.epoch()
    for counter in range(1, 451):
        await storage.accept([a_report(client.number, counter)], now=float(counter))
    late = Cursor(epoch=start.epoch, n=start.n + 440)

    await storage.trim(now=DAY + 430.0)

    with pytest.raises(CursorLost):
        storage.deltas(start)
    assert [d.change for d in storage.deltas(late)[1]] == list(range(late.n + 1, late.n + 11))


async def test_a_presence_never_lowers_a_counter(storage: Storage) -> None:
    first, second = await enrolled(storage, 2)
    await storage.accept([a_report(first.number, 9)], now=1.0)

    for counter in (5, 3):
        seen = [Presence(client=c.number, counter=counter, seen_at=2.0) for c in (first, second)]
        await storage.flush_presence(seen)

    counters = {s.number: s.counter for s in storage.standings_after(0, limit=10)}
    assert counters == {first.number: 9, second.number: 5}


async def test_inventory_is_kept_once_and_only_under_its_digest(storage: Storage) -> None:
    clients = await enrolled(storage, 2)
    body = b"a list of packages"
    digest = sha256(body).digest()
    for client in clients:
        await storage.put_inventory(
            client.number, kind="packages", digest=digest, body=body, now=1.0
        )

    with pytest.raises(InvalidDocument):
        await storage.put_inventory(
            clients[0].number, kind="packages", digest=bytes(32), body=body, now=1.0
        )
    first, second = (one.number for one in clients)
    assert storage.inventory(second, "packages") == body
    assert storage.inventories([first, second, 9], "packages") == {first: body, second: body}
    assert storage.inventories([first], "hardware") == {}


def held(client: int, body: bytes, *, at: float = 2.0) -> HeldInventory:
    return HeldInventory(client=client, kind="packages", digest=sha256(body).digest(), at=at)


async def test_a_machine_may_refer_to_a_body_that_another_sent(storage: Storage) -> None:
    first, second = await enrolled(storage, 2)
    digest = sha256(b"list").digest()
    await storage.put_inventory(first.number, kind="packages", digest=digest, body=b"list", now=1.0)

    gone = await storage.hold_inventory([held(second.number, b"list"), held(9, b"trimmed")])

    assert gone == {sha256(b"trimmed").digest()}
    assert storage.inventory(second.number, "packages") == b"list"
    assert storage.inventory(9, "packages") is None


async def test_a_word_written_late_does_not_replace_a_newer_list(storage: Storage) -> None:
    [client] = await enrolled(storage)
    for at, body in ((1.0, b"old"), (5.0, b"new")):
        digest = sha256(body).digest()
        await storage.put_inventory(
            client.number, kind="packages", digest=digest, body=body, now=at
        )

    await storage.hold_inventory([held(client.number, b"old", at=4.0)])
    assert storage.inventory(client.number, "packages") == b"new"

    await storage.hold_inventory([held(client.number, b"old", at=6.0)])
    assert storage.inventory(client.number, "packages") == b"old"


async def test_bodies_trimmed_and_referred_to_at_once_are_never_half_there(
    storage: Storage,
) -> None:
    clients = await enrolled(storage, 20)
    for body in (b"list", b"other"):
        await storage.put_inventory(
            clients[0].number, kind="packages", digest=sha256(body).digest(), body=body, now=1.0
        )

    _, *gone = await asyncio.gather(
        storage.trim(now=DAY), *(storage.hold_inventory([held(c.number, b"list")]) for c in clients)
    )

    before = [b"other", *[None] * 19]
    assert [storage.inventory(c.number, "packages") for c in clients] == [
        was if lost else b"list" for was, lost in zip(before, gone, strict=True)
    ]


async def test_inventory_nobody_has_is_trimmed(storage: Storage) -> None:
    [client] = await enrolled(storage)
    for body in (b"old", b"new"):
        await storage.put_inventory(
            client.number, kind="packages", digest=sha256(body).digest(), body=body, now=1.0
        )

    await FactUpkeep(storage.fact_history).run()
    await storage.trim(now=DAY)

    assert storage.inventory_digests() == [sha256(b"new").digest()]


async def test_a_client_keeps_its_newest_events(storage: Storage) -> None:
    noisy, quiet = await enrolled(storage, 2)
    reports = [a_report(noisy.number, counter, events=b"\x90") for counter in range(1, 231)]
    await storage.accept([*reports, a_report(quiet.number, 1, events=b"\x90")], now=1.0)

    await storage.trim(now=2.0)

    assert [n for n, _ in storage.events(noisy.number)] == list(range(31, 231))
    assert [n for n, _ in storage.events(quiet.number)] == [1]


async def test_a_state_is_listed_by_key_and_in_pages(storage: Storage) -> None:
    clients = await enrolled(storage, 5)
    await storage.accept([a_report(c.number, 1) for c in clients], now=1.0)

    page = storage.states(limit=3)
    rest = storage.states(after=page[-1].client, limit=3)

    assert [r.client for r in (*page, *rest)] == [c.number for c in clients]
    assert encode_set([]) == page[0].required
