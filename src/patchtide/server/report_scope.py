"""What a named report is asked about: which updates, on which machines, as of one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from msgspec import Meta
from pyroaring import BitMap

from patchtide.domain.catalog.query_parser import MAX_LENGTH
from patchtide.domain.compliance.judgement import Compliance, Doubt
from patchtide.domain.compliance.scopes import Classes
from patchtide.domain.compliance.states import Tally
from patchtide.domain.errors import NotFound
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_part import Part
from patchtide.server.fleet_view import View
from patchtide.server.history_rows import LONGEST
from patchtide.server.known_updates import Counted, KnownUpdate
from patchtide.server.machine_index import MachineGround
from patchtide.server.member import Member
from patchtide.server.table import Input
from patchtide.server.update_search import answering as updates_answering

K = TypeVar("K", Doubt, Compliance)
ReportName = Literal[
    "overall", "by-update", "by-machine", "matrix", "machine", "scans", "errors", "silent",
    "restarts", "superseded", "undescribed", "health", "history", "targets",
]  # fmt: skip
RiskName = Literal["", "emergency", "high", "medium", "low"]
Grouping = Literal[
    "", "platform", "group", "owner", "exposure", "location", "site", "management-group", "machine"
]  # fmt: skip
PAGE, MOST = 100, 500
Thing = Annotated[str, Meta(max_length=64)]


class AboutReport(Input, kw_only=True, frozen=True):
    """Which updates and machines a report is about, and which of its rows are meant."""

    list: Annotated[Thing, Meta(description="Only updates on this list.")] = ""
    search: Annotated[Thing, Meta(description="Only updates that this saved search finds.")] = ""
    query: Annotated[
        str, Meta(max_length=MAX_LENGTH, description="Only updates that answer to this query.")
    ] = ""
    update: Annotated[UUID | None, Meta(description="Only this update, by its id.")] = None
    machines: Annotated[
        str,
        Meta(
            max_length=MAX_LENGTH,
            description="Only machines that answer to this query: `platform = debian-12`.",
        ),
    ] = ""
    machine: Annotated[UUID | None, Meta(description="Only this machine, by its id.")] = None
    collection: Annotated[
        UUID | None, Meta(description="Only machines in this collection, by its id.")
    ] = None
    by: Annotated[Grouping, Meta(description="What machines are put side by side by.")] = ""
    state: Annotated[
        Thing, Meta(description="Only rows in this state; the report says which there are.")
    ] = ""
    doubt: Annotated[Thing, Meta(description="Only machines that are unknown for this reason.")] = (
        ""
    )
    error: Annotated[
        str, Meta(max_length=1024, description="Only machines that met this very error.")
    ] = ""
    risk: Annotated[RiskName, Meta(description="Of targets: only updates of this risk class.")] = ""
    days_back: Annotated[
        Annotated[int, Meta(ge=1, le=LONGEST)] | None,
        Meta(description="Of history: how many days back, today among them; else 90."),
    ] = None
    sort: Annotated[Thing, Meta(description="The column to sort by; a minus turns it round.")] = ""


class AskReport(AboutReport, kw_only=True, frozen=True):
    name: Annotated[ReportName, Meta(description="Which report; `reports list` says which.")]
    page: Annotated[int, Meta(ge=1, le=1_000_000, description="Which page of it.")] = 1
    limit: Annotated[int, Meta(ge=1, le=MOST, description="How many rows a page has.")] = PAGE


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which updates are asked about, in words and as a query; an empty one asks for all."""

    words: str
    query: str = ""
    on: str = ""
    """Only those on this list."""
    is_private: bool = False
    """It is what a search finds that nobody else has."""


