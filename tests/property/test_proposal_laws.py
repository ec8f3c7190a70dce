"""S15: nothing is enacted without enough distinct people who are not its author, for that content.

What the server does is held against a model that knows no hashes: it remembers what each proposal
would have changed as it was then, who agreed, and asks for all of it when something is enacted.

It knows as well who sits at each account, which no server can: a link is opened by whoever is meant
or by whoever it was shown to, and people vouch only for who is there. People are counted as hands.
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
from patchtide.domain.access.principals import Anonymous, SessionHolder, TokenHolder
from patchtide.domain.access.proposals import Rule
from patchtide.domain.access.rights import KEEPING, holds
from patchtide.domain.errors import PatchtideError
from patchtide.server.authentication import known_rights
from patchtide.server.four_eyes import FOUR_EYES, Proposed
from patchtide.server.operations import OPERATIONS
from patchtide.server.ports.decisions import Transaction
from patchtide.server.role_book import held_by
from patchtide.server.sessions import Welcome
from patchtide.server.table import perform
from patchtide.server.users import new_user
from tests.integration.http.memory_storage import MemoryStorage
from tests.integration.http.plane import AdministratorsPlane
from tests.simulator.clock import START, FakeClock
from tests.simulator.databases import sqlite_url

_EXAMPLES = count()
NAMES = ("maria", "tom", "eve")
MOST = 6
ROLES = ("auditor", "deployer", "full-administrator")
DELAY, LASTS, SHUT_OUT = timedelta(hours=24), timedelta(hours=168), timedelta(days=7)
people = st.integers(0, MOST - 1)
which = st.integers(0, 5)


@dataclass
class Wanted:
    """A proposal, as the model knows it."""

    id: str
    author: str
    hand: str
    """Who sat at the author's account."""
    at: datetime
    of: tuple[str, ...]
    """What the target was handed then."""
    role: str = ""
    person: str = ""
    """Whom it is to let in."""
    vouches_for: str = ""
    agreed: dict[str, str] = field(default_factory=dict)
    """The accounts that agreed, and who sat there."""
    is_over: bool = False


