"""Who made the enrolment tokens of tests: they are as good as he is."""

from __future__ import annotations

from datetime import datetime

from patchtide.server.ports.api_tokens import ApiToken
from patchtide.server.ports.decisions import Transaction

_ID = "maker"
MAKER = f"api-token:{_ID}"


def let_in_maker(tx: Transaction, *, now: datetime) -> None:
    if tx.lock_api_token(_ID) is not None:
        return
    token = ApiToken(
        id=_ID,
        name=_ID,
        secret_hash=bytes(32),
        rights=("tokens.create",),
        created_at=now,
        expires_at=None,
        created_by="test",
    )
    tx.add_api_token(token)
