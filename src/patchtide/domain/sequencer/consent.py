"""May this be installed? Only what the catalog and the envelope's fragments both name.

The catalog says what exists and who vouches for it; the fragments say what this machine is to
do. Whoever owns the server can write fragments and feeds, so neither is enough: a feed's update
counts only if the machine itself has verified the vendor's signature, and the site's own
updates and agent builds only if the roles signed them whose keys the server does not hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

File = tuple[bytes, int]
"""SHA-256 and length."""


class Origin(StrEnum):
    """Who vouches for an update. The value is the role that must have signed it."""

    FEED = "feeds"
    PUBLISHER = "publisher"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An update as the catalog has it."""

    number: int
    revision: int
    files: frozenset[File]
    origin: Origin
    signed_by: str
    """The role whose signed file it was read from."""
    is_understood: bool = True
    """This version knows how its state is found and how it is installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """An update as a fragment of this machine's envelope has it."""

    number: int
    revision: int
    files: frozenset[File]
    not_before: float = 0.0
    valid_until: float
    lease: float = 0.0
    """When the machine's place in a wave or its group's lock runs out; 0: it needs none."""
    stopped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What is about to be installed, as measured on this machine."""

    number: int
    revision: int
    files: frozenset[File]
    vendor_verified: bool = False
    """The machine has verified the vendor's signature over every file."""


class Reason(StrEnum):
    """Why it may not be installed."""

    NOTHING = "nothing-to-install"
    NOT_IN_CATALOG = "not-in-catalog"
    NOT_ASSIGNED = "not-assigned"
    OTHER_REVISION = "revision-differs"
    NOT_UNDERSTOOD = "not-understood"
    NOT_AS_LISTED = "files-differ-from-catalog"
    NOT_AS_ASSIGNED = "files-differ-from-assignment"
    NOT_BY_VENDOR = "vendor-not-verified"
    WRONG_ROLE = "signed-by-the-wrong-role"
    STOPPED = "stopped"
    TOO_EARLY = "too-early"
    EXPIRED = "assignment-expired"
    LEASE_OVER = "lease-run-out"


@dataclass(frozen=True, slots=True)
class Grant:
    files: frozenset[File]
    """What may be opened, and nothing else."""


@dataclass(frozen=True, slots=True)
class Deny:
    reasons: tuple[tuple[int, Reason], ...]
    """(update's number, why), every reason there is."""


def may_install(
    candidates: Iterable[Candidate],
    *,
    catalog: Mapping[int, Listed],
    assigned: Mapping[int, Assigned],
    now: float,
) -> Grant | Deny:
    """Grant all of it or nothing: part of what was planned together is another plan."""
    asked = tuple(candidates)
    reasons = [(c.number, r) for c in asked for r in _objections(c, catalog, assigned, now=now)]
    if not asked:
        reasons.append((0, Reason.NOTHING))
    return _verdict(asked, reasons)


def may_stage(
    candidates: Iterable[Candidate],
    *,
    catalog: Mapping[int, Listed],
    assigned: Mapping[int, Assigned],
    now: float,
) -> Grant | Deny:
    """Say whether files may be fetched at all, before there is anything of the vendor's to verify.

    Everything else is asked as before an installation; which will be asked as a whole again.
    """
    asked = tuple(candidates)
    verdict = may_install(asked, catalog=catalog, assigned=assigned, now=now)
    if isinstance(verdict, Grant):
        return verdict
    return _verdict(asked, [r for r in verdict.reasons if r[1] is not Reason.NOT_BY_VENDOR])


def _verdict(asked: tuple[Candidate, ...], reasons: list[tuple[int, Reason]]) -> Grant | Deny:
    if reasons:
        return Deny(tuple(reasons))
    return Grant(frozenset().union(*(c.files for c in asked)))


def _objections(
    candidate: Candidate,
    catalog: Mapping[int, Listed],
    assigned: Mapping[int, Assigned],
    *,
    now: float,
) -> Iterator[Reason]:
    listed = catalog.get(candidate.number)
    if listed is None:
        yield Reason.NOT_IN_CATALOG
    else:
        yield from _against_catalog(candidate, listed)
    order = assigned.get(candidate.number)
    if order is None:
        yield Reason.NOT_ASSIGNED
    else:
        yield from _against_order(candidate, order, now)
    revisions = {x.revision for x in (candidate, listed, order) if x is not None}
    if len(revisions) > 1:
        yield Reason.OTHER_REVISION


def _against_catalog(candidate: Candidate, listed: Listed) -> Iterator[Reason]:
    if not listed.is_understood:
        yield Reason.NOT_UNDERSTOOD
    if not candidate.files or not candidate.files <= listed.files:
        yield Reason.NOT_AS_LISTED
    if listed.signed_by != listed.origin.value:
        yield Reason.WRONG_ROLE
    if listed.origin is Origin.FEED and not candidate.vendor_verified:
        yield Reason.NOT_BY_VENDOR


def _against_order(candidate: Candidate, order: Assigned, now: float) -> Iterator[Reason]:
    if not candidate.files <= order.files:
        yield Reason.NOT_AS_ASSIGNED
    if order.stopped:
        yield Reason.STOPPED
    if now < order.not_before:
        yield Reason.TOO_EARLY
    if now >= order.valid_until:
        yield Reason.EXPIRED
    if order.lease and now >= order.lease:
        yield Reason.LEASE_OVER
