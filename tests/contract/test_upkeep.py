"""Upkeep by a clock that is moved by hand, over both databases and a real folder."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from patchtide.adapters.storage import Storage
from patchtide.adapters.storage.audit_chain import Seal
from patchtide.adapters.storage.audit_segments import read_segment
from patchtide.domain.errors import InvalidDocument
from patchtide.entry.server.audit_folder import AuditFolder
from patchtide.server import upkeep as schedule
from patchtide.server.fact_changes import FactUpkeep
from patchtide.server.inventories import Inventories
from patchtide.server.ports.audit import AuditSegment
from patchtide.server.ports.clients import EnrolmentToken
from patchtide.server.ports.decisions import Transaction
from patchtide.server.upkeep import Upkeep
from tests.simulator.clock import FakeClock

pytestmark = pytest.mark.anyio


def sign(message: bytes) -> bytes:
    return hmac.digest(b"key", message, "sha256")


SEAL = Seal(sign, lambda signature, message: signature == sign(message))


@pytest.fixture
async def sealed(database_url: str) -> AsyncIterator[Storage]:
    storage = Storage.open(database_url, seal=SEAL)
    yield storage
    await storage.close()


class FullDisk:
    def keep(self, segment: AuditSegment) -> None:
        raise OSError(28, "no space")


class Site:
    def __init__(self, storage: Storage, folder: Path) -> None:
        self.storage = storage
        self.folder = folder
        self.clock = FakeClock()
        self.restart()

    def restart(self, archive: object = None) -> None:
        self.upkeep = Upkeep(
            storage=self.storage,
            facts=FactUpkeep(self.storage.fact_history),
            archive=archive or AuditFolder(self.folder),  # type: ignore[arg-type]
            inventories=Inventories(self.storage, self.storage),
            clock=self.clock,
        )

    async def decided(self, *subjects: str) -> None:
        for subject in subjects:

            def work(tx: Transaction, subject: str = subject) -> None:
                tx.note(subject)

            await self.storage.decide("a", "test", work, now=self.clock.now())

    async def pass_by(self, hours: float) -> None:
        """Let so much time pass, a minute's step at a time, as the server does."""
        until = self.clock.now() + timedelta(hours=hours)
        while self.clock.now() < until:
            self.clock.advance(minutes=20)
            await self.upkeep.step()

    def archived(self) -> list[list[str]]:
        found = [read_segment(p.read_bytes(), SEAL.check) for p in sorted(self.folder.iterdir())]
        return [[entry["subject"] for entry in entries] for _, entries in found]


@pytest.fixture
def site(sealed: Storage, tmp_path: Path) -> Site:
    return Site(sealed, tmp_path / "audit")


async def test_a_segment_is_sealed_an_hour_after_its_first_entry_and_not_before(site: Site) -> None:
    await site.decided("one", "two")
    await site.pass_by(hours=0.9)
    assert site.archived() == []

    await site.decided("three")
    await site.pass_by(hours=1)
    assert site.archived() == [["one", "two", "three"]]

    await site.pass_by(hours=48)
    assert site.archived() == [["one", "two", "three"]]


async def test_a_full_segment_is_sealed_at_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "SEGMENT_ENTRIES", 2)
    monkeypatch.setattr("patchtide.adapters.storage.audit_segments.PAGE", 2)
    await site.decided("one", "two", "three", "four", "five")

    await site.upkeep.step()

    assert site.archived() == [["one", "two"], ["three", "four"]]


async def test_the_length_of_a_segment_is_what_an_export_takes() -> None:
    from patchtide.adapters.storage.audit_segments import PAGE

    assert schedule.SEGMENT_ENTRIES == PAGE


