"""What the use cases need for machines: who they are, how they enrol, what admits them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from patchtide.domain.compliance.described import UNDESCRIBED, Described, Description


class ClientState(StrEnum):
    WAITING = "waiting"
    ACTIVE = "active"
    QUARANTINED = "quarantined"
    DECOMMISSIONED = "decommissioned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A machine as the server knows it. `number` never leaves the server."""

    number: int
    uuid: bytes
    name: str
    public_key: bytes
    machine: bytes
    site: str
    state: ClientState
    enrolled_at: datetime
    group: str = ""
    platform: str = ""
    agent_version: str = ""
    full_report: bool = False
    """The server has lost track and asks for everything."""
    described: Described = UNDESCRIBED
    scan_wanted: int = 0
    """When somebody asked for a scan that was not told of yet, in epoch seconds; 0: nobody did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClient:
    uuid: bytes
    name: str
    public_key: bytes
    machine: bytes
    site: str
    state: ClientState
    group: str = ""
    platform: str = ""
    agent_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentToken:
    """Only the SHA-256 of the secret is kept."""

    id: str
    secret_hash: bytes
    site: str
    group: str
    uses_left: int
    approve: bool
    """Machines that come with it wait for an administrator's approval."""
    created_at: datetime
    expires_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What admits a client's requests, as it is kept in memory by each node."""

    number: int
    uuid: bytes
    public_key: bytes
    state: ClientState
    counter: int
    """Highest counter known durable (report or flushed presence)."""
    digest: bytes = b""
    boot_id: str = ""
    full_report: bool = False
    restores: tuple[float, ...] = ()
    scan_wanted: int = 0


class ClientWriting(Protocol):
    """Inside one decision."""

    def add_enrolment_token(self, token: EnrolmentToken) -> None: ...

    def use_enrolment_token(
        self, token_id: str, *, secret_hash: bytes, now: datetime
    ) -> EnrolmentToken | None:
        """Take one use, or return None: unknown, spent, expired or wrong secret, all alike."""
        ...

    def drop_enrolment_token(self, token_id: str) -> bool: ...

    def add_client(self, client: NewClient, *, now: datetime) -> Client: ...

    def clients_like(self, *, public_key: bytes, machine: bytes) -> Sequence[Client]:
        """Return clients that share the key or the machine hash, decommissioned ones included."""
        ...

    def client(self, uuid: bytes) -> Client | None: ...

    def clients(self, uuids: Sequence[bytes]) -> Sequence[Client]:
        """Return those of them that there are."""
        ...

    def describe_clients(self, uuids: Sequence[bytes], said: Description) -> None: ...

    def set_client_state(self, uuids: Sequence[bytes], state: ClientState) -> int:
        """Return how many changed. A decommissioned client never changes again (S43)."""
        ...

    def ask_full_report(self, uuids: Sequence[bytes]) -> int: ...

    def ask_scan(self, uuids: Sequence[bytes], *, now: datetime) -> int:
        """Have these machines scan, as soon as they hear of it."""
        ...
