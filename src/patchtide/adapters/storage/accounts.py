"""People's accounts, their sessions, and the links by which they choose a password."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Label, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from patchtide.adapters.storage.account_tables import (
    api_token,
    sign_in_link,
    user_account,
    user_session,
)
from patchtide.adapters.storage.key_tables import security_key
from patchtide.adapters.storage.rows import instant
from patchtide.adapters.storage.tables import enrolment_token
from patchtide.domain.errors import WrongState
from patchtide.server.ports.accounts import LinkUse, Session, SignInLink, User


class AccountWrites:
    """The AccountWriting port over the connection of one decision."""

    _connection: Connection

    def add_user(self, user: User) -> None:
        row = {
            "id": user.id,
            "name": user.name,
            "rights": json.dumps(user.rights),
            "password_hash": user.password_hash,
            "created_at": user.created_at.timestamp(),
            "created_by": user.created_by,
            "disabled_at": None if user.disabled_at is None else user.disabled_at.timestamp(),
            "let_in_by": user.let_in_by,
        }
        try:
            self._connection.execute(insert(user_account), row)
        except IntegrityError as error:
            raise WrongState(f"there is a user {user.name} already") from error

    def lock_user(self, user_id: str) -> User | None:
        # Two who lock each other in a circle: PostgreSQL undoes one of them, which is done anew.
        found = select(user_account).where(user_account.c.id == user_id)
        return _one(self._connection, found.with_for_update())

    def lock_users(self) -> Sequence[User]:
        # In one order for all, as `lock_api_tokens`.
        found = (
            select(user_account)
            .where(user_account.c.disabled_at.is_(None))
            .order_by(user_account.c.id)
            .with_for_update()
        )
        return [_user_of(row) for row in self._connection.execute(found)]

    def disabled_users(self) -> Sequence[User]:
        found = select(user_account).where(user_account.c.disabled_at.is_not(None))
        return [_user_of(row) for row in self._connection.execute(found)]

    def count_users(self) -> int:
        found = select(func.count()).select_from(user_account)
        return int(self._connection.execute(found).scalar_one())

    def user_names(self) -> frozenset[str]:
        return frozenset(self._connection.execute(select(user_account.c.name)).scalars())

    def disable_user(self, user_id: str, *, at: datetime | None) -> bool:
        disabled = user_account.c.disabled_at
        was_otherwise = disabled.is_not(None) if at is None else disabled.is_(None)
        changed = self._connection.execute(
            update(user_account)
            .where(user_account.c.id == user_id, was_otherwise)
            .values(disabled_at=None if at is None else at.timestamp())
        )
        return changed.rowcount == 1

    def set_rights(self, user_id: str, rights: Sequence[str]) -> None:
        self._set_user(user_id, rights=json.dumps(rights))

    def set_password(self, user_id: str, password_hash: str) -> None:
        self._set_user(user_id, password_hash=password_hash)

    def set_let_in_by(self, user_id: str, by: str) -> None:
        self._set_user(user_id, let_in_by=by)

    def _set_user(self, user_id: str, **values: str) -> None:
        here = user_account.c.id == user_id
        self._connection.execute(update(user_account).where(here).values(**values))

    def add_session(self, session: Session) -> None:
        self._connection.execute(
            insert(user_session).values(
                secret_hash=session.secret_hash,
                user_id=session.user,
                began_at=session.began_at.timestamp(),
                seen_at=session.seen_at.timestamp(),
                proved_at=session.proved_at.timestamp(),
                keyed_at=None if session.keyed_at is None else session.keyed_at.timestamp(),
            )
        )

    def touch_session(self, secret_hash: bytes, *, at: datetime) -> None:
        self._set_session(secret_hash, seen_at=at.timestamp())

    def _set_session(self, secret_hash: bytes, **values: Any) -> None:
        here = user_session.c.secret_hash == secret_hash
        self._connection.execute(update(user_session).where(here).values(**values))

    def prove_session(self, secret_hash: bytes, *, at: datetime) -> None:
        self._set_session(secret_hash, proved_at=at.timestamp(), seen_at=at.timestamp())

    def key_session(self, secret_hash: bytes, *, at: datetime) -> None:
        self._set_session(secret_hash, keyed_at=at.timestamp(), seen_at=at.timestamp())

    def put_challenge(self, secret_hash: bytes, challenge: bytes, *, until: datetime) -> None:
        self._set_session(secret_hash, challenge=challenge, challenge_until=until.timestamp())

    def take_challenge(self, secret_hash: bytes, *, now: datetime) -> bytes | None:
        here = user_session.c.secret_hash == secret_hash
        row = self._connection.execute(select(user_session).where(here).with_for_update()).first()
        self._connection.execute(update(user_session).where(here).values(challenge=None))
        if row is None or row.challenge is None or now.timestamp() >= row.challenge_until:
            return None
        return bytes(row.challenge)

    def has_session(self, secret_hash: bytes) -> bool:
        found = select(user_session.c.user_id).where(user_session.c.secret_hash == secret_hash)
        return self._connection.execute(found).first() is not None

    def end_session(self, secret_hash: bytes) -> bool:
        ended = delete(user_session).where(user_session.c.secret_hash == secret_hash)
        return self._connection.execute(ended).rowcount == 1

    def end_sessions(self, user_id: str, *, but: bytes = b"") -> int:
        ended = delete(user_session).where(
            user_session.c.user_id == user_id, user_session.c.secret_hash != but
        )
        return self._connection.execute(ended).rowcount

    def put_link(self, link: SignInLink) -> None:
        self.drop_links(link.user)
        self._connection.execute(
            insert(sign_in_link).values(
                secret_hash=link.secret_hash,
                user_id=link.user,
                link_use=link.use.value,
                expires_at=link.expires_at.timestamp(),
                shown_to=link.shown_to,
            )
        )

    def api_token_makers(self) -> Mapping[str, str]:
        found = select(api_token.c.id, api_token.c.created_by)
        return {row.id: row.created_by for row in self._connection.execute(found)}

    def drop_links(self, user_id: str) -> None:
        self._connection.execute(delete(sign_in_link).where(sign_in_link.c.user_id == user_id))

    def drop_short_lived(self) -> None:
        for table in (user_session, sign_in_link, enrolment_token):
            self._connection.execute(delete(table))

    def take_link(self, secret_hash: bytes, *, use: LinkUse, now: datetime) -> str | None:
        # Checking and taking are one statement: of two who bring it at once, one gets it.
        row = self._connection.execute(
            delete(sign_in_link)
            .where(
                sign_in_link.c.secret_hash == secret_hash,
                sign_in_link.c.link_use == use.value,
                sign_in_link.c.expires_at > now.timestamp(),
            )
            .returning(sign_in_link.c.user_id)
        ).first()
        return None if row is None else str(row.user_id)


def user_named(connection: Connection, name: str) -> User | None:
    return _one(connection, select(user_account).where(user_account.c.name == name))


def users(connection: Connection) -> Sequence[User]:
    found = select(user_account).order_by(user_account.c.name)
    return [_user_of(row) for row in connection.execute(found)]


def session(connection: Connection, secret_hash: bytes) -> tuple[Session, User] | None:
    found = (
        select(user_session, user_account, _has_key())
        .join(user_account, user_account.c.id == user_session.c.user_id)
        .where(user_session.c.secret_hash == secret_hash)
    )
    row = connection.execute(found).first()
    if row is None:
        return None
    made = Session(
        secret_hash=row.secret_hash,
        user=row.user_id,
        began_at=instant(row.began_at),
        seen_at=instant(row.seen_at),
        proved_at=instant(row.proved_at),
        keyed_at=None if row.keyed_at is None else instant(row.keyed_at),
        has_key=bool(row.has_key),
    )
    return made, _user_of(row)


def _has_key() -> Label[bool]:
    owned = select(security_key.c.id).where(security_key.c.user_id == user_account.c.id)
    return owned.exists().label("has_key")


def link(connection: Connection, secret_hash: bytes) -> tuple[SignInLink, User] | None:
    found = (
        select(sign_in_link, user_account)
        .join(user_account, user_account.c.id == sign_in_link.c.user_id)
        .where(sign_in_link.c.secret_hash == secret_hash)
    )
    row = connection.execute(found).first()
    if row is None:
        return None
    made = SignInLink(
        secret_hash=row.secret_hash,
        user=row.user_id,
        use=LinkUse(row.link_use),
        expires_at=instant(row.expires_at),
        shown_to=row.shown_to,
    )
    return made, _user_of(row)


def trim(connection: Connection, *, sessions_before: float, links_before: float) -> bool:
    """Remove sessions and links that have had their time; there are never many."""
    connection.execute(delete(user_session).where(user_session.c.began_at < sessions_before))
    connection.execute(delete(sign_in_link).where(sign_in_link.c.expires_at < links_before))
    return False


def _one(connection: Connection, found: Select[Any]) -> User | None:
    row = connection.execute(found).first()
    return None if row is None else _user_of(row)


def _user_of(row: Any) -> User:
    return User(
        id=row.id,
        name=row.name,
        rights=tuple(json.loads(row.rights)),
        password_hash=row.password_hash,
        created_at=instant(row.created_at),
        created_by=row.created_by,
        disabled_at=None if row.disabled_at is None else instant(row.disabled_at),
        let_in_by=row.let_in_by,
    )
