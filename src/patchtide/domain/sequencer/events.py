"""What the brain is told, and what it asks for. Every command is answered by one event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from patchtide.domain.sequencer.states import Order, Pace


@dataclass(frozen=True, slots=True)
class Started:
    """The process came up (again): whatever was under way is not any more."""

    boot_id: str
    pace: Pace | None = None
    """None: as before."""


@dataclass(frozen=True, slots=True)
class Woken:
    """The time that was asked for has come (or something woke the agent early)."""


@dataclass(frozen=True, slots=True)
class Rung:
    """The server or a person at the machine asks to check in now, and perhaps to look again."""

    scan: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedIn:
    """The server's signed answer; no shards, no envelope and no wish: nothing is newer."""

    next_poll_s: int = 0
    """0: the server names none."""
    shards: Mapping[str, int] = field(default_factory=dict)
    envelope: bytes = b""
    full_report: bool = False
    scan: int = 0
    """The scan that somebody asked for, as the server calls it; 0: nobody did."""
    pace: Pace | None = None
    """The one in force from now on; None: as before."""


@dataclass(frozen=True, slots=True)
class CounterJumped:
    """The server knows a higher counter: this machine was restored from an older copy."""


@dataclass(frozen=True, slots=True)
class ClockOff:
    """The server could not accept the request's date; its own (signed) time is `server_now`."""

    server_now: float


@dataclass(frozen=True, slots=True)
class FullWanted:
    """The difference does not fit what the server has."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """The server is busy."""

    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The command under way came to nothing."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EnvelopeTaken:
    """The envelope was verified and consent found: these orders, and no others, stand."""

    orders: tuple[Order, ...]
    restarts_per_day: int = 0
    """0: the agent's own limit; the site can only lower it."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The catalog's shards are in the local store."""

    shards: Mapping[str, int] | None = None
    """Shard -> the serial that is here now; None: whoever tells does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    needed: tuple[int, ...]
    """Of the ordered updates, those required now."""
    present: tuple[int, ...] = ()
    """Of the ordered updates, those installed."""
    changed: bool
    shards: Mapping[str, int] = field(default_factory=dict)
    """Shard -> the serial that was evaluated."""
    restart_pending: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The report is durable at the server."""


@dataclass(frozen=True, slots=True)
class Consented:
    """The catalog and the site's policy both allow the order, as of now."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Every file of the order's that has to be fetched is here, by its digest."""


@dataclass(frozen=True, slots=True)
class Staged:
    """Everything that the order needs is on the machine and verified."""


@dataclass(frozen=True, slots=True)
class Installed:
    restart_needed: bool
    for_others: bool = False
    """It was needed before, and this order does not say that it needs one, too."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What an interrupted installation left is consistent again."""


Event = (
    Started
    | Woken
    | Rung
    | CheckedIn
    | CounterJumped
    | ClockOff
    | FullWanted
    | Deferred
    | Failed
    | EnvelopeTaken
    | Refreshed
    | Scanned
    | Acknowledged
    | Consented
    | Downloaded
    | Staged
    | Installed
    | Repaired
)


@dataclass(frozen=True, slots=True)
class CheckIn: ...


@dataclass(frozen=True, slots=True)
class TakeEnvelope:
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Refresh:
    """Empty: whatever is followed; the server's word that nothing is newer is checked daily."""

    shards: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Scan:
    ordered: frozenset[int]


@dataclass(frozen=True, slots=True)
class Report:
    full: bool
    restored: bool
    scan_for: int = 0
    """The scan that was asked for and is told of here."""
    retrying: bool = False
    """The one that was asked for needed the server and did not get to it; it is tried again."""


@dataclass(frozen=True, slots=True)
class Consent:
    """Ask the catalog and the policy, freshly; no file is touched before they agree."""

    order: Order


@dataclass(frozen=True, slots=True)
class Download:
    order: Order


@dataclass(frozen=True, slots=True)
class Stage:
    order: Order


@dataclass(frozen=True, slots=True)
class Install:
    order: Order
    attempt: int


@dataclass(frozen=True, slots=True)
class Restart:
    order: str


@dataclass(frozen=True, slots=True)
class Repair:
    order: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the administrator must hear of; answered by no event."""

    code: str
    detail: str = ""


Command = (
    CheckIn
    | TakeEnvelope
    | Refresh
    | Scan
    | Report
    | Consent
    | Download
    | Stage
    | Install
    | Restart
    | Repair
    | Note
)