async def test_segments_follow_each_other_over_a_restart_and_each_is_signed(site: Site) -> None:
    await site.decided("one")
    await site.pass_by(hours=25)
    site.restart()
    await site.decided("two")
    await site.pass_by(hours=25)

    assert site.archived() == [["one"], ["two"]]
    _, last = sorted(site.folder.iterdir())
    first_hash = read_segment(sorted(site.folder.iterdir())[0].read_bytes(), SEAL.check)[0]["hash"]
    assert read_segment(last.read_bytes(), SEAL.check)[0]["before"] == first_hash
    with pytest.raises(InvalidDocument):
        read_segment(last.read_bytes().replace(b"two", b"owt"), SEAL.check)


async def test_a_crash_between_file_and_note_loses_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(sequence: int) -> None:
        raise ConnectionError

    await site.decided("one")
    site.clock.advance(days=1)
    with monkeypatch.context() as crashing:
        crashing.setattr(site.storage, "note_archived", crash)
        with pytest.raises(ExceptionGroup):
            await site.upkeep.step()
    await site.decided("two")
    site.restart()
    await site.upkeep.step()

    assert site.archived() == [["one"], ["one", "two"]]
    assert site.storage.audit_archived() == 2


async def test_another_history_of_the_same_entries_is_kept_beside_the_first(site: Site) -> None:
    await site.decided("one")
    await site.pass_by(hours=25)

    # A backup from before: the same places are written again, with another story.
    segment = site.storage.audit_segment(after=0)
    assert segment is not None
    other = AuditSegment(first=1, last=1, hash=b"other hash", body=segment.body)
    AuditFolder(site.folder).keep(other)

    assert site.archived() == [["one"], ["one"]]


async def test_an_archive_that_is_full_stops_nothing_else_and_is_tried_again(site: Site) -> None:
    await site.decided("one")
    site.clock.advance(days=31)
    await site.decided("two")
    site.restart(FullDisk())
    with pytest.raises(ExceptionGroup):
        await site.upkeep.step()

    followed, _ = site.storage.decided(site.storage.epoch())
    assert site.storage.audit_archived() == 0
    assert not await site.storage.checkpoint_audit(now=site.clock.now())
    assert followed == site.storage.epoch()
    assert site.storage.setting("decisions.trimmed") == b"1"

    site.restart()
    await site.upkeep.step()
    assert site.archived() == [["one", "two"]]


async def test_the_chain_is_sealed_every_hour_also_after_the_clock_was_set_back(
    site: Site,
) -> None:
    await site.decided("one")
    await site.upkeep.step()
    await site.decided("two")
    site.clock.advance(minutes=59)
    await site.upkeep.step()
    assert await site.storage.checkpoint_audit(now=site.clock.now())

    await site.decided("three")
    site.clock.advance(hours=-12)
    await site.upkeep.step()
    assert not await site.storage.checkpoint_audit(now=site.clock.now())


async def test_tokens_go_a_month_after_their_end(site: Site) -> None:
    def work(tx: Transaction) -> None:
        for hours in (1, 48):
            tx.add_enrolment_token(a_token(site.clock.now(), hours=hours))
        tx.note("tokens")

    await site.storage.decide("a", "test", work, now=site.clock.now())
    site.clock.advance(hours=29 * 24)
    await site.pass_by(hours=1)
    before = [token.id for token in site.storage.enrolment_tokens()]
    site.clock.advance(hours=24)
    await site.pass_by(hours=2)

    assert before == ["1h", "48h"]
    assert [token.id for token in site.storage.enrolment_tokens()] == ["48h"]


def a_token(now: datetime, *, hours: int) -> EnrolmentToken:
    return EnrolmentToken(
        id=f"{hours}h",
        secret_hash=bytes(32),
        site="main",
        group="",
        uses_left=1,
        approve=False,
        created_at=now + timedelta(minutes=hours),
        expires_at=now + timedelta(hours=hours),
        created_by="a",
    )


async def test_the_archive_is_for_the_servers_user_alone(site: Site) -> None:
    await site.decided("one")
    await site.pass_by(hours=25)

    modes = [p.stat().st_mode & 0o777 for p in (site.folder, *site.folder.iterdir())]
    assert modes == [0o700, 0o600]
