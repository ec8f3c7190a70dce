"""What the use cases need for machines: who they are, how they enrol, what admits them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from patchtide.domain.compliance.described import UNDESCRIBED, Described


class ClientState(StrEnum):
    EXPECTED = "expected"
    """Named by people before it enrolled: it has no key, and nothing of it is admitted."""
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
    build_until: int = 0
    """It is in build until then at the latest, in epoch seconds; 0: it was handed over."""


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
    build_until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedClient:
    """A machine that people name before it enrols."""

    uuid: bytes
    name: str
    described: Described = UNDESCRIBED


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
    machine: bytes = b""
    """The expected machine that it lets in, and no other; empty: any."""


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

    def miss_enrolment_token(self, token_id: str, *, limit: int) -> bool:
        """Give back the use that another machine than its own took, and count that.

        Returns whether that spent it.
        """
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

    def clients_named(self, names: Collection[str]) -> Sequence[Client]:
        """Return those that are called exactly so, but none that is retired."""
        ...

    def describe_clients(self, said: Mapping[int, Described]) -> None:
        """Put what people say of these machines, by client number; two statements for all."""
        ...

    def clients_scheduled(self, collection: UUID) -> int:
        """Return how many have it as their schedule, but for those that are retired."""
        ...

    def expect_clients(
        self, expected: Sequence[ExpectedClient], *, site: str, now: datetime
    ) -> Sequence[Client]:
        """Add machines that have not enrolled yet; a few statements for all."""
        ...

    def enrol_expected(
        self, client: NewClient, *, now: datetime, machine: bytes = b""
    ) -> Client | None:
        """Make an expected machine of that name and site this one; None: none is expected.

        It keeps its number, its id, and what people say of it. `machine`: it has to be that one,
        and it keeps its name, too, as people wrote it. Without, none is taken for which a token
        is out that can still be used.
        """
        ...

    def set_platforms(self, told: Mapping[bytes, str]) -> None:
        """Write down what the systems of these machines are called; a statement a name."""
        ...

    def set_client_state(self, uuids: Sequence[bytes], state: ClientState) -> int:
        """Return how many changed. A decommissioned client never changes again (S43)."""
        ...

    def begin_build(self, uuids: Sequence[bytes], *, until: int) -> None:
        """Have them be in build until then at the latest, in epoch seconds."""
        ...

    def end_build(self, uuids: Sequence[bytes]) -> Sequence[bytes]:
        """Return those of them that were in build until now: another node may have been first."""
        ...

    def ask_full_report(self, uuids: Sequence[bytes]) -> int: ...

    def ask_scan(self, uuids: Sequence[bytes], *, now: datetime) -> int:
        """Have these machines scan, as soon as they hear of it."""
        ...
