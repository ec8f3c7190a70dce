"""API tokens, as decisions make, lock and revoke them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from patchtide.adapters.storage.account_tables import api_token
from patchtide.adapters.storage.rows import api_token_of
from patchtide.server.ports.api_tokens import ApiToken


class ApiTokenWrites:
    """What the Transaction port says of API tokens, over the connection of one decision."""

    _connection: Connection

    def add_api_token(self, token: ApiToken) -> None:
        self._connection.execute(
            insert(api_token).values(
                id=token.id,
                name=token.name,
                secret_hash=token.secret_hash,
                rights=json.dumps(token.rights),
                created_at=token.created_at.timestamp(),
                expires_at=None if token.expires_at is None else token.expires_at.timestamp(),
                created_by=token.created_by,
                revoked_at=None if token.revoked_at is None else token.revoked_at.timestamp(),
            )
        )

    def revoke_api_token(self, token_id: str, *, now: datetime) -> bool:
        changed = self._connection.execute(
            update(api_token)
            .where(api_token.c.id == token_id, api_token.c.revoked_at.is_(None))
            .values(revoked_at=now.timestamp())
        )
        return changed.rowcount == 1

    def lock_api_token(self, token_id: str) -> ApiToken | None:
        found = select(api_token).where(
            api_token.c.id == token_id, api_token.c.revoked_at.is_(None)
        )
        row = self._connection.execute(found.with_for_update()).first()
        return None if row is None else api_token_of(row)

    def lock_api_tokens(self) -> Sequence[ApiToken]:
        # In one order for all, so that two who lock wait for each other and not in a circle.
        # PostgreSQL looks at each row again once it has its lock; SQLite has one writer anyway.
        found = (
            select(api_token)
            .where(api_token.c.revoked_at.is_(None))
            .order_by(api_token.c.id)
            .with_for_update()
        )
        return [api_token_of(row) for row in self._connection.execute(found)]

    def count_api_tokens(self) -> int:
        return int(
            self._connection.execute(select(func.count()).select_from(api_token)).scalar_one()
        )
