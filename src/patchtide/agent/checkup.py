"""What a look at the agent and its machine finds: fine, to be known, or wrong, and what to do.

Each judgement takes what was seen and says one thing. Wrong is what keeps the truth about this
machine from its administrator, or keeps updates from the machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from patchtide.domain.findings import (
    CLOCK_TOLERANCE_S,
    LITTLE_SPACE,
    TOO_LITTLE_SPACE,
    Finding,
    ago,
    fine,
    note,
    wrong,
)
from patchtide.domain.schedules.scanning import stale_after

SILENT_POLLS = 3
OLD_LISTS = timedelta(days=7)
CERTIFICATE_NOTE = timedelta(days=14)
SOME = 5
_TO_START = "systemctl enable --now patchtide-agent.service"
CLOSE, START = "close", "start"
"""What a repair does by itself: closes the folder to others, starts the agent's own service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """How the agent and its server got on. Times are epoch seconds; 0: never."""

    heard_at: float
    reported_at: float
    scanned_at: float
    poll_s: int
    scan_every_s: int
    failures: int
    last_event: str
    report_waits: bool


def on_modes(state: str, open_to_others: Sequence[str]) -> Finding:
    if not open_to_others:
        return fine("state", f"{state} is its owner's alone")
    return wrong(
        "state",
        f"others than the owner may look into {_some(open_to_others)}",
        f"chmod -R go= {state}; if it held for long, enrol the machine anew",
        repair=CLOSE,
    )


def on_enrolment(site: str | None, *, of_this_machine: bool) -> Finding:
    cure = "get a token (`patchtide tokens create` on the server), then `patchtide agent enrol`"
    if site is None:
        return wrong("enrolment", "this machine has no identity at any site", cure)
    if not of_this_machine:
        return wrong("enrolment", "the identity is another machine's: this disk is a copy", cure)
    return fine("enrolment", f"enrolled at {site}")


def on_running(*, running: bool, can_be_started: bool = False) -> Finding:
    if running:
        return fine("agent", "one agent is at work")
    repair = START if can_be_started else ""
    return wrong("agent", "no agent is at work here", _TO_START, repair=repair)


def on_service(*, enabled: bool, masked: bool) -> Finding:
    """A mask is somebody's will; to be disabled may be an oversight."""
    if masked:
        cure = "somebody keeps it from starting: systemctl unmask patchtide-agent.service"
        return wrong("service", "the agent's service is masked", cure)
    if enabled:
        return fine("service", "the agent is started with the machine")
    said = "the agent is not started with the machine: its service is disabled"
    return wrong("service", said, _TO_START, repair=START)


def on_clock(offset_s: float | None) -> Finding:
    if offset_s is None:
        return note("clock", "not compared with the server's yet", "wait for the first check-in")
    if abs(offset_s) < CLOCK_TOLERANCE_S:
        return fine("clock", "near enough to the server's")
    said = f"{abs(offset_s):.0f} s {'behind' if offset_s > 0 else 'ahead of'} the server's"
    return wrong("clock", said, "set it, and keep it set: timedatectl set-ntp true")


def on_certificate(end: float, now: float) -> Finding:
    left = timedelta(seconds=end - now)
    if left > CERTIFICATE_NOTE:
        return fine("server", f"reached, and its certificate is good for {left.days} days")
    return note(
        "server",
        f"reached; its certificate ends in {max(0, left.days)} days",
        "the server makes itself a new one when it is restarted",
    )


def on_failing_proxy(said: str, *, is_only_way: bool) -> Finding:
    """What the site told of is gone round; what was set on the machine is its only way."""
    if is_only_way:
        return wrong("proxy", said, "mend the proxy, or take it out of this machine's agent.toml")
    cure = "the agent goes without it; tell the site, whose settings name this proxy"
    return note("proxy", said, cure)