class ProposalLaws(RuleBasedStateMachine):
    """Three administrators, others whom they let in, and one whose role they change together."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        # One database has seen all examples before: each begins later than the one before.
        self.clock = FakeClock(START + timedelta(days=40 * next(_EXAMPLES)))
        self.storage: Any = self.opened()
        self.plane = AdministratorsPlane(storage=self.storage, clock=self.clock)
        self.ids: dict[str, str] = {}
        self.hands = {name: name for name in NAMES}
        """Who sits at which account."""
        self.unknown: set[str] = set()
        """Accounts that others let in, and nobody vouched for since."""
        self.links: dict[str, tuple[str, str, str]] = {}
        """Of an account: the code, to which account it was shown, and who sat there."""
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
        for name in (*NAMES, "target"):
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

    def named(self, number: int) -> str:
        return list(self.hands)[number % len(self.hands)]

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

    def propose(self, by: str, operation: str, asked: dict[str, str], **wanted: str) -> None:
        outcome = self.ask(by, operation, **asked)
        assert (outcome is None and not self.user(by).is_able) or isinstance(outcome, Exception)
        if isinstance(outcome, Proposed) and outcome.proposal.id not in {w.id for w in self.wanted}:
            of = self.user("target").rights
            made = Wanted(outcome.proposal.id, by, self.hands[by], self.clock.now(), of, **wanted)
            self.wanted.append(made)

    @rule(by=people, role=st.sampled_from(ROLES))
    def propose_a_role(self, by: int, role: str) -> None:
        asked = {"user": self.ids["target"], "role": role}
        self.propose(self.named(by), "users.role", asked, role=role)

    @rule(by=people)
    def propose_somebody_new(self, by: int) -> None:
        if len(self.hands) < MOST:
            name = f"new-{len(self.wanted)}-{self.clock.now().timestamp()}"
            asked = {"name": name, "role": ROLES[2]}
            self.propose(self.named(by), "users.create", asked, person=name)

    @rule(by=people, whom=people)
    def propose_a_link(self, by: int, whom: int) -> None:
        person = self.named(whom)
        self.propose(self.named(by), "users.link", {"user": self.ids[person]}, person=person)

    @rule(by=people, whom=people)
    def propose_to_vouch(self, by: int, whom: int) -> None:
        person, asking = self.named(whom), self.named(by)
        if self.says(asking, vouches_for=person):
            asked = {"user": self.ids[person]}
            self.propose(asking, "users.vouch", asked, vouches_for=person)

    def says(self, by: str, *, vouches_for: str) -> bool:
        """Nobody says of another one what is not so; of oneself, one says anything."""
        return self.hands.get(vouches_for, "") in (vouches_for, self.hands[by])

    @rule(by=people)
    def approve(self, by: int) -> None:
        for wanted in self.wanted:
            self.approve_one(self.named(by), wanted)

    def approve_one(self, by: str, wanted: Wanted) -> None:
        if not self.says(by, vouches_for=wanted.vouches_for):
            return
        outcome = self.ask(by, "proposals.approve", proposal=wanted.id)
        if outcome is not None and not isinstance(outcome, Exception):
            assert by != wanted.author and by not in self.unknown and not wanted.is_over
            wanted.agreed[by] = self.hands[by]

    @rule(
        by=people, whom=st.none() | people, is_for_oneself=st.booleans(), is_vouched=st.booleans()
    )
    def together_they_let_somebody_in(
        self, by: int, whom: int | None, is_for_oneself: bool, is_vouched: bool
    ) -> None:
        if whom is None:
            self.propose_somebody_new(by)
        else:
            self.propose_a_link(by, whom)
        self.all_agree()
        self.links_are_opened(is_for_oneself)
        for person in self.unknown if is_vouched else ():
            self.propose_to_vouch(by, list(self.hands).index(person))
        self.all_agree()

    def all_agree(self) -> None:
        for by in self.hands:
            for wanted in self.wanted:
                self.approve_one(by, wanted)
        self.enact(0)

    @rule(number=people, role=st.sampled_from(ROLES))
    def one_does_alone_what_she_can(self, number: int, role: str) -> None:
        """Whoever sits there asks, and agrees to it from wherever else she sits."""
        hand = self.hands[self.named(number)]
        accounts = [one for one, sitting in self.hands.items() if sitting == hand]
        self.propose_a_role(number, role)
        for account in accounts:
            for wanted in self.wanted:
                self.approve_one(account, wanted)
        self.enact(number)

    @rule(is_for_oneself=st.booleans())
    def links_are_opened(self, is_for_oneself: bool) -> None:
        for person, (code, account, hand) in self.links.items():
            asked = Welcome(code=code, password="four words of somebody", peer="192.0.2.1")
            coming = perform(
                self.plane.context, OPERATIONS["sessions.welcome"], principal=Anonymous(),
                asked=asked,
            )  # fmt: skip
            try:
                self.loop.run_until_complete(coming)
            except PatchtideError:
                continue
            self.hands[person] = hand if is_for_oneself else person
            if account != person:
                self.unknown.add(person)
        self.links.clear()

    @rule(number=people, which_one=which, how=st.sampled_from(["reject", "withdraw"]))
    def end(self, number: int, which_one: int, how: str) -> None:
        by = self.named(number)
        if wanted := self.one(which_one):
            was_able = self.user(by).is_able
            if self.ask(by, f"proposals.{how}", proposal=wanted.id) is None and was_able:
                assert (by == wanted.author) is (how == "withdraw")
                wanted.is_over = True

    @rule(others=people)
    def enact(self, others: int) -> None:
        for wanted in self.wanted:
            for by in (self.named(others), wanted.author):
                before, could = self.user("target").rights, self.could(wanted)
                outcome = self.ask(by, "proposals.enact", proposal=wanted.id)
                if outcome is not None and not isinstance(outcome, Exception):
                    self.check_enacted(wanted, by, before, *could)
                    self.follow(wanted, by, outcome.answer)

    def could(self, wanted: Wanted) -> tuple[set[str], set[str]]:
        """Return which accounts of others could agree now, and which could until lately."""
        known = self.hands.keys() - self.unknown - {wanted.author}
        others = {
            n for n in known if self.hands[n] != wanted.hand and holds(self.rights(n), KEEPING)
        }
        now = self.clock.now()
        lately = {n for n, at in self.shut_out.items() if now - at < SHUT_OUT}
        return {n for n in others if self.may_decide(n)}, others & lately

    def check_enacted(
        self, wanted: Wanted, by: str, before: tuple[str, ...], others: set[str], lately: set[str]
    ) -> None:
        now = self.clock.now()
        assert by == wanted.author and self.may_decide(by)
        assert not wanted.is_over and now < wanted.at + LASTS
        hands = {self.hands[one] for one in others | lately}
        assert len(hands) == len(others | lately), "who is known is nobody else"
        if hands:
            agreed = {hand for one, hand in wanted.agreed.items() if self.may_decide(one)}
            assert len(agreed - {wanted.hand}) >= min(self.approvers, len(hands))
            assert self.hands.get(wanted.vouches_for, "") == wanted.vouches_for
        else:
            assert now >= wanted.at + DELAY
        wanted.is_over = True
        if wanted.role:
            assert before == wanted.of, "it was changed since people agreed to it"
            assert self.user("target").rights == (f"role:{wanted.role}",)

    def follow(self, wanted: Wanted, by: str, answer: dict[str, Any]) -> None:
        """Note what was shown to whom, and who is known by now."""
        if wanted.person:
            self.ids[wanted.person] = answer["id"]
            self.hands.setdefault(wanted.person, wanted.person)
            self.links[wanted.person] = answer["link"].partition("#")[2], by, self.hands[by]
        if whom := wanted.vouches_for:
            self.unknown.discard(whom)
            self.hands[whom] = whom  # where one is alone, time stood for who would have looked

    @rule(role=st.sampled_from(ROLES), is_rare=st.integers(0, 3))
    def somebody_else_changes_it(self, role: str, is_rare: int) -> None:
        if not is_rare:
            self.decide(lambda tx: tx.set_rights(self.ids["target"], [f"role:{role}"]))

    @rule(number=people, role=st.sampled_from(["deployer", *["full-administrator"] * 3]))
    def roles_change(self, number: int, role: str) -> None:
        name = self.named(number)
        self.decide(lambda tx: tx.set_rights(self.ids[name], [f"role:{role}"]))

    @rule(number=people, is_rare=st.integers(0, 2))
    def shut_somebody_out(self, number: int, is_rare: int) -> None:
        name, at = self.named(number), self.clock.now()
        if not is_rare and self.decide(lambda tx: tx.disable_user(self.ids[name], at=at)):
            self.shut_out[name] = at

    @rule(number=people)
    def let_somebody_in(self, number: int) -> None:
        name = self.named(number)
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
    max_examples=60, stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow]
)
TestProposalsInSqlite = StoredProposalLaws.TestCase
TestProposalsInSqlite.settings = settings(
    max_examples=10, stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow]
)
