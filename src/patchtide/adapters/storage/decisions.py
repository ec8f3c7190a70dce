"""One decision, one transaction: what it changes, its log events and its audit entries."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection, Select, case, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from patchtide.adapters.storage import (
    accounts,
    audit_chain,
    blocks,
    catalog,
    described,
    fleet,
    new_clients,
    reading,
    ticket,
    update_rows,
)
from patchtide.adapters.storage.alerts import AlertWrites
from patchtide.adapters.storage.api_tokens import ApiTokenWrites
from patchtide.adapters.storage.calendar import CalendarWrites
from patchtide.adapters.storage.collections import CollectionWrites
from patchtide.adapters.storage.history import HistoryWrites
from patchtide.adapters.storage.outbox import OutboxWrites
from patchtide.adapters.storage.proposals import ProposalWrites
from patchtide.adapters.storage.rows import client_of, enrolment_token_of
from patchtide.adapters.storage.security_keys import KeyWrites
from patchtide.adapters.storage.tables import (
    client,
    client_state,
    decision_log,
    enrolment_token,
    setting,
)
from patchtide.adapters.storage.update_lists import ListWrites
from patchtide.domain.catalog.details import UpdateDetails
from patchtide.domain.catalog.judged import Acceptance
from patchtide.domain.catalog.risk import Rating
from patchtide.domain.compliance.described import Described
from patchtide.domain.errors import StaleRevision
from patchtide.server.ports.catalog import BlockKind, NumberHolder, StoredLeaf
from patchtide.server.ports.clients import (
    Client,
    ClientState,
    EnrolmentToken,
    ExpectedClient,
    NewClient,
)

T = TypeVar("T")


def decide(
    connection: Connection,
    actor: str,
    operation: str,
    work: Callable[[SqlTransaction], T],
    *,
    now: datetime,
) -> T:
    """Do the work and write down what it noted. The caller's transaction makes it durable."""
    tx = SqlTransaction(connection)
    result = work(tx)
    if tx.notes:
        _write_down(connection, actor, tx.called or operation, tx.notes, now)
    return result


def _write_down(
    connection: Connection,
    actor: str,
    operation: str,
    notes: Sequence[tuple[str, str]],
    now: datetime,
) -> None:
    first = ticket.draw(connection, len(notes))
    entries = [
        {
            "change": first + place,
            "at": now.timestamp(),
            "actor": actor,
            "operation": operation,
            "subject": subject,
            "detail": detail,
        }
        for place, (subject, detail) in enumerate(notes)
    ]
    connection.execute(insert(decision_log), entries)
    audit_chain.append(connection, entries)


def _written(detail: Mapping[str, Any]) -> str:
    return json.dumps(detail, sort_keys=True, ensure_ascii=True)


