"""S15: nothing is enacted without enough distinct people who are not its author, for that content.

What the server does is held against a model that knows no hashes: it remembers what each proposal
would have changed as it was then, who agreed, and asks for all of it when something is enacted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from patchtide.adapters.storage import Storage
from patchtide.domain.access.principals import SessionHolder, TokenHolder
from patchtide.domain.access.proposals import Rule
from patchtide.domain.access.rights import KEEPING, holds
from patchtide.domain.errors import PatchtideError
from patchtide.server.authentication import known_rights
from patchtide.server.four_eyes import FOUR_EYES, Proposed
from patchtide.server.operations import OPERATIONS
from patchtide.server.ports.decisions import Transaction
from patchtide.server.role_book import held_by
from patchtide.server.table import perform
from patchtide.server.users import new_user
from tests.integration.http.memory_storage import MemoryStorage
from tests.integration.http.plane import AdministratorsPlane
from tests.simulator.clock import START, FakeClock
from tests.simulator.databases import sqlite_url

_EXAMPLES = count()
NAMES = ("maria", "tom", "eve", "target")
ROLES = ("auditor", "deployer", "full-administrator")
DELAY, LASTS, SHUT_OUT = timedelta(hours=24), timedelta(hours=168), timedelta(days=7)
people = st.sampled_from(NAMES[:3])
which = st.integers(0, 5)


@dataclass
class Wanted:
    """A proposal, as the model knows it."""

    id: str
    author: str
    role: str
    at: datetime
    of: tuple[str, ...]
    """What the target was handed then."""
    agreed: set[str] = field(default_factory=set)
    is_over: bool = False


class ProposalLaws(RuleBasedStateMachine):
    """Three administrators, and one person whose role they change only together."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        # One database has seen all examples before: each begins later than the one before.
        self.clock = FakeClock(START + timedelta(days=40 * next(_EXAMPLES)))
        self.storage: Any = self.opened()
        self.plane = AdministratorsPlane(storage=self.storage, clock=self.clock)
        self.ids: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.wanted: list[Wanted] = []
        self.shut_out: dict[str, datetime] = {}
        self.approvers = 1

    def opened(self) -> Any:
        return MemoryStorage()

    def teardown(self) -> None:
        self.loop.close()

    def decide(self, work: Any) -> Any:
        return self.loop.run_until_complete(
            self.storage.decide("test", "test", work, now=self.clock.now())
        )

    @initialize(approvers=st.integers(1, 2))
    def begin(self, approvers: int) -> None:
        self.approvers = approvers
        self.decide(self.shut_out_who_was_before)
        self.clock.advance(days=8)
        for name in NAMES:
            user = new_user(
                name + str(self.clock.now().timestamp()), rights=[f"role:{ROLES[2]}"],
                password_hash="x", now=self.clock.now(), by="test",
            )  # fmt: skip
            self.ids[name] = user.id
            self.decide(lambda tx, user=user: tx.add_user(user))
        # Nobody but the three could agree: the target has no right that it needs.
        self.decide(lambda tx: tx.set_rights(self.ids["target"], ["role:auditor"]))
        kept = Rule(is_on=True, approvers=approvers)
        self.decide(lambda tx: tx.put_setting(FOUR_EYES, msgspec.msgpack.encode(kept)))

    def shut_out_who_was_before(self, tx: Transaction) -> None:
        for user in tx.lock_users():
            tx.disable_user(user.id, at=self.clock.now())

    def user(self, name: str) -> Any:
        return next(u for u in self.storage.users() if u.id == self.ids[name])

    def rights(self, name: str) -> frozenset[Any]:
        return held_by(self.user(name).rights, self.storage.setting)

    def may_decide(self, name: str) -> bool:
        return self.user(name).is_able and holds(self.rights(name), KEEPING)

    def ask(self, by: str, operation: str, *, token: bool = False, **said: Any) -> Any:
        """Ask as a person, or with her token, as they are let in now."""
        person = SessionHolder(
            user_id=self.ids[by], name=by, rights=self.rights(by), proved_at=self.clock.now()
        )
        principal: Any = person
        if token:
            principal = TokenHolder(
                token_id=self.tokens[by], name=by, rights=known_rights(["machines.read"]),
                expires_at=None,
            )  # fmt: skip
        declared = OPERATIONS[operation]
        asked = msgspec.convert(said, declared.input)
        if not self.user(by).is_able:
            return None
        coming = perform(self.plane.context, declared, principal=principal, asked=asked)
        try:
            return self.loop.run_until_complete(coming)
        except (PatchtideError, Proposed) as outcome:
            return outcome

    def one(self, number: int) -> Wanted | None:
        return self.wanted[number % len(self.wanted)] if self.wanted else None

    @rule(by=people, role=st.sampled_from(ROLES))
    def propose(self, by: str, role: str) -> None:
        outcome = self.ask(by, "users.role", user=self.ids["target"], role=role)
        assert (outcome is None and not self.user(by).is_able) or isinstance(outcome, Exception)
        if isinstance(outcome, Proposed) and outcome.proposal.id not in {w.id for w in self.wanted}:
            self.wanted.append(
                Wanted(outcome.proposal.id, by, role, self.clock.now(), self.user("target").rights)
            )

    @rule(by=people)
    def approve(self, by: str) -> None:
        for wanted in self.wanted:
            outcome = self.ask(by, "proposals.approve", proposal=wanted.id)
            if outcome is not None and not isinstance(outcome, Exception):
                assert by != wanted.author and not wanted.is_over
                wanted.agreed.add(by)

    @rule(by=people, number=which, how=st.sampled_from(["reject", "withdraw"]))
    def end(self, by: str, number: int, how: str) -> None:
        if wanted := self.one(number):
            was_able = self.user(by).is_able
            if self.ask(by, f"proposals.{how}", proposal=wanted.id) is None and was_able:
                assert (by == wanted.author) is (how == "withdraw")
                wanted.is_over = True

    @rule(others=people)
    def enact(self, others: str) -> None:
        for wanted in self.wanted:
            for by in (others, wanted.author):
                before, could = self.user("target").rights, self.could(wanted.author)
                outcome = self.ask(by, "proposals.enact", proposal=wanted.id)
                if outcome is not None and not isinstance(outcome, Exception):
                    self.check_enacted(wanted, by, before, *could)

    def could(self, author: str) -> tuple[set[str], set[str]]:
        """Return who else could agree now, and who could until lately."""
        others = {n for n in NAMES if n != author and holds(self.rights(n), KEEPING)}
        now = self.clock.now()
        lately = {n for n, at in self.shut_out.items() if now - at < SHUT_OUT}
        return {n for n in others if self.may_decide(n)}, others & lately

    def check_enacted(
        self, wanted: Wanted, by: str, before: tuple[str, ...], others: set[str], lately: set[str]
    ) -> None:
        now = self.clock.now()
        assert by == wanted.author and self.may_decide(by)
        assert not wanted.is_over and now < wanted.at + LASTS
        assert before == wanted.of, "it was changed since people agreed to it"
        if others | lately:
            assert len(wanted.agreed & others) >= min(self.approvers, len(others | lately))
        else:
            assert now >= wanted.at + DELAY
        assert self.user("target").rights == (f"role:{wanted.role}",)
        wanted.is_over = True

    @rule(role=st.sampled_from(ROLES), is_rare=st.integers(0, 3))
    def somebody_else_changes_it(self, role: str, is_rare: int) -> None:
        if not is_rare:
            self.decide(lambda tx: tx.set_rights(self.ids["target"], [f"role:{role}"]))

    @rule(name=people, role=st.sampled_from(["deployer", *["full-administrator"] * 3]))
    def roles_change(self, name: str, role: str) -> None:
        self.decide(lambda tx: tx.set_rights(self.ids[name], [f"role:{role}"]))

    @rule(name=people, is_rare=st.integers(0, 2))
    def shut_somebody_out(self, name: str, is_rare: int) -> None:
        at = self.clock.now()
        if not is_rare and self.decide(lambda tx: tx.disable_user(self.ids[name], at=at)):
            self.shut_out[name] = at

    @rule(name=people)
    def let_somebody_in(self, name: str) -> None:
        self.decide(lambda tx: tx.disable_user(self.ids[name], at=None))
        self.shut_out.pop(name, None)

    @rule(hours=st.sampled_from([1, 1, 2, 25, 100]))
    def time_goes_by(self, hours: int) -> None:
        self.clock.advance(hours=hours)


_opened: list[tuple[TemporaryDirectory[str], Storage]] = []


class StoredProposalLaws(ProposalLaws):
    """The same over a database, which is one for all examples."""

    def opened(self) -> Any:
        if not _opened:
            folder = TemporaryDirectory()
            _opened.append((folder, Storage.open(sqlite_url(Path(folder.name) / "patchtide.db"))))
        return _opened[0][1]


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    for folder, storage in _opened:
        asyncio.run(storage.close())
        folder.cleanup()
    _opened.clear()


TestProposalsInMemory = ProposalLaws.TestCase
TestProposalsInMemory.settings = settings(
    max_examples=120, stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow]
)
TestProposalsInSqlite = StoredProposalLaws.TestCase
TestProposalsInSqlite.settings = settings(
    max_examples=15, stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow]
)
