"""What the use cases need for the keys to the administrators' API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A person's or a program's key to the administrators' API."""

    id: str
    name: str
    secret_hash: bytes
    rights: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    created_by: str
    revoked_at: datetime | None = None


class ApiTokenWriting(Protocol):
    """Inside one decision."""

    def add_api_token(self, token: ApiToken) -> None: ...

    def revoke_api_token(self, token_id: str, *, now: datetime) -> bool: ...

    def lock_api_token(self, token_id: str) -> ApiToken | None:
        """Return it if it is not revoked; until the end of this transaction no other one can."""
        ...

    def lock_api_tokens(self) -> Sequence[ApiToken]:
        """Return those that are not revoked. Until the end of this transaction no other one
        can revoke any of them, so of two at once the second sees what the first did."""
        ...

    def count_api_tokens(self) -> int: ...
