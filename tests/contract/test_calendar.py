"""What the storage promises about the calendar, on both databases."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from patchtide.adapters.storage import Storage
from patchtide.server.ports.calendar import Entry, EntryKind
from patchtide.server.ports.decisions import Transaction
from tests.simulator.reports import NOON

pytestmark = pytest.mark.anyio
WEB, DB = UUID(int=1), UUID(int=2)
WINDOW = Entry(
    id=UUID(int=7), kind=EntryKind.WINDOW, collection=WEB, said=b"night", by="admin", at=NOON
)
HOURS = replace(WINDOW, id=UUID(int=8), kind=EntryKind.HOURS, collection=None, location="Ulm")
FREEZE = replace(WINDOW, id=UUID(int=10), kind=EntryKind.FREEZE)


async def test_what_is_put_into_the_calendar_is_read_by_its_collection(storage: Storage) -> None:
    changed = replace(WINDOW, said=b"day", by="eva")

    def work(tx: Transaction) -> bool:
        for entry in (WINDOW, HOURS, replace(WINDOW, id=UUID(int=9), collection=DB), changed):
            tx.calendar.put(entry)
        tx.calendar.put(FREEZE)
        tx.note("calendar")
        assert tx.calendar.hold(WINDOW.id) == changed
        assert tx.calendar.hold(UUID(int=5)) is None
        assert tx.calendar.count() == 4
        assert tx.calendar.of(WEB) == [changed, FREEZE]
        assert tx.calendar.freezes() == [FREEZE]
        return tx.calendar.drop(UUID(int=9))

    assert await storage.decide("admin", "windows.create", work, now=NOON)
    assert storage.calendar.entries() == [changed, HOURS, FREEZE]
    assert storage.calendar.entries([DB]) == [HOURS]
    assert storage.calendar.entries([WEB, DB]) == [changed, HOURS, FREEZE]
    assert storage.calendar.freezes() == [FREEZE]
