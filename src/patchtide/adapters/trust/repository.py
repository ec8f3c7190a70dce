"""The publisher's side: a TUF repository of what exists, signed role by role.

Everything is read from the folder at each step and nothing is kept in memory, so a crash at any
point leaves the last complete state: agents follow timestamp.json, which is replaced last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Key, Signer
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from patchtide.adapters.trust.keys import KeyFolder, public_key
from patchtide.adapters.trust.layout import (
    DELEGATED,
    FEEDS,
    LIFE,
    OFFLINE,
    ROOT,
    SIGNED_AT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    TOP_LEVEL,
    Signable,
    half_over,
    meta_file,
    no_delegations,
    paths_of,
    to_bytes,
)
from patchtide.adapters.trust.published import PublishedFiles
from patchtide.domain.errors import PatchtideError, Refused

State = dict[str, Signable]


class KeysElsewhere(PatchtideError):
    """The keys of this role are not on this server; sign on the machine that holds them."""

    code = "keys-elsewhere"


class NotSigned(Refused):
    """The metadata is not signed as its role requires."""

    code = "not-signed"


class TrustRepository:
    """The signed repository under `folder`, with what keys `keys` has."""

    def __init__(self, folder: Path, keys: KeyFolder) -> None:
        self._files = PublishedFiles(folder)
        self._keys = keys

    def create(self, now: datetime) -> None:
        """Make keys and first versions, once; goes on where an earlier attempt ended."""
        with self._files.locked():
            if self._files.current():
                return
            state = self._first_state(now)
            self._publish(state, (ROOT, TARGETS, *DELEGATED), now=now)

    def root(self) -> tuple[int, bytes]:
        """Return the newest root: its version and its bytes."""
        return self._files.root()

    def first_root(self) -> bytes:
        """Return version 1 of the root, from which every later one can be reached."""
        return self._files.root(1)[1]

    def version(self, role: str) -> int:
        return int(self._files.current()[role].signed.version)

    def metadata_digests(self) -> set[tuple[str, bytes]]:
        """Return (role, SHA-256) of what was ever published (S44)."""
        return self._files.digests()

    def keys_on_server(self) -> frozenset[str]:
        """Return the offline roles that this server could sign for by itself."""
        state = self._files.current()
        return frozenset(
            role
            for role in OFFLINE
            if self._keys.key_ids(role) & set(_delegate(state, role).keyids)
        )

    def publish(
        self, role: str, files: Mapping[str, bytes], now: datetime, *, gone: Iterable[str] = ()
    ) -> None:
        """Publish files (new or changed) of a delegated role, and drop those gone, at once.

        Raises:
            KeysElsewhere: the role's keys are not here; use `draft` and `accept`.
        """
        with self._files.locked():
            state = self._files.current()
            self._require_keys(state, role)
            state[role] = self._with_files(state[role], role, files, gone=gone, now=now)
            self._publish(state, (role,), now=now)

    def refresh_timestamp(self, now: datetime) -> None:
        """Sign a new timestamp, and what online role is half through its life; tidy up."""
        with self._files.locked():
            state = self._files.current()
            due = [FEEDS] if half_over(state[FEEDS], FEEDS, now) else []
            for role in due:
                self._renew(state[role], role, now)
            self._publish(state, due, now=now)
            self._files.prune(state, now)
            self._files.shorten_log()

    def raise_version_floor(self, role: str, version: int) -> None:
        """Never use this version or a lower one: an agent has seen it (restored server)."""
        with self._files.locked():
            if version > self._files.floor(role):
                self._files.raise_floor(role, version)

    def draft(
        self, role: str, files: Mapping[str, bytes], now: datetime, *, gone: Iterable[str] = ()
    ) -> bytes:
        """Return the role's next metadata, unsigned; the files are stored already."""
        with self._files.locked():
            metadata = self._files.current()[role]
            return to_bytes(self._with_files(metadata, role, files, gone=gone, now=now))

    def accept(self, signed: Mapping[str, bytes], now: datetime) -> None:
        """Publish metadata signed elsewhere (role -> bytes), all at once.

        Raises:
            NotSigned: a threshold is not met; nothing is published.
            Refused: not a next version, or it names files that are not stored.
        """
        with self._files.locked():
            state = self._files.current()
            before = state[ROOT]
            for role, data in signed.items():
                _take(state, role, data)
            _check_signatures(state, before)
            for role in (TARGETS, *DELEGATED):
                if missing := self._files.missing(state[role]):
                    raise Refused(f"not stored, or no more: {', '.join(missing[:3])}")
            self._publish(state, tuple(signed), now=now)

    def draft_threshold(
        self, role: str, keys: Sequence[bytes], threshold: int, now: datetime, *, keep: bool = True
    ) -> dict[str, bytes]:
        """Return what must be signed so that the role needs `threshold` of old and new keys.

        The delegator's next version (signed as before; the root also as it will be) and the
        role's own next version (signed by the new threshold). Not `keep`: the old keys go.
        """
        with self._files.locked():
            state = self._files.current()
            parent = ROOT if role in TOP_LEVEL else TARGETS
            changed = [parent] if role in (ROOT, SNAPSHOT, TIMESTAMP) else [parent, role]
            _change_keys(state[parent].signed, role, keys, threshold=threshold, keep=keep)
            for name in changed:
                self._renew(state[name], name, now)
            return {name: to_bytes(state[name]) for name in changed}

    def raise_threshold(
        self,
        role: str,
        keys: Sequence[bytes],
        threshold: int,
        *,
        now: datetime,
        signers: Sequence[Signer] = (),
        keep: bool = True,
    ) -> None:
        """Rotate to more keys and a higher threshold; `signers` hold the new (offline) keys.

        Raises:
            NotSigned: keys here and signers together do not meet a threshold.
        """
        drafts = self.draft_threshold(role, keys, threshold, now, keep=keep)
        signed = {
            name: sign_draft(draft, [*self._all_signers(name), *(signers if name == role else ())])
            for name, draft in drafts.items()
        }
        self.accept(signed, now)

    def _first_state(self, now: datetime) -> State:
        root = Root(expires=now + LIFE[ROOT])
        targets = Targets(expires=now + LIFE[TARGETS], delegations=no_delegations())
        for role in TOP_LEVEL:
            root.add_key(self._any_key(role), role)
        for role in DELEGATED:
            targets.add_key(self._any_key(role), role)
        state: State = {ROOT: Metadata(root), TARGETS: Metadata(targets)}
        for role in DELEGATED:
            state[role] = Metadata(Targets(expires=now + LIFE[role]))
        state[SNAPSHOT] = Metadata(Snapshot(version=1, expires=now + LIFE[SNAPSHOT]))
        state[TIMESTAMP] = Metadata(Timestamp(version=1, expires=now + LIFE[TIMESTAMP]))
        for role in (ROOT, TARGETS, *DELEGATED):
            self._sign(state, role)
        return state

    def _any_key(self, role: str) -> Key:
        here = self._keys.signers(role, self._keys.key_ids(role))
        return (here[0] if here else self._keys.make(role)).public_key

    def _with_files(
        self,
        metadata: Signable,
        role: str,
        files: Mapping[str, bytes],
        *,
        gone: Iterable[str],
        now: datetime,
    ) -> Signable:
        delegate = DelegatedRole(role, [], 1, terminating=True, paths=paths_of(role))
        for path, data in files.items():
            if not delegate.is_delegated_path(path) or {"", ".", ".."} & set(path.split("/")):
                raise Refused(f"{role} may not sign {path}")
            metadata.signed.targets[path] = self._files.write_target(path, data)
        for path in gone:
            metadata.signed.targets.pop(path, None)
        self._renew(metadata, role, now)
        return metadata

    def _renew(self, metadata: Signable, role: str, now: datetime) -> None:
        metadata.signed.version = self._files.floor(role) + 1
        metadata.signed.expires = now.astimezone(UTC).replace(microsecond=0) + LIFE[role]
        metadata.signatures.clear()

    def _publish(self, state: State, changed: Sequence[str], *, now: datetime) -> None:
        """Write what changed and what follows from it; the root late, the timestamp last.

        The root comes after what it vouches for: agents fetch a new root as soon as it is there.
        """
        for role in changed:
            if not state[role].signatures:
                self._sign(state, role)
        self._follow(state, [role for role in changed if role != ROOT], now)
        late = [SNAPSHOT, ROOT, TIMESTAMP] if ROOT in changed else [SNAPSHOT, TIMESTAMP]
        for role in (*(name for name in changed if name != ROOT), *late):
            self._write(state, role)

    def _follow(self, state: State, changed: Sequence[str], now: datetime) -> None:
        snapshot, timestamp = state[SNAPSHOT], state[TIMESTAMP]
        for role in changed:
            snapshot.signed.meta[f"{role}.json"] = meta_file(state[role])
        old = not _is_signed(state, SNAPSHOT) or half_over(snapshot, SNAPSHOT, now)
        if changed or old:
            self._renew(snapshot, SNAPSHOT, now)
            self._sign(state, SNAPSHOT)
        # Its version alone: both are signed here and now by keys that lie side by side, so a hash
        # would prove nothing more, and every machine fetches this file every day.
        timestamp.signed.snapshot_meta = MetaFile(snapshot.signed.version)
        timestamp.signed.unrecognized_fields[SIGNED_AT] = int(now.timestamp())
        self._renew(timestamp, TIMESTAMP, now)
        self._sign(state, TIMESTAMP)

    def _write(self, state: State, role: str) -> None:
        metadata = state[role]
        self._files.write(role, metadata.signed.version, to_bytes(metadata))

    def _require_keys(self, state: State, role: str) -> None:
        delegate = _delegate(state, role)
        if len(self._keys.key_ids(role) & set(delegate.keyids)) < delegate.threshold:
            raise KeysElsewhere(f"the keys of {role} are not all on this server")

    def _sign(self, state: State, role: str) -> None:
        self._require_keys(state, role)
        metadata = state[role]
        metadata.signatures.clear()
        for signer in self._keys.signers(role, _delegate(state, role).keyids):
            metadata.sign(signer, append=True)

    def _all_signers(self, role: str) -> list[CryptoSigner]:
        """Return the role's signers here whose keys count now: a retired key signs nothing."""
        current = _delegate(self._files.current(), role).keyids
        return self._keys.signers(role, current)


