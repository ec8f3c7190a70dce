"""A database in memory: only what the administrators' plane touches, and only its promises.

The real storages run the same plane in test_real_storage.py; this one makes the tables of
hundreds of requests cheap, and is where a test can make the database fail.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID

from patchtide.domain.catalog.details import Classification, UpdateDetails
from patchtide.domain.catalog.judged import Acceptance, Judged
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.risk import Rating
from patchtide.domain.catalog.rules import Always, Never, PackageFormat, PackageInstalled
from patchtide.domain.catalog.updates import Origin, Revision, UpdateId, UpdateNumber, update_id
from patchtide.domain.compliance.described import Described
from patchtide.domain.errors import CursorLost
from patchtide.domain.schedules.scanning import ScanRule
from patchtide.server.ports.accounts import LinkUse, Session, SignInLink, User
from patchtide.server.ports.alerts import Alert
from patchtide.server.ports.api_tokens import ApiToken
from patchtide.server.ports.audit import AuditEntry, AuditFlaw, LostDecision
from patchtide.server.ports.catalog import StoredLeaf
from patchtide.server.ports.clients import (
    Client,
    ClientState,
    EnrolmentToken,
    ExpectedClient,
    NewClient,
    Standing,
)
from patchtide.server.ports.fleet import Heard, ReportedEvents, ToldList
from patchtide.server.ports.following import Cursor, DecisionEvent
from patchtide.server.ports.history import StoredDay
from patchtide.server.ports.notifying import ChannelStanding, Outgoing
from patchtide.server.ports.reports import HeldInventory, StateRow
from patchtide.server.ports.security_keys import SecurityKey
from patchtide.server.ports.update_lists import SavedSearch, StoredList
from patchtide.wire.leaves import encode_leaf
from tests.integration.http.memory_calendar import MemoryCalendar
from tests.integration.http.memory_collections import MemoryCollections
from tests.integration.http.memory_facts import NoFactHistory
from tests.integration.http.memory_proposals import MemoryProposals

T = TypeVar("T")
UPDATE = update_id("apt", "debian/openssl")
"""The one update that the catalog holds."""
TERMS = "Be good."
DETAILS = UpdateDetails(
    update=UPDATE, vendor_id="openssl", title="openssl", feed="debian-security", vendor="Debian",
    product="Debian 12", classification=Classification.SECURITY, licence=TERMS, cves=(),
)  # fmt: skip


class MemoryLists:
    """One list, of the one update, and whatever is done to it works."""

    is_in_the_way = True

    def searches(self, owners: Collection[str]) -> Sequence[SavedSearch]:
        return []

    def search(self, name: str, *, owner: str) -> SavedSearch | None:
        # First for what is moved, then for what may be in its way.
        self.is_in_the_way = not self.is_in_the_way
        known = SavedSearch(name=name, query="expired", owner=owner, by="", at=datetime.now(UTC))
        return None if self.is_in_the_way else known

    def searches_with(self, text: str) -> Sequence[SavedSearch]:
        return []

    def count_searches(self, owner: str) -> int:
        return 0

    def count_lists(self) -> int:
        return 1

    def length(self, name: str) -> int:
        return 1

    def rename_list(self, name: str, to: str) -> bool | None:
        return True

    def lists(self, names: Collection[str] | None = None) -> Sequence[StoredList]:
        on = frozenset({UPDATE})
        return [StoredList(name="x", note="", by="", at=datetime.now(UTC), updates=on)]

    def held(self, updates: Collection[UUID]) -> Collection[UUID]:
        return [UPDATE]

    def put_search(self, search: SavedSearch) -> None:
        return None

    def drop_search(self, name: str, *, owner: str) -> bool:
        return True

    def add_list(self, made: StoredList) -> bool:
        return True

    def drop_list(self, name: str) -> bool:
        return True

    def put_on(self, name: str, updates: Sequence[UUID]) -> int | None:
        return len(updates)

    def take_off(self, name: str, updates: Sequence[UUID]) -> int | None:
        return len(updates)


class NoHistory:
    """Nobody has counted yet."""

    def days(self, *, first: date, last: date) -> Sequence[StoredDay]:
        return []

    def pairs(self, part: int, *, first: date, last: date) -> Sequence[tuple[date, bytes]]:
        return []

    def needing(self, block: int, *, first: date, last: date) -> Sequence[tuple[date, bytes]]:
        return []

    def needed_since(self) -> Sequence[tuple[int, bytes]]:
        return []

    def place(self, update: UUID) -> int | None:
        return None

    def newest(self, *, before: date) -> StoredDay | None:
        return None

    def progress(self, day: date) -> bytes | None:
        return None

    def recorded(self) -> Sequence[date]:
        return []

    def places(self) -> Mapping[UUID, int]:
        return {}

    def block(self, block: int, *, first: date, last: date) -> Sequence[tuple[date, bytes]]:
        return []


class MemoryKeys:
    """Nobody has a security key."""

    def of(self, user: str) -> Sequence[SecurityKey]:
        return []

    def counts(self) -> Mapping[str, int]:
        return {}


class MemoryAlerts:
    """One alert is raised, and whoever takes it on may."""

    def alerts(self, *, rule: str = "", limit: int = 100) -> Sequence[Alert]:
        return [Alert(id="0" * 32, rule="x", text="", raised_at=datetime.now(UTC))]

    def raised(self) -> Sequence[Alert]:
        return self.alerts()

    def end(self, rule: str, *, at: datetime) -> bool:
        return True

    def acknowledge(self, rule: str, *, by: str, at: datetime) -> Alert | None:
        return self.alerts()[0]


class MemoryOutbox:
    """Nothing waits: there are no channels."""

    def put(self, messages: Sequence[Outgoing]) -> None:
        assert not messages

    def standings(self) -> Mapping[str, ChannelStanding]:
        return {}


@dataclass
class MemoryStorage:
    """Decisions, Reading and Lookups at once."""

    tokens: dict[str, EnrolmentToken] = field(default_factory=dict)
    api: dict[str, ApiToken] = field(default_factory=dict)
    machines: dict[bytes, Client] = field(default_factory=dict)
    people: dict[str, User] = field(default_factory=dict)
    links: dict[str, SignInLink] = field(default_factory=dict)
    settings: dict[str, bytes] = field(default_factory=dict)
    history: dict[int, bytes] = field(default_factory=dict)
    ratings: dict[UpdateId, Rating] = field(default_factory=dict)
    entries: list[AuditEntry] = field(default_factory=list)
    update_lists: MemoryLists = field(default_factory=MemoryLists)
    fleet_history: NoHistory = field(default_factory=NoHistory)
    alerts: MemoryAlerts = field(default_factory=MemoryAlerts)
    collections: MemoryCollections = field(default_factory=MemoryCollections)
    calendar: MemoryCalendar = field(default_factory=MemoryCalendar)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    fact_history: NoFactHistory = field(default_factory=NoFactHistory)
    proposals: MemoryProposals = field(default_factory=MemoryProposals)
    security_keys: MemoryKeys = field(default_factory=MemoryKeys)
    epochs: int = 0
    breaks: Exception | None = None

    async def decide(
        self, actor: str, operation: str, work: Callable[[Any], T], *, now: datetime
    ) -> T:
        if self.breaks is not None:
            raise self.breaks
        transaction = MemoryTransaction(
            replace(
                self,
                tokens=dict(self.tokens),
                api=dict(self.api),
                machines=dict(self.machines),
                people=dict(self.people),
                links=dict(self.links),
                settings=dict(self.settings),
                proposals=self.proposals.copied(),
            )
        )
        result = work(transaction)
        done = transaction.storage
        self.tokens, self.api, self.machines, self.settings = (
            done.tokens,
            done.api,
            done.machines,
            done.settings,
        )
        self.people, self.links, self.proposals = done.people, done.links, done.proposals
        for subject, detail in transaction.notes:
            self._append(actor, operation, subject, detail, now)
        return result

    def _append(
        self, actor: str, operation: str, subject: str, detail: dict[str, Any], now: datetime
    ) -> None:
        sequence = len(self.entries) + 1
        digest = sha256(f"{sequence} {actor} {operation} {subject}".encode()).digest()
        self.entries.append(
            AuditEntry(
                sequence=sequence,
                change=sequence,
                at=now,
                actor=actor,
                operation=operation,
                subject=subject,
                detail=detail,
                hash=digest,
            )
        )

    def api_token(self, secret_hash: bytes) -> ApiToken | None:
        found = (t for t in self.api.values() if hmac.compare_digest(t.secret_hash, secret_hash))
        return next(found, None)

    def api_tokens(self) -> Sequence[ApiToken]:
        return list(self.api.values())

    def users(self) -> Sequence[User]:
        return list(self.people.values())

    def link(self, secret_hash: bytes) -> tuple[SignInLink, User] | None:
        found = [one for one in self.links.values() if one.secret_hash == secret_hash]
        return (found[0], self.people[found[0].user]) if found else None

    def enrolment_tokens(self, ids: Sequence[str] | None = None) -> Sequence[EnrolmentToken]:
        return [t for t in self.tokens.values() if ids is None or t.id in ids]

    def setting(self, name: str) -> bytes | None:
        return self.settings.get(name)

    def shards(self) -> Sequence[str]:
        return []

    def left_leaves(self, shard: str, updates: Sequence[bytes]) -> Sequence[StoredLeaf]:
        return []

    def synchronisations(self, *, before: int | None = None, limit: int = 50) -> Sequence[bytes]:
        found = sorted((n for n in self.history if before is None or n < before), reverse=True)
        return [self.history[number] for number in found[:limit]]

    def epoch(self) -> Cursor:
        if self.breaks is not None:
            raise self.breaks
        return Cursor(epoch=f"e{self.epochs}", n=len(self.entries))

    def decided_here(self) -> int:
        return len(self.entries)

    def standings(self, uuids: Sequence[bytes]) -> Sequence[Standing]:
        return [one for one in self.standings_after(0, limit=10**6) if one.uuid in uuids]

    def standings_after(self, number: int, *, limit: int) -> Sequence[Standing]:
        found = sorted(
            (c for c in self.machines.values() if c.number > number), key=lambda c: c.number
        )
        return [
            Standing(
                number=c.number, uuid=c.uuid, public_key=c.public_key, state=c.state, counter=0
            )
            for c in found[:limit]
        ]

    def clients(
        self, *, after: int = 0, limit: int = 100, search: str = "", state: str = ""
    ) -> Sequence[Client]:
        found = [
            c
            for c in sorted(self.machines.values(), key=lambda c: c.number)
            if c.number > after and search in c.name and state in ("", c.state.value)
        ]
        return found[:limit]

    def states(self, *, after: int = 0, limit: int = 1000) -> Sequence[StateRow]:
        return []

    def decided(
        self, cursor: Cursor, *, limit: int = 1000
    ) -> tuple[Cursor, Sequence[DecisionEvent]]:
        """Some decisions of tests note nothing, so whoever follows starts anew each time."""
        raise CursorLost

    def leaves(self, shard: str, *, at: int, after: int = 0) -> Sequence[StoredLeaf]:
        leaf = Leaf(
            number=UpdateNumber(1),
            revision=Revision(1),
            update=UPDATE,
            title="openssl 3.0.15-1",
            prerequisite=Always(),
            applicable=PackageInstalled(PackageFormat.DEB, "openssl"),
            installed=Never(),
            origin=Origin("feed:debian-security"),
        )
        return [
            StoredLeaf(
                number=1,
                revision=1,
                update=UPDATE.bytes,
                document=encode_leaf(leaf).body,
                entered_serial=1,
            )
        ]

    def leaves_of(self, update: UUID) -> Sequence[StoredLeaf]:
        return self.leaves("debian-12", at=1)

    def scan_rule(self) -> ScanRule:
        return ScanRule()

    def judged(self) -> Judged:
        return Judged(ratings=dict(self.ratings))

    def listed_updates(self) -> Sequence[UpdateDetails]:
        return [DETAILS]

    def update_details(self, updates: Sequence[UUID] | None = None) -> Sequence[UpdateDetails]:
        return []

    def clients_of(self, uuids: Sequence[bytes]) -> Sequence[Client]:
        return [client for client in self.machines.values() if client.uuid in uuids]

    def heard(self, clients: Sequence[int]) -> Mapping[int, Heard]:
        return {}

    def heard_after(self, since: float) -> Mapping[int, Heard]:
        return {}

    def inventory(self, client: int, kind: str) -> bytes | None:
        return None

    def leaves_numbered(self, shard: str, numbers: Sequence[int]) -> Sequence[StoredLeaf]:
        return [leaf for leaf in self.leaves(shard, at=1) if leaf.number in numbers]

    def inventories(self, clients: Sequence[int], kind: str) -> Mapping[int, bytes]:
        return {}

    def inventory_of(self, client: int) -> Sequence[HeldInventory]:
        return []

    def inventory_holders(
        self, kind: str, *, after: int = 0, limit: int = 5000
    ) -> Sequence[tuple[int, bytes]]:
        return []

    def inventories_after(self, cursor: Cursor) -> tuple[Cursor, Sequence[ToldList]]:
        return cursor, []

    def inventory_bodies(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return {}

    def recent_events(self, client: int, *, limit: int = 50) -> Sequence[ReportedEvents]:
        return []

    def audit_of(
        self, subject: str, *, limit: int = 50, operations: Collection[str] = ()
    ) -> Sequence[AuditEntry]:
        return [entry for entry in reversed(self.entries) if entry.subject == subject][:limit]

    def newest_audit(self, *, limit: int = 10) -> Sequence[AuditEntry]:
        return self.entries[: -limit - 1 : -1]

    def audit(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditEntry]:
        return self.entries[after : after + limit]

    def verify_audit(self) -> AuditFlaw | None:
        return None

    def lost_decisions(self, segments: Iterable[bytes]) -> Sequence[LostDecision]:
        assert not list(segments)
        return []


@dataclass
class MemoryTransaction:
    storage: MemoryStorage
    notes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def update_lists(self) -> MemoryLists:
        return self.storage.update_lists

    @property
    def alerts(self) -> MemoryAlerts:
        return self.storage.alerts

    @property
    def collections(self) -> MemoryCollections:
        return self.storage.collections

    @property
    def calendar(self) -> MemoryCalendar:
        return self.storage.calendar

    @property
    def outbox(self) -> MemoryOutbox:
        return self.storage.outbox

    @property
    def proposals(self) -> MemoryProposals:
        return self.storage.proposals

    @property
    def noted(self) -> Sequence[tuple[str, dict[str, Any]]]:
        return list(self.notes)

    def remark(self, **detail: str) -> None:
        self.notes = [(subject, {**said, **detail}) for subject, said in self.notes]

    def accept_licence(self, digest: bytes, accepted: Acceptance) -> bool:
        return True

    def rate_update(self, update: UUID, rating: Rating | None) -> None:
        self.storage.ratings[UpdateId(update)] = rating or Rating()

    def put_synchronisation(self, number: int, *, at: float, document: bytes) -> None:
        self.storage.history[number] = document

    def add_enrolment_token(self, token: EnrolmentToken) -> None:
        self.storage.tokens[token.id] = token

    def drop_enrolment_token(self, token_id: str) -> bool:
        return self.storage.tokens.pop(token_id, None) is not None

    def add_client(self, client: NewClient, *, now: datetime) -> Client:
        added = Client(
            number=len(self.storage.machines) + 1,
            enrolled_at=now,
            **{name: getattr(client, name) for name in NewClient.__dataclass_fields__},
        )
        self.storage.machines[added.uuid] = added
        return added

    def client(self, uuid: bytes) -> Client | None:
        return self.storage.machines.get(uuid)

    def clients_like(self, *, public_key: bytes, machine: bytes) -> Sequence[Client]:
        return [
            one
            for one in self.storage.machines.values()
            if one.state is not ClientState.EXPECTED
            and (one.public_key == public_key or one.machine == machine)
        ]

    def clients(self, uuids: Sequence[bytes]) -> Sequence[Client]:
        return self.storage.clients_of(uuids)

    def clients_named(self, names: Collection[str]) -> Sequence[Client]:
        return [c for c in self.storage.machines.values() if c.name in names]

    def expect_clients(
        self, expected: Sequence[ExpectedClient], *, site: str, now: datetime
    ) -> Sequence[Client]:
        return []

    def clients_scheduled(self, collection: UUID) -> int:
        known = self.storage.machines.values()
        return sum(one.described.schedule == collection for one in known)

    def describe_clients(self, said: Mapping[int, Described]) -> None:
        for known in list(self.storage.machines.values()):
            if known.number in said:
                now = replace(known, described=said[known.number])
                self.storage.machines[known.uuid] = now

    def set_client_state(self, uuids: Sequence[bytes], state: ClientState) -> int:
        changed = 0
        for uuid in uuids:
            client = self.storage.machines[uuid]
            if client.state not in (state, ClientState.DECOMMISSIONED):
                self.storage.machines[uuid] = replace(client, state=state)
                changed += 1
        return changed

    def begin_build(self, uuids: Sequence[bytes], *, until: int) -> None:
        for uuid in uuids:
            now = replace(self.storage.machines[uuid], build_until=until)
            self.storage.machines[uuid] = now

    def set_platforms(self, told: Mapping[bytes, str]) -> None:
        for uuid, platform in told.items():
            self.storage.machines[uuid] = replace(self.storage.machines[uuid], platform=platform)

    def end_build(self, uuids: Sequence[bytes]) -> Sequence[bytes]:
        ended = [uuid for uuid in uuids if self.storage.machines[uuid].build_until]
        for uuid in ended:
            self.storage.machines[uuid] = replace(self.storage.machines[uuid], build_until=0)
        return ended

    def ask_scan(self, uuids: Sequence[bytes], *, now: datetime) -> int:
        for uuid in uuids:
            wanted = replace(self.storage.machines[uuid], scan_wanted=int(now.timestamp()))
            self.storage.machines[uuid] = wanted
        return len(uuids)

    def ask_full_report(self, uuids: Sequence[bytes]) -> int:
        for uuid in uuids:
            client = self.storage.machines[uuid]
            self.storage.machines[uuid] = replace(client, full_report=True)
        return len(uuids)

    def add_api_token(self, token: ApiToken) -> None:
        self.storage.api[token.id] = token

    def revoke_api_token(self, token_id: str, *, now: datetime) -> bool:
        token = self.storage.api.get(token_id)
        if token is None or token.revoked_at is not None:
            return False
        self.storage.api[token_id] = replace(token, revoked_at=now)
        return True

    def lock_api_token(self, token_id: str) -> ApiToken | None:
        return next((t for t in self.lock_api_tokens() if t.id == token_id), None)

    def lock_api_tokens(self) -> Sequence[ApiToken]:
        return [token for token in self.storage.api.values() if token.revoked_at is None]

    def api_token_makers(self) -> Mapping[str, str]:
        return {token.id: token.created_by for token in self.storage.api.values()}

    def add_user(self, user: User) -> None:
        self.storage.people[user.id] = user

    def lock_user(self, user_id: str) -> User | None:
        return self.storage.people.get(user_id)

    def lock_users(self) -> Sequence[User]:
        return [user for user in self.storage.people.values() if user.disabled_at is None]

    def disabled_users(self) -> Sequence[User]:
        return [user for user in self.storage.people.values() if user.disabled_at is not None]

    def count_users(self) -> int:
        return len(self.storage.people)

    def disable_user(self, user_id: str, *, at: datetime | None) -> bool:
        user = self.storage.people[user_id]
        if (user.disabled_at is None) is (at is None):
            return False
        self.storage.people[user_id] = replace(user, disabled_at=at)
        return True

    def end_sessions(self, user_id: str, *, but: bytes = b"") -> int:
        return 0

    def set_rights(self, user_id: str, rights: Sequence[str]) -> None:
        self.storage.people[user_id] = replace(self.storage.people[user_id], rights=tuple(rights))

    def take_link(self, secret_hash: bytes, *, use: LinkUse, now: datetime) -> str | None:
        found = self.storage.link(secret_hash)
        if found is None or found[0].use is not use or now >= found[0].expires_at:
            return None
        return self.storage.links.pop(found[0].user).user

    def add_session(self, session: Session) -> None:
        """Who asks is told to the tests' servers, not found out."""

    def set_password(self, user_id: str, password_hash: str) -> None:
        was = self.storage.people[user_id]
        self.storage.people[user_id] = replace(was, password_hash=password_hash)

    def set_let_in_by(self, user_id: str, by: str) -> None:
        self.storage.people[user_id] = replace(self.storage.people[user_id], let_in_by=by)

    def drop_short_lived(self) -> None:
        self.storage.links.clear()
        self.storage.tokens.clear()

    def drop_links(self, user_id: str) -> None:
        self.storage.links.pop(user_id, None)

    def put_link(self, link: SignInLink) -> None:
        self.storage.links[link.user] = link

    def count_api_tokens(self) -> int:
        return len(self.storage.api)

    def setting(self, name: str) -> bytes | None:
        return self.storage.settings.get(name)

    def lock_setting(self, name: str) -> bytes | None:
        return self.setting(name)

    def put_setting(self, name: str, value: bytes) -> None:
        self.storage.settings[name] = value

    def begin_epoch(self, *, numbers_above: int) -> None:
        del numbers_above
        self.storage.epochs += 1

    def note(self, subject: str, **detail: str | int | bool | None) -> None:
        self.notes.append((subject, detail))
