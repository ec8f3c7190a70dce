"""What a machine's brain knows, in a form that is stored at every step.

`Memory` is what outlives a step: what is still to do and what limits it. `Phase` says which
command is under way; each holds exactly what that moment knows.
"""

from __future__ import annotations

from msgspec import Struct

from patchtide.domain.schedules.scanning import SCAN_EVERY_S


class Order(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Updates to be installed together, as consent was found for them."""

    id: str
    updates: tuple[int, ...]
    not_before: float = 0.0
    valid_until: float
    may_restart: bool = False
    rollback: bool = False
    """Brings packages back to older versions, with publishers' leave."""
    emergency: bool = False
    """No freeze keeps it from being done."""


class Held(Struct, frozen=True):
    """An order that could not go on waits; the others do not wait with it."""

    until: float
    setbacks: int = 0
    """How often in a row something was out of reach."""


class Pace(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often this machine speaks and looks: what it was told, unless it was set right here.

    And when it is not changed.
    """

    poll_s: int = 0
    """Between two check-ins, as set here; 0: what the server answers."""
    scan_every_s: int = SCAN_EVERY_S
    told_scan_every_s: int = 0
    """What the site says, by which it judges reports; 0: it was not kept yet."""
    anchor_at: float = 0.0
    """When the calendar wants the next scan, with this machine's place in it; 0: it wants none."""
    frozen: tuple[tuple[float, float], ...] = ()
    """From when to when only an emergency changes it, by what begins first."""


class Memory(Struct, frozen=True, kw_only=True, omit_defaults=True):
    seed: bytes
    """The client's UUID: spreads the fleet."""
    boot_id: str = ""
    pace: Pace = Pace()
    poll_s: int = 3600
    poll_at: float = 0.0
    refresh_at: float = 0.0
    """When the server's word that nothing is newer is held against the catalog again."""
    offline: bool = False
    """The last time it could not be: what was scanned then is to be scanned again."""
    scan_at: float = 0.0
    scanned_at: float = 0.0
    """When the last scan came to an end; 0: before this was kept, or never."""
    heard_at: float = 0.0
    """When the server last answered a check-in; 0: never."""
    failures: int = 0
    stumbled: bool = False
    """Something failed in this cycle, so its end does not forget the failures."""
    clock_offset_s: float = 0.0
    """Server's clock minus the machine's; only dates requests, the machine's clock stays."""
    refresh_due: bool = False
    shards_due: dict[str, int] = {}
    envelope_due: bytes = b""
    scan_due: bool = True
    report_due: bool = False
    full_due: bool = True
    scan_for: int = 0
    """The scan that somebody asked for, as the server calls it, until it was told of."""
    retrying: bool = False
    """That one could not get to the server: its next answer asks for it again."""
    restored: bool = False
    orders: tuple[Order, ...] = ()
    needed: tuple[int, ...] = ()
    """Of the ordered updates, those that the last scan found required."""
    attempts: dict[str, int] = {}
    closed: tuple[str, ...] = ()
    """Orders that are done or given up; never taken up again."""
    hold_until: float = 0.0
    """No order is taken up, nothing repaired or restarted before: an installation just failed."""
    held: dict[str, Held] = {}
    """Orders that are not taken up before a time of their own."""
    repair_for: str = ""
    """The order whose installation was interrupted."""
    restart_for: str = ""
    """The order whose installation waits for a restart."""
    restart_urgent: bool = False
    """An emergency needs that restart for its own sake, so that no freeze holds it."""
    trust_told: dict[str, bytes] = {}
    """Role -> beginning of the digest of its metadata that the server was last told of (S44)."""
    evaluated: dict[str, int] = {}
    """Shard -> the serial that the last scan evaluated."""
    evaluated_told: dict[str, int] = {}
    """The same as the server was last told: below it, it takes every newer update for unknown."""
    told_at: float = 0.0
    """When the server last took a report."""
    inventory: dict[str, bytes] = {}
    """Kind -> digest of the list as it was at the last scan."""
    inventory_told: dict[str, bytes] = {}
    """Kind -> beginning of the digest that the server last was content with."""
    troubles: dict[str, str] = {}
    """What was told of that still stands: code -> why."""
    restarts_per_day: int = 0
    """The site's limit; 0: it sets none."""
    restarts: tuple[float, ...] = ()
    """When this agent restarted the machine in the last 24 hours."""


class Idle(Struct, frozen=True, tag="idle"): ...


class CheckingIn(Struct, frozen=True, tag="checking-in"):
    again: int = 0
    """How often the server asked for the same request anew."""


class TakingEnvelope(Struct, frozen=True, tag="taking-envelope"): ...


class Refreshing(Struct, frozen=True, tag="refreshing"): ...


class Scanning(Struct, frozen=True, tag="scanning"): ...


class Reporting(Struct, frozen=True, tag="reporting"):
    again: int = 0


class Consenting(Struct, frozen=True, tag="consenting"):
    order: str


class Downloading(Struct, frozen=True, tag="downloading"):
    order: str


class Staging(Struct, frozen=True, tag="staging"):
    order: str


class Installing(Struct, frozen=True, tag="installing"):
    """An intent: after a crash it says what may be half done, never what to repeat."""

    order: str
    boot_id: str
    attempt: int


class Restarting(Struct, frozen=True, tag="restarting"):
    order: str
    boot_id: str


class Repairing(Struct, frozen=True, tag="repairing"):
    order: str


Phase = (
    Idle
    | CheckingIn
    | TakingEnvelope
    | Refreshing
    | Scanning
    | Reporting
    | Consenting
    | Downloading
    | Staging
    | Installing
    | Restarting
    | Repairing
)


class Brain(Struct, frozen=True):
    """The whole state of the machine's sequencer."""

    memory: Memory
    phase: Phase = Idle()


def newborn(seed: bytes) -> Brain:
    """Return the state of a machine that has just enrolled, or lost its journal."""
    return Brain(Memory(seed=seed))