@dataclass
class Scope:
    """Within one question to the fleet. What several reports need is made once, when asked for."""

    fleet: Fleet
    live: View
    """In which machines and updates are looked for: the fleet's indexes follow it."""
    asked: AskReport
    chosen: Chosen

    @cached_property
    def view(self) -> View:
        """How things stand: in a stream, at the moment that counts speak of."""
        return self.live.as_counted()

    @cached_property
    def machines(self) -> MachineGround:
        return self.fleet.machines.ground(self.live)

    @cached_property
    def members(self) -> BitMap:
        """The machines that are let in and asked about.

        Raises:
            InvalidQuery
            NotFound: there is no such machine, or no such collection.
        """
        view, asked = self.live, self.asked
        found = self.fleet.collections.answering(view, asked.machines)
        if asked.machine is not None:
            found = found & BitMap([machine_in(view, asked.machine).number])
        if asked.collection is not None:
            found = found & self.fleet.collections.members_of(view, asked.collection)
        return found

    @property
    def has_all_machines(self) -> bool:
        return len(self.members) == len(self.view.active)

    @cached_property
    def updates(self) -> Sequence[KnownUpdate]:
        """The updates that are asked about, in the order of their titles: all are offered.

        Raises:
            InvalidQuery
            NotFound: there is no such update.
        """
        if self.asked.update is not None:
            try:
                return [self.view.update(self.asked.update)]
            except NotFound as error:
                raise NotFound(f"there is no update {self.asked.update}") from error
        index, chosen = self.fleet.updates, self.chosen
        if chosen.on:
            ground = index.ground(self.live)
            found = ground.those(ground.on(chosen.on))
        else:
            found = updates_answering(index, self.live, chosen.query)
        return [update for update in found if not update.is_expired]

    @property
    def has_all_updates(self) -> bool:
        return self.view.are_all(self.updates)

    @cached_property
    def part(self) -> Part:
        return self.view.part(self.members)

    @cached_property
    def doubts(self) -> Mapping[Doubt, BitMap]:
        """Of which members nothing is believed, and why."""
        standings = self.view.standings()
        silent = self.members - self.part.asked
        return _grouped((standings[n].judgement.doubt, n) for n in silent)

    @cached_property
    def counts(self) -> Callable[[Member], Tally]:
        """What says how many of the updates stand how on a machine."""
        if self.has_all_updates:
            standings = dict(self.view.standings())
            return lambda member: standings[member.number].tally
        return self.part.tallies(self.updates)

    @cached_property
    def required(self) -> Callable[[Member], int]:
        """What says how many of the updates a machine requires, to put machines in order."""
        if self.has_all_updates:
            return lambda member: self.counts(member).required
        return self.part.required(self.updates)

    @cached_property
    def classes(self) -> Classes:
        """How the machines stand on the updates together."""
        if self.has_all_updates:
            return self._judged()
        return self.part.classes(self.updates, doubts=self.doubts)

    def _judged(self) -> Classes:
        standings = self.view.standings()
        judged = [(standings[n].judgement, n) for n in self.members]
        found = _grouped((judgement.compliance, n) for judgement, n in judged)
        nobody = BitMap()
        return Classes(
            compliant=found.get(Compliance.COMPLIANT, nobody),
            required=found.get(Compliance.REQUIRED, nobody),
            restart=found.get(Compliance.RESTART, nobody),
            unknown=found.get(Compliance.UNKNOWN, nobody),
            doubts=_grouped((j.doubt, n) for j, n in judged if j.doubt is not Doubt.NONE),
        )

    def counted(self, update: KnownUpdate) -> Counted:
        """Return how many of the machines stand how on the update."""
        told = self.view.counted(update)
        if self.has_all_machines:
            return told
        return Counted(
            update,
            self.part.tally(update),
            self.part.restarting_with(update),
            told.status,
            told.risk,
            told.licence,
        )


def machine_in(view: View, machine: UUID) -> Member:
    """Return the machine that a report is asked about. Raises NotFound."""
    try:
        return view.member(machine)
    except NotFound as error:
        raise NotFound(f"there is no machine {machine}") from error


def _grouped(pairs: Iterable[tuple[K, int]]) -> dict[K, BitMap]:
    found: dict[K, list[int]] = {}
    for key, number in pairs:
        found.setdefault(key, []).append(number)
    return {key: BitMap(numbers) for key, numbers in found.items()}