class SqlTransaction(accounts.AccountWrites, ApiTokenWrites):
    """The Transaction port over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.update_lists = ListWrites(connection)
        self.fleet_history = HistoryWrites(connection)
        self.alerts = AlertWrites(connection)
        self.collections = CollectionWrites(connection)
        self.calendar = CalendarWrites(connection)
        self.outbox = OutboxWrites(connection)
        self.proposals = ProposalWrites(connection)
        self.security_keys = KeyWrites(connection)
        self.notes: list[tuple[str, str]] = []
        self.called = ""
        self._absent: set[str] = set()

    def begin_epoch(self, *, numbers_above: int) -> None:
        ticket.start_epoch(self._connection)
        blocks.skip_past(self._connection, numbers_above)

    def note(self, subject: str, **detail: str | int | bool | None) -> None:
        self.notes.append((subject, _written(detail)))

    def call_it(self, operation: str) -> None:
        self.called = operation

    @property
    def noted(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        return [(subject, json.loads(text)) for subject, text in self.notes]

    def remark(self, **detail: str) -> None:
        self.notes = [(subject, _written({**said, **detail})) for subject, said in self.noted]

    def add_enrolment_token(self, token: EnrolmentToken) -> None:
        self._connection.execute(
            insert(enrolment_token).values(
                id=token.id,
                secret_hash=token.secret_hash,
                site=token.site,
                client_group=token.group,
                uses_left=token.uses_left,
                approve=token.approve,
                created_at=token.created_at.timestamp(),
                expires_at=token.expires_at.timestamp(),
                created_by=token.created_by,
                machine=token.machine,
            )
        )

    def use_enrolment_token(
        self, token_id: str, *, secret_hash: bytes, now: datetime
    ) -> EnrolmentToken | None:
        # Checking and taking are one statement: of many who bring the last use, one gets it.
        row = self._connection.execute(
            update(enrolment_token)
            .where(
                enrolment_token.c.id == token_id,
                enrolment_token.c.secret_hash == secret_hash,
                enrolment_token.c.uses_left > 0,
                enrolment_token.c.expires_at > now.timestamp(),
            )
            .values(uses_left=enrolment_token.c.uses_left - 1)
            .returning(enrolment_token)
        ).first()
        return None if row is None else enrolment_token_of(row)

    def miss_enrolment_token(self, token_id: str, *, limit: int) -> bool:
        token = enrolment_token.c
        counted = update(enrolment_token).where(token.id == token_id)
        left = case((token.misses + 1 >= limit, 0), else_=token.uses_left + 1)
        row = self._connection.execute(
            counted.values(misses=token.misses + 1, uses_left=left).returning(token.uses_left)
        ).scalar_one_or_none()
        return not row

    def drop_enrolment_token(self, token_id: str) -> bool:
        found = delete(enrolment_token).where(enrolment_token.c.id == token_id)
        return self._connection.execute(found).rowcount == 1

    def add_client(self, new: NewClient, *, now: datetime) -> Client:
        return new_clients.add(self._connection, new, now=now)

    def clients_like(self, *, public_key: bytes, machine: bytes) -> Sequence[Client]:
        found = reading.CLIENTS.where(
            or_(client.c.public_key == public_key, client.c.machine == machine),
            client.c.state != ClientState.EXPECTED.value,
        )
        return [client_of(row) for row in self._connection.execute(found)]

    def client(self, uuid: bytes) -> Client | None:
        row = self._connection.execute(reading.CLIENTS.where(client.c.uuid == uuid)).first()
        return None if row is None else client_of(row)

    def clients(self, uuids: Sequence[bytes]) -> Sequence[Client]:
        return fleet.clients_of(self._connection, uuids)

    def describe_clients(self, said: Mapping[int, Described]) -> None:
        described.describe(self._connection, said)

    def clients_scheduled(self, collection: UUID) -> int:
        return described.scheduled(self._connection, collection)

    def expect_clients(
        self, expected: Sequence[ExpectedClient], *, site: str, now: datetime
    ) -> Sequence[Client]:
        return new_clients.expect(self._connection, expected, site=site, now=now)

    def clients_named(self, names: Collection[str]) -> Sequence[Client]:
        return new_clients.named(self._connection, names)

    def enrol_expected(
        self, client: NewClient, *, now: datetime, machine: bytes = b""
    ) -> Client | None:
        return new_clients.enrol(self._connection, client, now=now, machine=machine)

    def set_platforms(self, told: Mapping[bytes, str]) -> None:
        for name in sorted(set(told.values())):
            uuids = [uuid for uuid, platform in told.items() if platform == name]
            those = update(client).where(client.c.uuid.in_(uuids))
            self._connection.execute(those.values(platform=name))

    def set_client_state(self, uuids: Sequence[bytes], state: ClientState) -> int:
        return self._connection.execute(
            update(client)
            .where(
                client.c.uuid.in_(uuids),
                client.c.state.not_in([state.value, ClientState.DECOMMISSIONED.value]),
            )
            .values(state=state.value)
        ).rowcount

    def begin_build(self, uuids: Sequence[bytes], *, until: int) -> None:
        those = update(client).where(client.c.uuid.in_(uuids))
        self._connection.execute(those.values(build_until=until))

    def end_build(self, uuids: Sequence[bytes]) -> Sequence[bytes]:
        in_build = update(client).where(client.c.uuid.in_(uuids), client.c.build_until > 0)
        ended = in_build.values(build_until=0).returning(client.c.uuid)
        return list(self._connection.execute(ended).scalars())

    def ask_full_report(self, uuids: Sequence[bytes]) -> int:
        return self._connection.execute(
            update(client_state)
            .where(
                client_state.c.client.in_(select(client.c.number).where(client.c.uuid.in_(uuids)))
            )
            .values(report_epoch="")
        ).rowcount

    def ask_scan(self, uuids: Sequence[bytes], *, now: datetime) -> int:
        those = select(client.c.number).where(client.c.uuid.in_(uuids))
        return self._connection.execute(
            update(client_state)
            .where(client_state.c.client.in_(those))
            .values(scan_wanted=int(now.timestamp()))
        ).rowcount

    def setting(self, name: str) -> bytes | None:
        return self._setting(name, select(setting.c.value).where(setting.c.name == name))

    def lock_setting(self, name: str) -> bytes | None:
        # PostgreSQL reads the row again once it has its lock; SQLite has one writer anyway.
        found = select(setting.c.value).where(setting.c.name == name).with_for_update()
        return self._setting(name, found)

    def _setting(self, name: str, found: Select[Any]) -> bytes | None:
        value: bytes | None = self._connection.execute(found).scalar()
        if value is None:
            self._absent.add(name)
        return value

    def put_setting(self, name: str, value: bytes) -> None:
        # What this decision saw missing must not replace what another node has put there since.
        if name not in self._absent:
            changed = self._connection.execute(
                update(setting).where(setting.c.name == name).values(value=value)
            )
            if changed.rowcount:
                return
        try:
            self._connection.execute(insert(setting).values(name=name, value=value))
        except IntegrityError as error:  # another node put it first
            raise StaleRevision from error
        self._absent.discard(name)

    def allot_numbers(self, count: int) -> int:
        """Return the first of `count` numbers in a row.

        Raises:
            TooMuch: more than a block holds.
        """
        return blocks.take(self._connection, count, kind=blocks.UPDATES, holder="")

    def grant_block(self, kind: BlockKind, *, site: str) -> int:
        return blocks.grant(self._connection, kind=kind, holder=site)

    def receive_block(self, kind: BlockKind, first: int, *, site: str) -> None:
        """Raises WrongState: the block is here already."""
        holder = site if kind == blocks.CLIENTS else ""
        blocks.receive(self._connection, kind=kind, first=first, holder=holder)

    def know_numbers(self, numbers: Sequence[int]) -> None:
        blocks.know(self._connection, numbers)

    def unallotted(self, numbers: Sequence[int]) -> Sequence[int]:
        return catalog.unallotted(self._connection, numbers)

    def hold_numbers(self, wanted: Mapping[int, bytes], *, role: str) -> Sequence[NumberHolder]:
        return catalog.hold_numbers(self._connection, wanted, role=role)

    def leaf_revisions(self, shard: str, numbers: Sequence[int]) -> Mapping[int, int]:
        return catalog.revisions(self._connection, shard, numbers)

    def put_leaves(
        self, shard: str, serial: int, *, upserts: Sequence[StoredLeaf], drops: Sequence[int]
    ) -> None:
        catalog.put(self._connection, shard, serial, upserts=upserts, drops=drops)

    def put_update_details(self, details: Sequence[UpdateDetails]) -> None:
        update_rows.put(self._connection, details)

    def rate_update(self, update: UUID, rating: Rating | None) -> None:
        update_rows.rate(self._connection, update, rating)

    def accept_licence(self, digest: bytes, accepted: Acceptance) -> bool:
        return update_rows.accept_licence(self._connection, digest, accepted)

    def lock_updates(self, ids: Sequence[UUID]) -> None:
        update_rows.lock(self._connection, ids)

    def hold_updates(self, ids: Sequence[UUID]) -> Sequence[UpdateDetails]:
        update_rows.lock(self._connection, ids)
        return update_rows.details(self._connection, ids)

    def forget_updates(self, ids: Sequence[UUID], *, expired_by: datetime) -> int:
        return update_rows.forget(self._connection, ids, expired_by=expired_by)

    def put_synchronisation(self, number: int, *, at: float, document: bytes) -> None:
        catalog.put_synchronisation(self._connection, number, at=at, document=document)

    def take_back_leaves(self, shard: str, serial: int, *, limit: int) -> int:
        return catalog.take_back(self._connection, shard, serial, limit=limit)

    def forget_replaced_leaves(self, shard: str, *, before: int, limit: int) -> int:
        return catalog.forget_replaced(self._connection, shard, before=before, limit=limit)
