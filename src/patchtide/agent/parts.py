"""What an agent is put together from: its catalog, its policy, what changes the machine, ports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from patchtide.agent.policy import Orders
from patchtide.agent.ports.clock import Clock
from patchtide.agent.ports.journal import Journal
from patchtide.agent.ports.link import ServerLink
from patchtide.agent.ports.platform import Inventory
from patchtide.agent.ports.takeover import Takeover
from patchtide.agent.ports.trust import TrustEvent
from patchtide.agent.reporting import ScanResult
from patchtide.agent.settings import MemorySettings, Settings
from patchtide.agent.takeover import NobodyElse
from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer.states import Order


class Catalog(Protocol):
    """The verified catalog, kept in the journal's shard store."""

    def serials(self) -> Mapping[str, int]:
        """Return every shard that this machine follows; 0 for one it has nothing of."""
        ...

    def refresh(self, newer: Mapping[str, int], *, now: float, root_version: int = 0) -> None:
        """Bring these shards up to date.

        Raises:
            PatchtideError: the metadata or a shard was refused, or could not be fetched.
        """
        ...

    def take_events(self) -> Sequence[TrustEvent]:
        """Return what the administrator must hear of, once."""
        ...

    def scan(self, *, now: float) -> ScanResult: ...

    def seen(self) -> Mapping[str, bytes]:
        """Return the digests of the metadata last accepted, by role (S44)."""
        ...


class Policy(Protocol):
    """What the site wants of this machine."""

    def sequence(self) -> int: ...

    def take(self, envelope: bytes, *, now: float) -> Orders:
        """Verify the envelope, keep it, and return what stands.

        Raises:
            PatchtideError: it is not for this machine, not signed, or from the past.
        """
        ...


class Enforcer(Protocol):
    """Changes the machine, and knows what state it is in."""

    def boot_id(self) -> str: ...

    def restart_pending(self) -> bool: ...

    def consent(self, order: Order, *, now: float) -> None:
        """Ask catalog and policy, freshly.

        Raises:
            PatchtideError: they do not both allow the order.
        """
        ...

    def download(self, order: Order) -> None: ...

    def tidy(self, orders: Iterable[Order]) -> None:
        """Remove the files that none of these orders wants."""
        ...

    def stage(self, order: Order, *, now: float) -> None: ...

    def install(self, order: Order, *, now: float) -> ev.Installed: ...

    def repair(self) -> None: ...

    def restart(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything outside the agent."""

    journal: Journal
    link: ServerLink
    catalog: Catalog
    policy: Policy
    enforcer: Enforcer
    inventory: Inventory
    clock: Clock
    settings: Settings = field(default_factory=lambda: Settings(MemorySettings()))
    takeover: Takeover = field(default_factory=NobodyElse)


@dataclass(slots=True, kw_only=True)
class Condition:
    """What the check-in says about the agent itself."""

    agent_version: str = ""
    floor_lost: bool = False
    degraded: str = ""
    root_version: int = 0
    """The newest root that the server told of."""
    detour: Callable[[], str] = str
    """Why the site's proxy was not used in the end; empty: it was, or there is none."""
    faults: Callable[[], Sequence[str]] = tuple
    """What is wrong with the machine by now, by code (domain.findings)."""
    local_flaw: str = ""
    """What is wrong with the settings that were written on the machine."""
    wanted_inventory: tuple[str, ...] = field(default_factory=tuple)
