"""People's security keys, in rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from patchtide.adapters.storage.key_tables import security_key
from patchtide.adapters.storage.rows import instant
from patchtide.domain.errors import WrongState
from patchtide.server.ports.security_keys import Credential, SecurityKey


@dataclass(frozen=True, slots=True)
class KeyWrites:
    """The SecurityKeyWriting port over the connection of one decision."""

    connection: Connection

    def of(self, user: str) -> Sequence[SecurityKey]:
        return _of(self.connection, user)

    def add(self, key: SecurityKey) -> None:
        row = {
            "id": key.id,
            "user_id": key.user,
            "name": key.name,
            "place": key.place,
            "credential": key.credential.id,
            "public": key.credential.public,
            "counter": key.credential.counter,
            "added_at": key.added_at.timestamp(),
        }
        try:
            self.connection.execute(insert(security_key), row)
        except IntegrityError as error:
            raise WrongState("this security key is registered already") from error

    def rename(self, id: str, name: str) -> None:
        self._set(id, name=name)

    def used(self, id: str, *, counter: int, at: datetime) -> None:
        self._set(id, counter=counter, used_at=at.timestamp())

    def stop(self, id: str, *, at: datetime) -> None:
        self._set(id, stopped_at=at.timestamp())

    def remove(self, id: str) -> None:
        self.connection.execute(delete(security_key).where(security_key.c.id == id))

    def remove_all(self, user: str) -> int:
        gone = delete(security_key).where(security_key.c.user_id == user)
        return self.connection.execute(gone).rowcount

    def _set(self, id: str, **values: Any) -> None:
        self.connection.execute(
            update(security_key).where(security_key.c.id == id).values(**values)
        )


@dataclass(frozen=True, slots=True)
class KeyReads:
    """The SecurityKeyReading port."""

    read: Callable[[Callable[[Connection], Any]], Any]

    def of(self, user: str) -> Sequence[SecurityKey]:
        found: Sequence[SecurityKey] = self.read(lambda c: _of(c, user))
        return found

    def counts(self) -> Mapping[str, int]:
        counted = select(security_key.c.user_id, func.count()).group_by(security_key.c.user_id)
        found: Mapping[str, int] = self.read(
            lambda c: {row[0]: int(row[1]) for row in c.execute(counted)}
        )
        return found


def _of(connection: Connection, user: str) -> Sequence[SecurityKey]:
    columns = security_key.c
    found = select(security_key).where(columns.user_id == user)
    return [_key_of(row) for row in connection.execute(found.order_by(columns.added_at))]


def _key_of(row: Any) -> SecurityKey:
    return SecurityKey(
        id=row.id,
        user=row.user_id,
        name=row.name,
        place=row.place,
        credential=Credential(id=row.credential, public=row.public, counter=row.counter),
        added_at=instant(row.added_at),
        used_at=None if row.used_at is None else instant(row.used_at),
        stopped_at=None if row.stopped_at is None else instant(row.stopped_at),
    )
