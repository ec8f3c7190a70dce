"""The collections of the demonstration, and when their machines may be changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from patchtide.domain.collections.definitions import ALL_MACHINES, Definition
from patchtide.domain.schedules.windows import Covers
from patchtide.server.calendar_book import KeptWindow, packed
from patchtide.server.ports.calendar import Entry, EntryKind
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.decisions import Transaction
from patchtide.server.said_times import SaidWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    query: str
    note: str
    window: SaidWindow | None = None
    called: str = ""


GATHERED: Mapping[str, Gathered] = MappingProxyType(
    {
        "Staging": Gathered(
            query="group = staging",
            note="Tried here first",
            window=SaidWindow(comes="days", at="01:00", length_min=180),
            called="Every night",
        ),
        "Production": Gathered(
            query="group = production",
            note="What customers see",
            window=SaidWindow(comes="weekday", nth="last", weekday="saturday", at="22:00"),
            called="Last Saturday",
        ),
        "Web servers": Gathered(
            query="role = web",
            note="Half of them stay up meanwhile",
            window=SaidWindow(comes="weeks", on=("tuesday", "thursday"), at="22:00"),
            called="Twice a week",
        ),
        "Databases": Gathered(
            query="role = db",
            note="Somebody looks on",
            window=SaidWindow(comes="cycle", cycle="patch-tuesday", days_after=4, at="23:00"),
            called="After Patch Tuesday",
        ),
        "Offices": Gathered(
            query="role in (desktop, laptop, kiosk)",
            note="Machines that people sit at",
            window=SaidWindow(comes="weeks", on=("wednesday",), at="12:00", covers=Covers.UPDATES),
            called="Over lunch",
        ),
        "Perimeter": Gathered(query="exposure = perimeter", note="Reached from outside"),
    }
)
"""Their names, and what is said of each."""


def id_of(name: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"patchtide demonstration: {name}")


def gather(tx: Transaction, *, by: str, at: datetime) -> None:
    for name, one in GATHERED.items():
        definition = Definition(id=id_of(name), name=name, limiting=ALL_MACHINES, query=one.query)
        tx.collections.add(
            StoredCollection(definition=definition, description=one.note, revision=1, by=by, at=at)
        )
        tx.note(str(definition.id), name=name, query=one.query)


def open_windows(tx: Transaction, *, by: str, at: datetime) -> None:
    for name, one in GATHERED.items():
        if one.window is None:
            continue
        says = msgspec.structs.replace(one.window, since=f"{at.date()}")
        entry = Entry(
            id=id_of(f"{name}, {one.called}"),
            kind=EntryKind.WINDOW,
            collection=id_of(name),
            said=packed(KeptWindow(name=one.called, says=says)),
            by=by,
            at=at,
        )
        tx.calendar.put(entry)
        tx.note(str(entry.id), collection=name, name=one.called)
