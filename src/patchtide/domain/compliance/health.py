"""What a server finds when it looks at one machine: from whether it exists to whether it reports.

Each check takes what is known and says one thing, in the order in which one depends on the other:
where a machine is not let in, or never came, nothing behind that means anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from patchtide.domain.catalog.versions_semver import semver_key
from patchtide.domain.compliance.judgement import Doubt
from patchtide.domain.findings import FAULTS, UPDATERS, Finding, ago, fine, note, wrong

FULL_REPORT, SCAN = "full-report", "scan"
"""What a server may do about a machine by itself: it disturbs nobody there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One machine, as a server knows it."""

    now: datetime
    state: str
    enrolled_at: datetime
    heard_at: datetime | None
    policy_at: datetime | None
    """When it last came with the settings that hold for it."""
    silent_after: timedelta
    reported_at: datetime | None
    doubt: Doubt
    full_report: bool
    """One was asked for, and has not come yet."""
    scan: str
    scan_error: str
    scanned_at: datetime | None
    scan_wanted: datetime | None
    aged_catalog: bool
    faults: Sequence[str]
    taken_over: Sequence[str] = ()
    takes_over: bool = False
    """The site wants its agent to hold others back that install updates."""
    degraded: str
    floor_lost: bool
    lacks: Sequence[str]
    """Lists of it that never came: packages, hardware, facts."""
    agent_version: str
    oldest_agent: str
    """Agents before this one are too old; empty: none is."""
    restart_pending: bool


def examined(seen: Seen) -> Iterator[Finding]:
    """Yield what is found, the first things first."""
    admitted = _admitted(seen)
    yield admitted
    if seen.state != "active":
        return
    heard = _heard(seen)
    yield heard
    if seen.heard_at is None:
        return
    yield _policy(seen)
    yield from _faults(seen)
    yield _report(seen)
    yield _scan(seen)
    yield _catalog(seen)
    yield _lists(seen)
    yield _agent(seen)
    yield _restart(seen)


def _admitted(seen: Seen) -> Finding:
    age = ago((seen.now - seen.enrolled_at).total_seconds())
    match seen.state:
        case "active":
            return fine("standing", f"let in; it enrolled {age}")
        case "expected":
            cure = "install the agent there and enrol it by this name, or retire it"
            return wrong("standing", f"expected since {age}, and never enrolled", cure)
        case "waiting":
            return wrong("standing", f"waits for approval; it enrolled {age}", "approve it")
        case "quarantined":
            cure = "its history says why; release it once that is cleared up"
            return wrong("standing", "shut out until somebody releases it", cure)
        case _:
            cure = "to come back it enrols anew, with a new token and a new key"
            return wrong("standing", "retired: its key is refused for ever", cure)


def _heard(seen: Seen) -> Finding:
    if seen.heard_at is None:
        cure = "on the machine: patchtide agent doctor"
        repair = "" if seen.full_report else FULL_REPORT
        return wrong("check-in", "it never checked in", cure, repair=repair)
    age = seen.now - seen.heard_at
    said = f"last heard {ago(age.total_seconds())}"
    if age >= seen.silent_after:
        cure = "see whether it is switched on and reaches the server; there: patchtide agent doctor"
        return wrong("check-in", said, cure)
    return fine("check-in", said)


def _policy(seen: Seen) -> Finding:
    if seen.policy_at is None:
        said = "it never said that it has its settings"
        return note("policy", said, "a newer agent takes them with its next check-ins")
    said = f"it last came with its settings {ago((seen.now - seen.policy_at).total_seconds())}"
    if seen.heard_at is not None and seen.heard_at - seen.policy_at >= seen.silent_after:
        cure = "its agent does not take newer ones; there: patchtide agent doctor"
        return wrong("policy", f"{said}, and was heard since", cure)
    return fine("policy", said)


def _faults(seen: Seen) -> Iterator[Finding]:
    if seen.degraded:
        yield wrong("agent", f"its agent says {seen.degraded}", "there: patchtide agent doctor")
    if seen.floor_lost:
        said = "it lost what guards it against older metadata, as after a restored disk"
        yield wrong("trust", said, "there: patchtide agent doctor")
    for code in seen.faults:
        if code in UPDATERS:
            yield note("updaters", UPDATERS[code], _cure_of_two(seen))
        else:
            yield wrong(code, FAULTS.get(code, code), "there: patchtide agent doctor")
    if seen.taken_over:
        said = f"{', '.join(seen.taken_over)} would install updates, and is held back by the agent"
        yield fine("updaters", said)


def _cure_of_two(seen: Seen) -> str:
    if seen.takes_over:
        return "its agent is to hold it back: wait for a check-in; else its history says why not"
    return "let one of the two install updates: turn the other off there, or have it taken over"


def _report(seen: Seen) -> Finding:
    if seen.reported_at is None:
        said = "it has never reported"
        if seen.full_report:
            return wrong("report", f"{said}; it was asked to", "wait for its next check-in")
        return wrong("report", said, "ask it for a full report", repair=FULL_REPORT)
    said = f"the last one is of {ago((seen.now - seen.reported_at).total_seconds())}"
    if seen.doubt is Doubt.STALE:
        said = f"{said}, too old to believe"
        repair = "" if seen.scan_wanted else SCAN
        return wrong("report", said, "have it scan and report", repair=repair)
    if seen.full_report:
        return note("report", f"{said}; a full one is asked for", "wait for its next check-in")
    return fine("report", said)


def _scan(seen: Seen) -> Finding:
    said = "it never looked for updates"
    if seen.scanned_at is not None:
        said = f"it last looked for updates {ago((seen.now - seen.scanned_at).total_seconds())}"
    wanted, repair = "", SCAN
    if seen.scan_wanted is not None:
        wanted, repair = f"; asked for {ago((seen.now - seen.scan_wanted).total_seconds())}", ""
    if seen.scan in ("failed", "retrying"):
        why = seen.scan_error or "it told no reason"
        cure = "mend what it met there, then have it scan"
        return wrong("scan", f"its last one failed: {why}{wanted}", cure, repair=repair)
    if wanted:
        return note("scan", f"{said}{wanted}", "wait for its next check-in")
    if seen.scanned_at is None:
        return wrong("scan", said, "have it scan", repair=SCAN)
    return fine("scan", said)


def _catalog(seen: Seen) -> Finding:
    match seen.doubt:
        case Doubt.OTHER_CATALOG:
            said = "it speaks of another catalog than this site's"
            return wrong("catalog", said, "have it report everything", repair=FULL_REPORT)
        case Doubt.OLD_CATALOG:
            said = "it looked with a catalog that is too old for some updates"
            return wrong("catalog", said, "have it scan", repair=SCAN)
    if seen.aged_catalog:
        said = "it looked with a catalog whose signatures had run out"
        return note("catalog", said, "see how it reaches the server, and its clock")
    return fine("catalog", "it looks with this site's")


def _lists(seen: Seen) -> Finding:
    if seen.lacks:
        said = f"it never told its {' and '.join(seen.lacks)}"
        return note("lists", said, "they are asked for at its next check-in")
    return fine("lists", "its packages, its hardware and its facts are known")


def _agent(seen: Seen) -> Finding:
    if is_too_old(seen.agent_version, oldest=seen.oldest_agent):
        said = f"version {seen.agent_version}, older than {seen.oldest_agent}"
        return note("agent", said, "bring a newer one there")
    return fine("agent", f"version {seen.agent_version or 'not told'}")


def is_too_old(version: str, *, oldest: str) -> bool:
    """Say whether an agent is older than is wanted; one that tells no version is."""
    wanted, found = semver_key(oldest), semver_key(version)
    return wanted is not None and (not version or (found is not None and found < wanted))


def _restart(seen: Seen) -> Finding:
    if seen.restart_pending:
        return note("restart", "the machine runs what was replaced", "restart it when it suits")
    return fine("restart", "none is pending")
