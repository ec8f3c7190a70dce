"""Whether a machine may be changed now, when next, and by the window of which collection."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.principals import Principal
from patchtide.domain.access.rights import Kind
from patchtide.domain.schedules.permission import Why
from patchtide.domain.schedules.spans import Span
from patchtide.domain.schedules.windows import Window
from patchtide.server.calendar_book import of_kind, subject_in, told_collections, window_in
from patchtide.server.collection_view import named
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.openings import Answer, Opening, OpeningList
from patchtide.server.ports.calendar import EntryKind
from patchtide.server.said_times import zone_of

NEXT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A window of the machine, and whose it is."""

    window: Window
    collection: UUID
    collection_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changing:
    answer: Answer
    when: str
    reason: str
    in_hours: str
    """When rollouts and forced restarts may, if business hours keep them away now."""
    openings: Sequence[tuple[Opening, Sequence[Source]]]
    """The next ones, each with the windows that make it."""


async def of_machine(desk: Desk, visit: Visit, machine: UUID) -> Changing | None:
    """Return nothing to whoever may read no collection."""
    if not desk.may_read(visit, Kind.COLLECTIONS):
        return None
    answer: Answer = await desk.ask(visit, "windows.ask", machine=machine)
    opens: OpeningList = await desk.ask(visit, "windows.openings", machine=machine)
    when, reason = _parts(answer)
    fleet = desk.context.fleet
    names = await desk.of_fleet(lambda: _names(fleet, visit.principal, machine))
    sources = await asyncio.to_thread(partial(_sources, desk, names)) if opens.items else ()
    zone = zone_of(opens.zone)
    return Changing(
        answer=answer,
        when=when,
        reason=reason,
        in_hours=await _in_hours(desk, visit, machine, answer),
        openings=[
            (one, [s for s in sources if any(s.window.openings(Span(one.begins, one.ends), zone))])
            for one in opens.items[:NEXT]
        ],
    )


async def _in_hours(desk: Desk, visit: Visit, machine: UUID, answer: Answer) -> str:
    if answer.why != Why.NO_WINDOWS:
        return ""
    kept: Answer = await desk.ask(visit, "windows.ask", machine=machine, keep_out_of_hours=True)
    return "" if kept.may else ", because ".join(_parts(kept))


def _parts(answer: Answer) -> tuple[str, str]:
    """Return when, and why: the sentence of the answer begins with the one."""
    when, _, reason = answer.words.partition(": ")
    if answer.may:
        return when.replace("Yes", "now", 1), reason
    return when[0].lower() + when[1:], reason


def _names(fleet: Fleet, principal: Principal, machine: UUID) -> Mapping[UUID, str]:
    """Return by whose windows it goes, by name, of those that he may read."""
    told, whole = told_collections(fleet, principal, machine), fleet.everything

    def question(view: View) -> Mapping[UUID, str]:
        _, subject = subject_in(whole, view, machine)
        some = [one for one in subject.collections if told is None or one in told]
        return {one.id: one.name for one in named(view, some)}

    return whole.ask(question)


def _sources(desk: Desk, names: Mapping[UUID, str]) -> Sequence[Source]:
    entries = desk.context.reading.calendar.entries(tuple(names))
    return [
        Source(window=window_in(one), collection=one.collection, collection_name=name)
        for one in of_kind(entries, EntryKind.WINDOW)
        if one.collection is not None and (name := names.get(one.collection))
    ]
