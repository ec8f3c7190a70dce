"""The law of reports: whatever comes in whatever order, the database is as a plain model says."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchtide.adapters.storage import Storage
from patchtide.server.ports.following import Cursor
from patchtide.server.ports.reports import IncomingReport, Outcome
from patchtide.wire.sets import decode_set
from tests.simulator.databases import Postgres, sqlite_url
from tests.simulator.reports import a_report, digest_of, enrolled

CLIENTS = 3
numbers = st.sets(st.integers(0, 300), max_size=6)


@dataclass
class Model:
    """One client: what it holds, as dicts and sets."""

    counter: int = 0
    required: set[int] = field(default_factory=set)
    installed: set[int] = field(default_factory=set)
    reported: bool = False

    @property
    def digest(self) -> bytes:
        return digest_of(self.required, self.installed) if self.reported else b""

    def take(self, said: Said, report: IncomingReport) -> Outcome:
        if report.counter <= self.counter:
            same = report.counter == self.counter and report.digest == self.digest
            return Outcome.REPEATED if same else Outcome.STALE_COUNTER
        if report.base is not None:
            if not self.reported or report.base != self.digest:
                return Outcome.NEED_FULL
            required, installed = said.applied_to(self)
            if report.digest != digest_of(required, installed):
                return Outcome.NEED_FULL
            self.required, self.installed = required, installed
        else:
            self.required, self.installed = set(said.required), set(said.installed)
        self.counter, self.reported = report.counter, True
        return Outcome.ACCEPTED


@dataclass(frozen=True)
class Said:
    """What a client means to report; `lies` gives a difference a wrong base."""

    client: int
    step: int
    required: frozenset[int]
    installed: frozenset[int]
    gone: frozenset[int]
    is_full: bool
    lies: bool

    def applied_to(self, model: Model) -> tuple[set[int], set[int]]:
        leaving = self.required | self.installed | self.gone
        return (
            model.required - leaving | self.required,
            model.installed - leaving | self.installed,
        )

    def report(self, model: Model, number: int) -> IncomingReport:
        counter = max(model.counter + self.step, 0)
        required, installed = set(self.required), set(self.installed)
        if self.is_full:
            return a_report(number, counter, required=required, installed=installed)
        base = bytes(32) if self.lies else model.digest
        return a_report(
            number,
            counter,
            required=required,
            installed=installed,
            gone=self.gone,
            base=base,
            digest=digest_of(*self.applied_to(model)),
        )


@st.composite
def sayings(draw: st.DrawFn) -> Said:
    required = draw(numbers)
    installed = draw(numbers) - required
    return Said(
        client=draw(st.integers(0, CLIENTS - 1)),
        step=draw(st.sampled_from([1, 1, 1, 2, 0, -1])),
        required=frozenset(required),
        installed=frozenset(installed),
        gone=frozenset(draw(numbers)),
        is_full=draw(st.booleans()),
        lies=draw(st.sampled_from([False, False, False, True])),
    )


histories = st.lists(st.lists(sayings(), min_size=1, max_size=6), min_size=1, max_size=6)


Lent = Callable[[], AbstractContextManager[str]]


@contextmanager
def in_a_file() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield sqlite_url(Path(folder) / "patchtide.db")


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database(request: pytest.FixtureRequest) -> Lent:
    """One for each example that is tried."""
    if request.param == "sqlite":
        return in_a_file
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.lent


def test_the_stored_states_are_the_models(empty_database: Lent) -> None:
    @settings(max_examples=8)
    @given(histories)
    def law(history: list[list[Said]]) -> None:
        with empty_database() as url:
            asyncio.run(play(url, history))

    law()


async def play(url: str, history: list[list[Said]]) -> None:
    storage = Storage.open(url)
    clients = [client.number for client in await enrolled(storage, CLIENTS)]
    start = storage.epoch()
    models = [Model() for _ in clients]
    for batch in history:
        reports, expected = [], []
        for said in batch:
            report = said.report(models[said.client], clients[said.client])
            reports.append(report)
            expected.append(models[said.client].take(said, report))
        answers = await storage.accept(reports, now=1.0)
        assert [answer.outcome for answer in answers] == expected
    check(storage, start, dict(zip(clients, models, strict=True)))
    await storage.close()


def check(storage: Storage, start: Cursor, models: dict[int, Model]) -> None:
    """Rows, and what a follower makes of the deltas, are both what the model says."""
    rows = {row.client: row for row in storage.states()}
    followed: dict[int, set[int]] = {number: set() for number in models}
    for delta in storage.deltas(start)[1]:
        followed[delta.client] -= set(decode_set(delta.required_removed))
        followed[delta.client] |= set(decode_set(delta.required_added))
    for number, model in models.items():
        assert followed[number] == model.required
        if not model.reported:
            assert number not in rows
            continue
        assert rows[number].counter == model.counter
        assert decode_set(rows[number].required) == sorted(model.required)
        assert decode_set(rows[number].installed) == sorted(model.installed)
        assert rows[number].digest == model.digest
