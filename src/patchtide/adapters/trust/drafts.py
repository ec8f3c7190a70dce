"""Metadata in the making: whose signatures it needs, adding them, and whether they are there.

A state is one metadata a role, as it is published or as it is about to be.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, Role, Root, Snapshot, Targets, Timestamp

from patchtide.adapters.trust.keys import public_key
from patchtide.adapters.trust.layout import (
    DELEGATED,
    DELEGATING,
    LIFE,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    TOP_LEVEL,
    Signable,
    no_delegations,
    to_bytes,
)
from patchtide.adapters.trust.proofreading import check_shape
from patchtide.domain.errors import Refused

State = dict[str, Signable]


class NotSigned(Refused):
    """The metadata is not signed as its role requires."""

    code = "not-signed"


def first_state(key_of: Callable[[str], Key], now: datetime) -> State:
    """Return a new site's first versions, not signed yet."""
    root = Root(expires=now + LIFE[ROOT])
    targets = Targets(expires=now + LIFE[TARGETS], delegations=no_delegations())
    for role in TOP_LEVEL:
        root.add_key(key_of(role), role)
    for role in DELEGATED:
        targets.add_key(key_of(role), role)
    state: State = {ROOT: Metadata(root), TARGETS: Metadata(targets)}
    for role in DELEGATED:
        state[role] = Metadata(Targets(expires=now + LIFE[role]))
    state[SNAPSHOT] = Metadata(Snapshot(version=1, expires=now + LIFE[SNAPSHOT]))
    state[TIMESTAMP] = Metadata(Timestamp(version=1, expires=now + LIFE[TIMESTAMP]))
    return state


def sign_draft(draft: bytes, signers: Iterable[Signer]) -> bytes:
    """Add signatures to metadata, on whatever machine holds the keys."""
    metadata = read_draft(draft)
    for signer in signers:
        metadata.sign(signer, append=True)
    return to_bytes(metadata)


def merge_signatures(draft: bytes, signed: bytes, counting: Collection[str]) -> bytes:
    """Return the draft with those signatures of the other that are by these keys.

    Raises:
        Refused: the other says something else than the draft, or is none.
    """
    held, brought = read_draft(draft), read_draft(signed)
    if held.signed_bytes != brought.signed_bytes:
        raise Refused("what was signed is not the draft that is here")
    more = {key: one for key, one in brought.signatures.items() if key in counting}
    held.signatures.update(more)
    return to_bytes(held)


def counted_signatures(state: State, role: str, draft: bytes) -> tuple[frozenset[str], int]:
    """Return the keys whose signatures count for the role, and how many are needed."""
    metadata = read_draft(draft)
    parent: Root | Targets = state[ROOT if role in TOP_LEVEL else TARGETS].signed
    found = parent.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    return frozenset(found.signed), found.threshold


def read_draft(data: bytes) -> Signable:
    """Return metadata as somebody brought it.

    Raises:
        Refused: it is none.
    """
    try:
        return Metadata.from_bytes(data)
    except RepositoryError as error:
        raise Refused(f"this is no metadata: {error}") from error


def counting_keys(before: State, drafts: Mapping[str, Signable], role: str) -> frozenset[str]:
    """Return the ids of the keys that can sign this draft: the root's also by its former keys."""
    after = {**before, **drafts}
    counting = set(delegate_of(after, role).keyids)
    if role == ROOT:
        counting |= set(delegate_of(before, ROOT).keyids)
    return frozenset(counting)


def delegate_of(state: State, role: str) -> Role:
    parent: Root | Targets = state[ROOT if role in TOP_LEVEL else TARGETS].signed
    return parent.get_delegated_role(role)


def signers(state: State, delegating: str) -> dict[str, str]:
    """Return role -> "2 of <key id> <key id> <key id>", for the roles that this one names."""
    found = {role: delegate_of(state, role) for role in DELEGATING[delegating]}
    return {name: f"{x.threshold} of {' '.join(sorted(x.keyids))}" for name, x in found.items()}


def is_signed(state: State, role: str, parent: Signable | None = None) -> bool:
    delegator = parent or state[ROOT if role in TOP_LEVEL else TARGETS]
    metadata = state[role]
    try:
        delegator.signed.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except UnsignedMetadataError:
        return False
    return True


def check_signatures(state: State, before: Signable) -> None:
    unsigned = [role for role in (ROOT, TARGETS, *DELEGATED) if not is_signed(state, role)]
    if not is_signed(state, ROOT, before):
        unsigned.append(f"{ROOT} (by its former keys)")
    if unsigned:
        raise NotSigned(f"not signed as required: {', '.join(unsigned)}")


def refuse_online(roles: Iterable[str]) -> None:
    """Snapshot and timestamp follow from the others; a server signs both itself, and last."""
    if online := sorted({SNAPSHOT, TIMESTAMP}.intersection(roles)):
        raise Refused(f"{' and '.join(online)}: the server signs this itself; nobody drafts it")


def take_draft(state: State, role: str, data: bytes, *, floor: int, now: datetime) -> None:
    metadata = read_draft(data)
    check_shape(role, metadata)
    before = state[role].signed
    if metadata.signed.type != before.type:
        raise Refused(f"{metadata.signed.type} metadata cannot be {role}")
    if metadata.signed.version <= max(before.version, floor):
        raise Refused(f"version {metadata.signed.version} of {role} is not a next one")
    if role == ROOT and metadata.signed.version != before.version + 1:
        raise Refused(f"root {metadata.signed.version} does not follow {before.version}")
    if not now < metadata.signed.expires <= now + LIFE[role]:
        raise Refused(
            f"{role} would end on {metadata.signed.expires:%Y-%m-%d},"
            f" and must live for {LIFE[role].days} days at most; draft it anew"
        )
    state[role] = metadata


def change_keys(
    parent: Root | Targets, role: str, keys: Sequence[bytes], *, threshold: int, keep: bool
) -> None:
    new = [public_key(raw) for raw in keys]
    staying = {key.keyid for key in new}
    old = set() if keep else set(parent.get_delegated_role(role).keyids) - staying
    for key in new:
        parent.add_key(key, role)
    for key_id in sorted(old):
        parent.revoke_key(key_id, role)
    delegate = parent.get_delegated_role(role)
    if not 1 <= threshold <= len(delegate.keyids):
        raise Refused(f"{threshold} of {len(delegate.keyids)} keys cannot be required")
    delegate.threshold = threshold
