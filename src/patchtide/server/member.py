"""A machine as the view of the fleet has it: what was decided of it, and what it said last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from patchtide.domain.compliance.states import States
from patchtide.server.ports.clients import Client

_NO_STATES = States()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A machine and its last accepted report."""

    client: Client
    states: States = _NO_STATES
    is_of_this_catalog: bool = True
    scan: str = "none"
    scan_error: str = ""
    scanned_at: datetime | None = None
    reported_at: datetime | None = None
    aged_catalog: bool = False

    @property
    def number(self) -> int:
        return self.client.number

    @property
    def id(self) -> UUID:
        return UUID(bytes=self.client.uuid)
