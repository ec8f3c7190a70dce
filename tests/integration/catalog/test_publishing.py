"""Publishing on real databases: whose numbers, and in how many transactions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from patchtide.domain.catalog.updates import Revision
from patchtide.domain.errors import InvalidDocument, StaleRevision
from patchtide.server.publication import SLICE, NumberClash
from tests.integration.catalog.node import Node, a_leaf, leaves, node

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]
PROGRAM = Path(__file__).with_name("node.py")
FEED = "debian-12"


@pytest.fixture
async def here(database_url: str, tmp_path: Path) -> AsyncIterator[Node]:
    async with node(database_url, tmp_path / "here") as made:
        yield made


CLASHES = {
    "a feed takes the publisher's": ("custom", FEED, "openssl", "belongs to publisher"),
    "the publisher takes a feed's": (FEED, "custom", "openssl", "belongs to feeds"),
    "a feed takes the agent's": ("agent", FEED, "openssl", "belongs to agent"),
    "another update in the same shard": (FEED, FEED, "curl", "stands for update"),
}


@pytest.mark.parametrize(("owner", "thief", "name", "why"), CLASHES.values(), ids=CLASHES)
async def test_a_number_that_is_somebody_elses_is_refused_and_the_leaf_named(
    here: Node, owner: str, thief: str, name: str, why: str
) -> None:
    [number] = await here.publish(owner, a_leaf("openssl"))
    before = here.catalog.serials()

    with pytest.raises(NumberClash, match=rf"leaf {number} \({name}\): its number {why}"):
        await here.publish(thief, a_leaf("nginx"), a_leaf(name, number=number, revision=2))

    last = here.storage.audit()[-1]
    assert (last.actor, last.operation, last.subject) == ("admin", "catalog.number-clash", thief)
    assert last.detail["first"] == number
    assert here.catalog.serials() == before
    assert here.fetched(owner, {}, serial=0) == ["openssl"]


async def test_of_a_publication_refused_in_its_last_slice_no_row_is_left(here: Node) -> None:
    kept, gone = await here.publish(FEED, a_leaf("openssl"), a_leaf("curl"))
    revised = a_leaf("openssl", number=kept, revision=2)

    with pytest.raises(NumberClash, match="leaf 60000 "):
        await here.publish(FEED, revised, *leaves(0, SLICE), a_leaf("x", number=60000))

    found = here.storage.leaves(FEED, at=2)
    assert [(x.number, x.revision) for x in found] == [(kept, 1), (gone, 1)]
    assert here.fetched(FEED, {}, serial=0) == ["curl", "openssl"]


async def test_a_dropped_leafs_number_stays_its_roles_own(here: Node) -> None:
    [number] = await here.publish("custom", a_leaf("openssl"))
    await here.publish("custom", drops=[number])

    with pytest.raises(NumberClash, match="belongs to publisher"):
        await here.publish(FEED, a_leaf("openssl", number=number))


async def test_a_number_that_was_never_allotted_is_refused(here: Node) -> None:
    await here.publish(FEED, *leaves(0, 3))

    with pytest.raises(NumberClash) as refused:
        await here.publish(FEED, *(a_leaf(f"x{n}", number=n) for n in range(3, 12)))

    assert str(refused.value).startswith("not published in debian-12: leaf 4 (x4): its number was")
    assert str(refused.value).endswith("and 3 more")
    assert refused.value.numbers == tuple(range(4, 12))


async def test_one_feed_may_put_a_leaf_into_two_of_its_shards(here: Node) -> None:
    [number] = await here.publish(FEED, a_leaf("openssl"))

    assert await here.publish("debian-13", a_leaf("openssl", number=number)) == [number]


async def test_a_number_named_twice_is_refused(here: Node) -> None:
    [number] = await here.publish(FEED, a_leaf("openssl"))

    with pytest.raises(InvalidDocument, match=f"leaf {number}: is named twice"):
        await here.publish(FEED, a_leaf("openssl", number=number, revision=2), drops=[number])


@contextmanager
def rows_written() -> Iterator[list[int]]:
    """Collect how many rows each transaction writes, in any database of this process."""
    written, open_ = [], [0]

    def executed(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        del connection, rest
        if statement.split()[0] in {"INSERT", "UPDATE", "DELETE"}:
            open_[0] += max(0, cursor.rowcount)

    def committed(connection: Any) -> None:
        del connection
        written.append(open_[0])
        open_[0] = 0

    event.listen(Engine, "after_cursor_execute", executed)
    event.listen(Engine, "commit", committed)
    try:
        yield written
    finally:
        event.remove(Engine, "after_cursor_execute", executed)
        event.remove(Engine, "commit", committed)


async def test_no_transaction_writes_more_than_a_thousand_rows(here: Node) -> None:
    many = 4 * SLICE + 1
    with rows_written() as written:
        numbers = await here.publish(FEED, *leaves(0, many))
        again = [a_leaf(f"pkg-{n}", number=numbers[n], revision=2) for n in range(many)]
        await here.publish(FEED, *again)
        await here.publish(FEED, drops=numbers)

    assert sum(written) > 6 * many  # it looked
    assert max(written) <= 1000
    assert here.fetched(FEED, {}, serial=0) == []


async def test_a_large_publication_is_one_serial_with_one_event(here: Node) -> None:
    cursor = here.storage.epoch()

    numbers = await here.publish(FEED, *leaves(0, 2 * SLICE + 1))

    _, decided = here.storage.decided(cursor)
    assert [(e.operation, e.detail["serial"]) for e in decided] == [
        ("catalog.publish", 1),
        ("catalog.published", 1),
    ]
    assert len(set(numbers)) == 2 * SLICE + 1
    assert here.fetched(FEED, {}, serial=0) == sorted(x.title for x in leaves(0, 2 * SLICE + 1))


FRESH = 3 * SLICE
KILLED_BEFORE = {
    "the claim": 1,
    "the first slice": 2,
    "the second slice": 3,
    "the last slice": 4,
    "the serial is in force": 5,
    "its files are noted": 6,
    "what was replaced is removed": 7,
}


@pytest.mark.parametrize("die_before", KILLED_BEFORE.values(), ids=KILLED_BEFORE)
async def test_killed_between_slices_all_or_nothing_is_seen_and_the_next_one_is_whole(
    database_url: str, tmp_path: Path, die_before: int
) -> None:
    async with node(database_url, tmp_path / "here") as before:
        [kept] = await before.publish(FEED, a_leaf("openssl"))

    killed = publishing_dies(database_url, tmp_path / "here", die_before)

    is_in_force = die_before > KILLED_BEFORE["the serial is in force"]
    expected = [x.title for x in leaves(0, FRESH)] if is_in_force else []
    assert killed == -signal.SIGKILL
    async with node(database_url, tmp_path / "here") as after:
        assert after.catalog.serials() == {FEED: 2 if is_in_force else 1}
        assert after.fetched(FEED, {}, serial=0) == sorted([*expected, "openssl"])
        held = {x.number: x for x in after.storage.leaves(FEED, at=1)}
        assert list(held) == [kept]

        revised = a_leaf("openssl", number=kept, revision=2)
        fresh = await after.publish(FEED, replace(revised, title="openssl 2"), a_leaf("curl"))

        assert after.fetched(FEED, {}, serial=0) == sorted([*expected, "openssl 2", "curl"])
        assert len(fresh) == 2 and after.storage.verify_audit() is None


def publishing_dies(url: str, folder: Path, die_before: int) -> int:
    words = [url, str(folder), FEED, "0", str(FRESH), str(die_before)]
    path = f"{ROOT / 'src'}:{ROOT}"
    ended = subprocess.run(
        [sys.executable, str(PROGRAM), *words],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        timeout=60,
    )
    assert not ended.stderr, ended.stderr.decode()
    return ended.returncode


async def test_nobody_sees_a_publication_that_is_half_way(
    here: Node, database_url: str, tmp_path: Path
) -> None:
    [number] = await here.publish(FEED, a_leaf("openssl"))
    seen: list[tuple[dict[str, int], list[str]]] = []
    async with node(database_url, tmp_path / "here") as other:

        async def look() -> None:
            await other.catalog.catch_up()
            seen.append((other.catalog.serials(), other.fetched(FEED, {}, serial=0)))

        here.decisions.before = lambda operation, _: (
            look() if operation == "catalog.publish" else None
        )
        revised = a_leaf("openssl", number=number, revision=2)
        await here.publish(FEED, revised, *leaves(0, SLICE))
        await here.publish("debian-13", *leaves(0, SLICE))

    assert len(seen) == 7
    assert all(x == ({FEED: 1}, ["openssl"]) for x in seen[:4])
    assert all(serials == {FEED: 2} for serials, _ in seen[4:])


async def test_of_two_that_publish_a_shard_the_one_that_began_first_gives_up(
    here: Node, database_url: str, tmp_path: Path
) -> None:
    async with node(database_url, tmp_path / "here") as other:

        async def come_between() -> None:
            await other.publish(FEED, a_leaf("curl"))

        here.decisions.before = lambda _, count: come_between() if count == 4 else None
        here.decisions.count = 0
        with pytest.raises(StaleRevision):
            await here.publish(FEED, *leaves(0, 3 * SLICE))
        here.decisions.before = None

        assert here.catalog.serials() == {FEED: 1}
        assert here.fetched(FEED, {}, serial=0) == ["curl"]
        await here.publish(FEED, a_leaf("nginx"))
        assert here.fetched(FEED, {}, serial=0) == ["curl", "nginx"]


async def test_a_serial_that_another_node_puts_in_force_meanwhile_is_published_too(
    here: Node, database_url: str, tmp_path: Path
) -> None:
    async with node(database_url, tmp_path / "here") as other:

        async def come_between() -> None:
            # It is killed after the serial is in force and before it writes any file.
            other.catalog._writer.write = nothing  # type: ignore[method-assign]
            await other.publish(FEED, a_leaf("curl"))

        here.decisions.before = lambda operation, count: (
            come_between() if operation == "catalog.published" and count < 5 else None
        )
        here.decisions.count = 0
        await here.publish(FEED, a_leaf("nginx"))

    assert here.told[-1] == {FEED: 2}
    assert here.fetched(FEED, {}, serial=0) == ["curl", "nginx"]


async def nothing(shards: object) -> None:
    del shards


async def test_a_machine_follows_revisions_drops_and_returns_by_deltas(here: Node) -> None:
    numbers = await here.publish(FEED, *leaves(0, 3))
    held = here.catalog._files.entries(FEED, at=1)
    await here.publish(FEED, drops=numbers[:2])
    back = replace(a_leaf("pkg-0", number=numbers[0]), revision=Revision(2), title="pkg-0 again")
    await here.publish(FEED, back)
    await here.publish(FEED, replace(back, revision=Revision(3), title="pkg-0 once more"))

    assert here.fetched(FEED, held, serial=1) == ["pkg-0 once more", "pkg-2"]
    assert here.fetched(FEED, {}, serial=0) == ["pkg-0 once more", "pkg-2"]


@pytest.mark.parametrize("revision", [1, 6, 7])
async def test_a_revision_that_does_not_rise_is_refused(here: Node, revision: int) -> None:
    [number] = await here.publish(FEED, a_leaf("openssl"))
    await here.publish(FEED, a_leaf("openssl", number=number, revision=7))
    await here.publish(FEED, drops=[number])

    with pytest.raises(NumberClash, match=f"its revision {revision} is not above 7"):
        await here.publish(FEED, a_leaf("openssl", number=number, revision=revision))

    assert here.catalog.serials() == {FEED: 3}
    await here.publish(FEED, a_leaf("openssl", number=number, revision=8))
