"""How the roles of a signed repository stand: versions, ends, keys, and what should be done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from patchtide.adapters.trust.drafts import State, delegate_of
from patchtide.adapters.trust.layout import DELEGATED, OFFLINE, TOP_LEVEL, half_over

ROLES = (*TOP_LEVEL, *DELEGATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleStatus:
    role: str
    version: int
    floor: int
    """No version up to this one is ever published again."""
    expires: datetime
    threshold: int
    keys: int
    keys_here: int
    warnings: tuple[str, ...]


def role_status(
    state: State, role: str, *, here: frozenset[str], floor: int, now: datetime
) -> RoleStatus:
    metadata, delegate = state[role], delegate_of(state, role)
    return RoleStatus(
        role=role,
        version=metadata.signed.version,
        floor=floor,
        expires=metadata.signed.expires,
        threshold=delegate.threshold,
        keys=len(delegate.keyids),
        keys_here=len(here.intersection(delegate.keyids)),
        warnings=tuple(_warnings(state, role, here=here, floor=floor, now=now)),
    )


def _warnings(
    state: State, role: str, *, here: frozenset[str], floor: int, now: datetime
) -> Iterator[str]:
    metadata, delegate = state[role], delegate_of(state, role)
    signs_alone = len(here.intersection(delegate.keyids)) >= delegate.threshold
    if metadata.signed.is_expired(now):
        yield "expired: machines refuse it; renew it now"
    elif half_over(metadata, role, now):
        yield "more than half of its life is over; renew it"
    if metadata.signed.version < floor:
        yield f"machines may have seen version {floor}; renew it"
    if role in OFFLINE and signs_alone:
        yield "whoever owns this server can sign for it; move its keys away"
    if role not in OFFLINE and not signs_alone:
        yield "the server cannot sign for it; nothing new reaches machines"