def sign_draft(draft: bytes, signers: Iterable[Signer]) -> bytes:
    """Add signatures to metadata, on whatever machine holds the keys."""
    metadata: Signable = Metadata.from_bytes(draft)
    for signer in signers:
        metadata.sign(signer, append=True)
    return to_bytes(metadata)


def _delegate(state: State, role: str) -> Role:
    parent: Root | Targets = state[ROOT if role in TOP_LEVEL else TARGETS].signed
    return parent.get_delegated_role(role)


def _is_signed(state: State, role: str, parent: Signable | None = None) -> bool:
    delegator = parent or state[ROOT if role in TOP_LEVEL else TARGETS]
    metadata = state[role]
    try:
        delegator.signed.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except UnsignedMetadataError:
        return False
    return True


def _check_signatures(state: State, before: Signable) -> None:
    unsigned = [role for role in (ROOT, TARGETS, *DELEGATED) if not _is_signed(state, role)]
    if not _is_signed(state, ROOT, before):
        unsigned.append(f"{ROOT} (by its former keys)")
    if unsigned:
        raise NotSigned(f"not signed as required: {', '.join(unsigned)}")


def _take(state: State, role: str, data: bytes) -> None:
    try:
        metadata: Signable = Metadata.from_bytes(data)
    except RepositoryError as error:
        raise Refused(f"this is no metadata: {error}") from error
    before = state[role].signed
    if metadata.signed.type != before.type:
        raise Refused(f"{metadata.signed.type} metadata cannot be {role}")
    if metadata.signed.version <= before.version:
        raise Refused(f"version {metadata.signed.version} of {role} is not a next one")
    if role == ROOT and metadata.signed.version != before.version + 1:
        raise Refused(f"root {metadata.signed.version} does not follow {before.version}")
    state[role] = metadata


def _change_keys(
    parent: Root | Targets, role: str, keys: Sequence[bytes], *, threshold: int, keep: bool
) -> None:
    old = [] if keep else list(parent.get_delegated_role(role).keyids)
    for raw in keys:
        parent.add_key(public_key(raw), role)
    for key_id in old:
        parent.revoke_key(key_id, role)
    delegate = parent.get_delegated_role(role)
    if not 1 <= threshold <= len(delegate.keyids):
        raise Refused(f"{threshold} of {len(delegate.keyids)} keys cannot be required")
    delegate.threshold = threshold
