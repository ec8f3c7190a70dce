"""What the storage promises about decisions and their trail, on both databases."""

from __future__ import annotations

import asyncio
import hmac
import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256

import pytest
from sqlalchemy import create_engine, text

from patchtide.adapters.storage import Storage
from patchtide.adapters.storage.audit_chain import Seal, chained
from patchtide.adapters.storage.audit_segments import read_segment
from patchtide.adapters.storage.engines import parse_url
from patchtide.domain.errors import CursorLost, InvalidDocument, StaleRevision
from patchtide.server.ports.audit import AuditFlaw
from patchtide.server.ports.catalog import StoredLeaf
from patchtide.server.ports.clients import ClientState, EnrolmentToken
from patchtide.server.ports.decisions import Transaction
from tests.simulator.reports import NOON, a_machine, a_report, enrolled
from tests.simulator.restoring import mark_restored

pytestmark = pytest.mark.anyio
DAY = timedelta(days=1)


def sign(message: bytes) -> bytes:
    return hmac.digest(b"key", message, "sha256")


SEAL = Seal(sign, lambda signature, message: signature == sign(message))


@pytest.fixture
async def sealed(database_url: str) -> AsyncIterator[Storage]:
    storage = Storage.open(database_url, seal=SEAL)
    yield storage
    await storage.close()