def on_check_ins(talk: Talk, now: float) -> Finding:
    if talk.failures:
        said = f"{talk.failures} in a row failed"
        if talk.last_event:
            said += f"; the last event is {talk.last_event}"
        cure = "mend what `server` says, or look the event up in the reference of error codes"
        return wrong("check-in", said, cure)
    if not talk.heard_at:
        return wrong("check-in", "the server never answered one", "patchtide agent once")
    silent_s = now - talk.heard_at
    said = f"the server last answered {ago(silent_s)}"
    if silent_s > SILENT_POLLS * talk.poll_s:
        return wrong("check-in", said, "see whether the agent runs; journalctl -u patchtide-agent")
    return fine("check-in", said)


def on_reports(talk: Talk, now: float) -> Finding:
    if talk.report_waits:
        return wrong("report", "one waits for the server's word that it has it", "see check-in")
    if not talk.reported_at:
        return wrong("report", "the server has none of this machine", "patchtide agent once")
    if now - talk.scanned_at > stale_after(talk.scan_every_s).total_seconds():
        said = f"the last scan was {ago(now - talk.scanned_at)}"
        return wrong("report", said, "patchtide agent once")
    return fine("report", f"the server has the last one, of {ago(now - talk.reported_at)}")


def on_trust(ends: Mapping[str, datetime], now: float) -> Finding:
    if not ends:
        return wrong("trust", "no signed metadata is here yet", "patchtide agent once")
    ended = sorted(role for role, end in ends.items() if end <= datetime.fromtimestamp(now, UTC))
    if ended:
        return wrong(
            "trust",
            f"the metadata of {_some(ended)} has expired",
            "look at this machine's clock; on the server `patchtide trust status` says more",
        )
    role = min(ends, key=lambda role: ends[role])
    return fine("trust", f"good until {ends[role]:%Y-%m-%d %H:%M} ({role})")


def on_packages(broken: Sequence[str], *, interrupted: bool) -> Finding:
    if interrupted:
        return wrong("dpkg", "dpkg was ended while it worked", "dpkg --configure -a")
    if broken:
        return wrong(
            "dpkg", f"half installed: {_some(broken)}", "dpkg --audit, then apt-get install -f"
        )
    return fine("dpkg", "every package is whole")


def on_rpm(doubled: Sequence[str], *, holder: str) -> Finding:
    """A transaction under way has doubles of its own, and they are no fault."""
    if holder:
        return note("rpm", f"{holder} is at work on the packages", "wait until it is done")
    if doubled:
        said = f"there twice, since a transaction was ended half way: {_some(doubled)}"
        return wrong("rpm", said, "dnf check, then dnf remove --duplicates")
    return fine("rpm", "every package is there once")


def on_rpm_unread(said: str) -> Finding:
    return wrong("rpm", said, "rpmdb --verifydb says more; rpmdb --rebuilddb often mends it")


def on_lists(looked_at: float | None, now: float) -> Finding:
    """Only a note: what is required comes from the site's catalog, not from these lists."""
    if looked_at is None:
        return note("apt", "apt never looked for updates here", "apt-get update")
    said = f"apt last looked for updates {ago(now - looked_at)}"
    if now - looked_at > OLD_LISTS.total_seconds():
        return note("apt", said, "apt-get update")
    return fine("apt", said)


def on_space(where: str, free: int) -> Finding:
    said = f"{free >> 20} MB are free in {where}"
    if free < TOO_LITTLE_SPACE:
        return wrong("space", said, "make room; the agent stores nothing on a disk that is full")
    return note("space", said, "make room soon") if free < LITTLE_SPACE else fine("space", said)


def on_updaters(at_work: Sequence[str], taken: Sequence[str]) -> Finding:
    if at_work:
        said = f"{_some(at_work)}: at work on the same packages"
        cure = "turn the other off, or have the site take it over"
        return note("updaters", said, cure)
    if taken:
        return fine("updaters", f"{_some(taken)}: held back, as the site or this machine wants it")
    return fine("updaters", "nobody else installs updates")


def on_restart(*, pending: bool) -> Finding:
    if pending:
        return note("restart", "the machine runs what was replaced", "restart it when it suits")
    return fine("restart", "none is pending")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SOME} more" if len(names) > SOME else ""
    return ", ".join(names[:SOME]) + more
