"""A machine as the view of the fleet has it: what was decided of it, and what it said last."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from patchtide.domain.compliance.states import States
from patchtide.server.listing import in_order
from patchtide.server.ports.clients import Client

_NO_STATES = States()


def place_of(client: Client) -> tuple[str, str]:
    return in_order(client.name), client.uuid.hex()


class Member(Struct, frozen=True, kw_only=True):
    """A machine and its last accepted report."""

    client: Client
    named: tuple[str, str]
    """Its place in the order of names, which no other has."""
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

    @property
    def follows_a_shard(self) -> bool:
        return bool(self.states.shards)


class Spoken(Struct, frozen=True, array_like=True):
    """What a machine says of itself whenever it checks in."""

    agent_version: str = ""
    degraded: str = ""
    floor_lost: bool = False
    faults: tuple[str, ...] = ()
    """By code, see domain.findings."""
    taken_over: tuple[str, ...] = ()
    """Who else would install updates there and is held back, by code."""


UNHEARD = Spoken()


class Said(Struct, frozen=True, kw_only=True):
    """A machine's last report, read."""

    client: int
    lineage: bytes
    states: States
    scan: str
    scan_error: str
    scanned_at: datetime | None
    reported_at: datetime | None
    aged_catalog: bool