def tamper(url: str, *statements: str) -> None:
    engine = create_engine(parse_url(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


async def note(storage: Storage, *subjects: str, now: datetime = NOON) -> None:
    for subject in subjects:

        def work(tx: Transaction, subject: str = subject) -> None:
            tx.note(subject, why="a test")

        await storage.decide("admin", "things.change", work, now=now)


async def test_a_decision_its_event_and_its_audit_entry_become_durable_together(
    storage: Storage,
) -> None:
    start = storage.epoch()

    def work(tx: Transaction) -> None:
        tx.put_setting("colour", b"blue")
        tx.note("colour", value="blue")

    await storage.decide("admin", "settings.put", work, now=NOON)

    end, [event] = storage.decided(start)
    [entry] = storage.audit()
    assert storage.setting("colour") == b"blue"
    assert (event.operation, event.subject, event.detail) == (
        "settings.put",
        "colour",
        {"value": "blue"},
    )
    assert (entry.change, entry.actor, entry.at) == (event.change, "admin", NOON)
    assert end.n == event.change == start.n + 1


async def test_a_decision_that_raises_leaves_nothing(storage: Storage) -> None:
    start = storage.epoch()

    def work(tx: Transaction) -> None:
        tx.put_setting("colour", b"blue")
        tx.note("colour")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await storage.decide("admin", "settings.put", work, now=NOON)

    assert storage.setting("colour") is None
    assert (storage.audit(), storage.epoch()) == ([], start)


async def test_a_decision_without_a_note_writes_no_event(storage: Storage) -> None:
    start = storage.epoch()

    await storage.decide("a", "o", lambda tx: tx.put_setting("colour", b"blue"), now=NOON)

    assert (storage.audit(), storage.epoch()) == ([], start)


async def test_of_two_nodes_that_saw_a_setting_missing_one_puts_it(
    storage: Storage, database_url: str
) -> None:
    other = Storage.open(database_url)
    seen, done = threading.Event(), threading.Event()

    def claim(who: str, meanwhile: Callable[[], object]) -> Callable[[Transaction], str]:
        def work(tx: Transaction) -> str:
            if tx.setting("owner") is not None:
                raise StaleRevision
            meanwhile()
            tx.put_setting("owner", who.encode())
            return who

        return work

    async def quick() -> str:
        await asyncio.to_thread(seen.wait, 10)
        try:
            return await other.decide("a", "o", claim("quick", lambda: None), now=NOON)
        finally:
            done.set()

    # SQLite lets the second one wait for the first; PostgreSQL lets it overtake.
    slow = claim("slow", lambda: (seen.set(), done.wait(0.5)))
    ended = await asyncio.gather(
        storage.decide("a", "o", slow, now=NOON), quick(), return_exceptions=True
    )
    await other.close()

    [winner] = [x for x in ended if isinstance(x, str)]
    assert [type(x) for x in ended if not isinstance(x, str)] == [StaleRevision]
    assert storage.setting("owner") == winner.encode()


async def test_reports_and_decisions_share_one_gapless_order(storage: Storage) -> None:
    start = storage.epoch()
    [client] = await enrolled(storage)
    await storage.accept([a_report(client.number, 1)], now=1.0)
    await note(storage, "one")
    await storage.accept([a_report(client.number, 2)], now=2.0)

    reported = [d.change for d in storage.deltas(start)[1]]
    decided = [d.change for d in storage.decided(start)[1]]

    assert sorted(reported + decided) == list(range(start.n + 1, storage.epoch().n + 1))
    assert (reported, decided) == ([start.n + 2, start.n + 4], [start.n + 1, start.n + 3])


async def test_the_log_is_kept_for_the_slowest_follower(storage: Storage) -> None:
    start = storage.epoch()
    await note(storage, "one", "two", "three")
    slow, _ = storage.decided(start, limit=1)
    await storage.keep_cursor("webhooks", slow)

    await storage.trim(now=(NOON + 31 * DAY).timestamp())

    with pytest.raises(CursorLost):
        storage.decided(start)
    assert [d.subject for d in storage.decided(slow)[1]] == ["two", "three"]


async def test_the_log_is_kept_for_thirty_days(storage: Storage) -> None:
    start = storage.epoch()
    await note(storage, "one", "two", "three")

    await storage.trim(now=(NOON + 29 * DAY).timestamp())

    assert len(storage.decided(start)[1]) == 3


FORGERIES: dict[str, tuple[tuple[str, ...], AuditFlaw]] = {
    "altered": (
        ("UPDATE audit SET actor = 'nobody' WHERE sequence = 3",),
        AuditFlaw(sequence=3, what="entry altered, moved or put in"),
    ),
    "removed": (
        ("DELETE FROM audit WHERE sequence = 2",),
        AuditFlaw(sequence=2, what="entry removed"),
    ),
    "swapped": (
        (
            "UPDATE audit SET sequence = 99 WHERE sequence = 2",
            "UPDATE audit SET sequence = 2 WHERE sequence = 3",
            "UPDATE audit SET sequence = 3 WHERE sequence = 99",
        ),
        AuditFlaw(sequence=2, what="entry altered, moved or put in"),
    ),
    "cut off": (
        ("DELETE FROM audit WHERE sequence > 3", "DELETE FROM decision_log WHERE change > 3"),
        AuditFlaw(sequence=4, what="entries cut off at the end"),
    ),
    "cut off after the last checkpoint": (
        ("DELETE FROM audit WHERE sequence > 4",),
        AuditFlaw(sequence=5, what="entries cut off at the end"),
    ),
    "all gone": (
        ("DELETE FROM audit",),
        AuditFlaw(sequence=1, what="entries cut off at the end"),
    ),
    "sealed by somebody else": (
        ("UPDATE audit_checkpoint SET signature = hash",),
        AuditFlaw(sequence=4, what="entry contradicts its checkpoint"),
    ),
}


@pytest.mark.parametrize(("statements", "flaw"), FORGERIES.values(), ids=FORGERIES)
async def test_the_first_flaw_in_the_audit_is_named(
    sealed: Storage, database_url: str, statements: tuple[str, ...], flaw: AuditFlaw
) -> None:
    await note(sealed, "one", "two", "three", "four")
    assert await sealed.checkpoint_audit(now=NOON)
    await note(sealed, "five")
    assert sealed.verify_audit() is None

    tamper(database_url, *statements)

    assert sealed.verify_audit() == flaw


async def test_a_chain_written_anew_contradicts_its_checkpoint(
    sealed: Storage, database_url: str
) -> None:
    await note(sealed, "one", "two")
    await sealed.checkpoint_audit(now=NOON)
    entries = [
        {**row, "actor": "somebody else", "detail": json.dumps(row["detail"], sort_keys=True)}
        for row in (
            {
                "change": e.change,
                "at": e.at.timestamp(),
                "operation": e.operation,
                "subject": e.subject,
                "detail": dict(e.detail),
            }
            for e in sealed.audit()
        )
    ]
    forged = chained(entries, sequence=0, previous=b"")
    engine = create_engine(parse_url(database_url))
    with engine.begin() as connection:
        for row in forged:
            connection.execute(
                text("UPDATE audit SET actor = :a, hash = :h WHERE sequence = :s"),
                {"a": row["actor"], "h": row["hash"], "s": row["sequence"]},
            )
    engine.dispose()

    assert sealed.verify_audit() == AuditFlaw(sequence=2, what="entry contradicts its checkpoint")


async def test_a_checkpoint_is_made_once(sealed: Storage) -> None:
    assert not await sealed.checkpoint_audit(now=NOON)
    await note(sealed, "one")

    assert await sealed.checkpoint_audit(now=NOON)
    assert not await sealed.checkpoint_audit(now=NOON)


async def test_a_segment_holds_what_follows_and_no_edit_of_it(sealed: Storage) -> None:
    await note(sealed, "one", "two", "three")

    segment = sealed.audit_segment(after=1)

    assert segment is not None
    head, entries = read_segment(segment.body, SEAL.check)
    assert (head["first"], [e["subject"] for e in entries]) == (2, ["two", "three"])
    assert (segment.first, segment.last) == (2, 3)
    assert sealed.audit_segment(after=3) is None
    with pytest.raises(InvalidDocument):
        read_segment(segment.body.replace(b'"two"', b'"owt"'), SEAL.check)


async def test_after_a_restore_segments_name_what_was_decided_since_the_backup(
    sealed: Storage, database_url: str
) -> None:
    await note(sealed, "one", "two", "three")
    segment = sealed.audit_segment()
    assert segment is not None
    kept = [segment.body, segment.body.replace(b"two", b"owt"), b"no segment\n"]
    assert sealed.lost_decisions(kept) == []

    engine = create_engine(parse_url(database_url))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM audit WHERE sequence > 1"))
    engine.dispose()
    assert [one.subject for one in sealed.lost_decisions(kept)] == ["two", "three"]

    await note(sealed, "another two")
    await mark_restored(sealed, now=NOON + DAY)
    assert sealed.lost_decisions(kept) == []


def a_token(**changes: object) -> EnrolmentToken:
    values: dict[str, object] = {
        "id": "t1",
        "secret_hash": sha256(b"secret").digest(),
        "site": "main",
        "group": "",
        "uses_left": 1,
        "approve": False,
        "created_at": NOON,
        "expires_at": NOON + DAY,
        "created_by": "admin",
    }
    return EnrolmentToken(**{**values, **changes})  # type: ignore[arg-type]


async def test_an_enrolment_token_is_spent_and_every_refusal_looks_alike(
    storage: Storage,
) -> None:
    secret = a_token().secret_hash

    def work(tx: Transaction) -> list[bool]:
        tx.add_enrolment_token(a_token())
        return [
            tx.use_enrolment_token(name, secret_hash=tried, now=at) is not None
            for name, tried, at in (
                ("t2", secret, NOON),
                ("t1", bytes(32), NOON),
                ("t1", secret, NOON + DAY),
                ("t1", secret, NOON),
                ("t1", secret, NOON),
            )
        ]

    used = await storage.decide("admin", "tokens.try", work, now=NOON)

    assert used == [False, False, False, True, False]


async def test_a_decommissioned_client_never_comes_back(storage: Storage) -> None:
    [client] = await enrolled(storage)

    def work(tx: Transaction) -> list[int]:
        states = (ClientState.QUARANTINED, ClientState.DECOMMISSIONED, ClientState.ACTIVE)
        return [tx.set_client_state([client.uuid], state) for state in states]

    assert await storage.decide("admin", "machines.set", work, now=NOON) == [1, 1, 0]
    assert storage.standings([client.uuid])[0].state is ClientState.DECOMMISSIONED


async def test_machines_that_may_speak_are_read_in_pages(storage: Storage) -> None:
    clients = await enrolled(storage, 5)
    pages, after = list[list[bytes]](), 0

    while page := storage.standings_after(after, limit=2):
        pages.append([one.uuid for one in page])
        after = page[-1].number

    assert [len(page) for page in pages] == [2, 2, 1]
    assert [uuid for page in pages for uuid in page] == [one.uuid for one in clients]


async def test_clients_are_found_by_key_and_by_machine(storage: Storage) -> None:
    first, second = await enrolled(storage, 2)

    def work(tx: Transaction) -> list[str]:
        found = tx.clients_like(public_key=first.public_key, machine=second.machine)
        return sorted(client.name for client in found)

    assert await storage.decide("a", "o", work, now=NOON) == ["web-0", "web-1"]


async def test_update_numbers_are_never_given_out_twice(storage: Storage) -> None:
    taken: list[range] = []
    for count in (1, 500, 65_000, 65_000, 3):

        def work(tx: Transaction, count: int = count) -> int:
            return tx.allot_numbers(count)

        first = await storage.decide("a", "o", work, now=NOON)
        taken.append(range(first, first + count))

    numbers = [number for part in taken for number in part]
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) == 1


async def test_after_a_restore_numbers_that_were_published_are_skipped(storage: Storage) -> None:
    await storage.decide("a", "o", lambda tx: tx.allot_numbers(10), now=NOON)

    await mark_restored(storage, now=NOON, numbers_above=70_000)

    assert await storage.decide("a", "o", lambda tx: tx.allot_numbers(1), now=NOON) > 70_000


async def test_sites_take_client_numbers_from_blocks_of_their_own(storage: Storage) -> None:
    def work(tx: Transaction) -> list[int]:
        sites = ("main", "branch", "main", "branch")
        machines = [a_machine(number, site=site) for number, site in enumerate(sites)]
        return [tx.add_client(machine, now=NOON).number for machine in machines]

    numbers = await storage.decide("a", "o", work, now=NOON)

    assert numbers == [1, 65_536, 2, 65_537]


def a_leaf(number: int, revision: int = 1) -> StoredLeaf:
    return StoredLeaf(
        number=number, revision=revision, update=bytes(16), document=b"d", entered_serial=0
    )


async def put(
    storage: Storage, serial: int, *leaves: StoredLeaf, drops: Sequence[int] = ()
) -> None:
    def work(tx: Transaction) -> None:
        tx.put_leaves("debian-12", serial, upserts=leaves, drops=drops)

    await storage.decide("a", "o", work, now=NOON)


def seen(storage: Storage, at: int, *, after: int = 0) -> list[tuple[int, int]]:
    return [(x.number, x.revision) for x in storage.leaves("debian-12", at=at, after=after)]


async def test_a_shard_is_read_as_it_was_at_a_serial(storage: Storage) -> None:
    await put(storage, 1, a_leaf(1), a_leaf(2))
    await put(storage, 2, a_leaf(2, revision=2), a_leaf(3), drops=[1])
    await put(storage, 3, a_leaf(1, revision=2))

    assert seen(storage, 1) == [(1, 1), (2, 1)]
    assert seen(storage, 2) == [(2, 2), (3, 1)]
    assert seen(storage, 3) == [(1, 2), (2, 2), (3, 1)]
    assert seen(storage, 3, after=2) == [(1, 2)]
    assert storage.shards() == ["debian-12"]


async def test_what_left_a_shard_is_named_unless_it_came_back(storage: Storage) -> None:
    await put(storage, 1, a_leaf(1), a_leaf(2), a_leaf(3))
    await put(storage, 2, a_leaf(3, revision=2), drops=[1, 2])
    await put(storage, 3, a_leaf(1, revision=2))

    assert storage.drops("debian-12", at=2, after=1) == [1, 2]
    assert storage.drops("debian-12", at=3, after=1) == [2]
    assert storage.drops("debian-12", at=3, after=2) == []


async def test_leaves_put_in_are_taken_back_a_part_at_a_time(storage: Storage) -> None:
    await put(storage, 1, *map(a_leaf, range(1, 8)))
    await put(storage, 2, *(a_leaf(n, revision=2) for n in range(1, 4)), a_leaf(9), drops=[5, 6])

    def work(tx: Transaction) -> int:
        return tx.take_back_leaves("debian-12", 2, limit=3)

    touched = [await storage.decide("a", "o", work, now=NOON) for _ in range(5)]

    assert touched == [3, 1, 3, 2, 0]
    assert seen(storage, 1) == seen(storage, 2) == [(n, 1) for n in range(1, 8)]


async def test_only_what_is_replaced_in_force_is_forgotten(storage: Storage) -> None:
    await put(storage, 1, a_leaf(1), a_leaf(2), a_leaf(3))
    await put(storage, 2, a_leaf(1, revision=2), drops=[2, 3])
    await put(storage, 3, a_leaf(3, revision=2))
    await put(storage, 4, a_leaf(1, revision=3), a_leaf(2, revision=2))

    def work(tx: Transaction) -> int:
        return tx.forget_replaced_leaves("debian-12", before=4, limit=1)

    touched = [await storage.decide("a", "o", work, now=NOON) for _ in range(3)]

    assert touched == [1, 1, 0]
    assert seen(storage, 1) == [(2, 1)]
    assert seen(storage, 3) == [(1, 2), (3, 2)]
    assert storage.drops("debian-12", at=3, after=1) == [2]


async def test_a_number_stays_with_its_role_and_update_for_good(storage: Storage) -> None:
    one, other = b"1" * 16, b"2" * 16

    def hold(role: str, **wanted: bytes) -> Callable[[Transaction], list[tuple[int, str, bytes]]]:
        numbers = {int(name[1:]): update for name, update in wanted.items()}
        return lambda tx: [
            (x.number, x.role, x.update) for x in tx.hold_numbers(numbers, role=role)
        ]

    works = (
        hold("publisher", n1=one, n2=other),
        hold("publisher", n1=one),
        hold("feeds", n1=one, n3=one),
        hold("publisher", n2=one, n3=one),
    )
    strange = [await storage.decide("a", "o", work, now=NOON) for work in works]

    assert strange == [
        [],
        [],
        [(1, "publisher", one)],
        [(2, "publisher", other), (3, "feeds", one)],
    ]


async def test_numbers_that_no_block_gave_out_are_known(storage: Storage) -> None:
    await storage.decide("a", "o", lambda tx: tx.allot_numbers(10), now=NOON)
    await storage.decide("a", "o", lambda tx: tx.allot_numbers(65_530), now=NOON)

    def work(tx: Transaction) -> list[int]:
        return list(tx.unallotted([1, 10, 11, 65_536, 131_065, 131_066, 4_000_000_000]))

    assert await storage.decide("a", "o", work, now=NOON) == [11, 131_066, 4_000_000_000]


HOSTILE = ("'; DROP TABLE client; --", '" OR 1=1 --', "%_\\", "\u202e\u0430", "a" * 250)


@pytest.mark.parametrize("text", HOSTILE)
async def test_text_is_only_ever_a_value(storage: Storage, text: str) -> None:
    await storage.decide("a", "o", lambda tx: tx.add_client(a_machine(1, name=text), now=NOON),
                         now=NOON)  # fmt: skip

    assert [c.name for c in storage.clients(search=text)] == [text]
    assert storage.clients(search=text + "x") == []
