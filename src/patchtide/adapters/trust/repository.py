"""The publisher's side: a TUF repository of what exists, signed role by role.

Everything is read from the folder at each step and nothing is kept in memory, so a crash at any
point leaves the last complete state: agents follow timestamp.json, which is replaced last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import DelegatedRole, MetaFile

from patchtide.adapters.trust.drafts import (
    State,
    change_keys,
    check_signatures,
    counting_keys,
    delegate_of,
    first_state,
    is_signed,
    read_draft,
    refuse_online,
    sign_draft,
    signers,
    take_draft,
)
from patchtide.adapters.trust.inspection import ROLES, RoleStatus, role_status
from patchtide.adapters.trust.keys import KeyFolder, KeysElsewhere, raw_public_key
from patchtide.adapters.trust.layout import (
    DELEGATED,
    DELEGATING,
    LIFE,
    ROOT,
    SIGNED_AT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    TOP_LEVEL,
    Signable,
    half_over,
    meta_file,
    paths_of,
    to_bytes,
)
from patchtide.adapters.trust.published import PublishedFiles
from patchtide.domain.errors import Refused

FRESH_FOR = timedelta(days=1)


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
        """Return what the site is known by: machines and publishers begin with it."""
        return self._files.roots()[0]

    def state(self) -> State:
        """Return what is in force, by role."""
        return self._files.current()

    def version(self, role: str) -> int:
        return int(self._files.current()[role].signed.version)

    def mark(self) -> object:
        """Return what changes whenever something is published."""
        return self._files.mark()

    def delegations(self) -> dict[str, tuple[int, dict[str, str]]]:
        """Return the version of root and targets, and who must sign for each role they name."""
        state = self._files.current()
        return {role: (state[role].signed.version, signers(state, role)) for role in DELEGATING}

    def metadata_digests(self) -> set[tuple[str, bytes]]:
        """Return (role, SHA-256) of what was ever published (S44)."""
        return self._files.digests()

    def status(self, now: datetime) -> list[RoleStatus]:
        """Say how every role stands."""
        state = self._files.current()
        return [
            role_status(
                state,
                role,
                here=self._keys.key_ids(role),
                floor=self._files.floor(role),
                now=now.astimezone(UTC),
            )
            for role in ROLES
        ]

    def unused_keys(self) -> list[tuple[str, str]]:
        """Return (role, key id) of keys here that sign nothing: retired, or made for a draft."""
        state = self._files.current()
        return [
            (role, key)
            for role, key in self._keys.all_ids()
            if role not in ROLES or key not in delegate_of(state, role).keyids
        ]

    def require_keys(self, role: str) -> None:
        self._require_keys(self._files.current(), role)

    def signed(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return those of the files that delegated roles sign for now."""
        return self._files.signed(self._files.current(), paths)

    def superseded(
        self, last: str, before: datetime, tidy: Callable[[list[bytes], list[bytes]], None]
    ) -> None:
        """Call with the files of this last name in force, and those that were until before then.

        Nobody can publish meanwhile.
        """
        with self._files.locked():
            state = self._files.current()
            paths = {
                path
                for role in DELEGATED
                for path in state[role].signed.targets
                if path.endswith(f"/{last}")
            }
            left = self._files.unnamed(state, last, before.timestamp())
            tidy(list(self._files.signed(state, paths).values()), left)

    def publish(
        self,
        role: str,
        files: Mapping[str, bytes],
        now: datetime,
        *,
        gone: Iterable[str] = (),
        check: Callable[[Mapping[str, bytes]], None] | None = None,
    ) -> None:
        """Publish files (new or changed) of a delegated role, and drop those gone, at once.

        `check` is given what is signed for these paths, while nobody else can publish; what it
        raises ends this.

        Raises:
            KeysElsewhere: the role's keys are not here; use `draft` and `accept`.
        """
        with self._files.locked():
            state = self._files.current()
            self._require_keys(state, role)
            if check is not None:
                check(self._files.signed(state, files))
            state[role] = self._with_files(state[role], role, files, gone=gone, now=now)
            self._publish(state, (role,), now=now)

    def refresh_timestamp(self, now: datetime, *, snapshot: bool = False) -> None:
        """Sign a new timestamp, and a snapshot if asked or due, and what else is due; tidy up."""
        with self._files.locked():
            state = self._files.current()
            if snapshot:
                state[SNAPSHOT].signatures.clear()
            due = [role for role in (ROOT, TARGETS, *DELEGATED) if self._is_due(state, role, now)]
            for role in due:
                self._renewed(state[role], role, now)
            self._publish(state, due, now=now)
            self._files.prune(state, now)
            self._files.shorten_log(now)

    def keep_fresh(self, now: datetime) -> None:
        """Refresh the timestamp if it was signed a day ago or earlier."""
        with self._files.locked():
            signed_at = self._files.current()[TIMESTAMP].signed.unrecognized_fields[SIGNED_AT]
        if now.timestamp() - signed_at >= FRESH_FOR.total_seconds():
            self.refresh_timestamp(now)

    def raise_version_floor(self, role: str, version: int) -> None:
        """Never use this version or a lower one: an agent has seen it (restored server).

        Raises:
            Refused: for the root, whose versions follow each other without a gap.
        """
        if role == ROOT:
            raise Refused("versions of the root have no gaps; put its newest files back instead")
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
        refuse_online(signed)
        with self._files.locked():
            state = self._files.current()
            before = state[ROOT]
            for role, data in signed.items():
                take_draft(state, role, data, floor=self._files.floor(role), now=now)
            check_signatures(state, before)
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
            change_keys(state[parent].signed, role, keys, threshold=threshold, keep=keep)
            for name in changed:
                self._renewed(state[name], name, now)
            return {name: to_bytes(state[name]) for name in changed}

    def make_key(self, role: str) -> bytes:
        """Make a key that lies here; it counts once the role is changed to have it."""
        return raw_public_key(self._keys.make(role))

    def draft_renewal(self, roles: Collection[str], now: datetime) -> dict[str, bytes]:
        """Return what must be signed so that the roles live on as they are.

        Raises:
            Refused: for snapshot and timestamp, which `refresh_timestamp` signs.
        """
        refuse_online(roles)
        with self._files.locked():
            state = self._files.current()
            return {role: to_bytes(self._renewed(state[role], role, now)) for role in roles}

    def signed_here(
        self, drafts: Mapping[str, bytes], signers: Sequence[Signer] = ()
    ) -> dict[str, bytes]:
        """Return the drafts with the signatures of keys here and of signers, where they count."""
        state = self._files.current()
        read = {role: read_draft(data) for role, data in drafts.items()}
        signed = {}
        for role, data in drafts.items():
            counting = counting_keys(state, read, role)
            more = [s for s in signers if s.public_key.keyid in counting]
            signed[role] = sign_draft(data, [*self._keys.signers(role, counting), *more])
        return signed

    def _first_state(self, now: datetime) -> State:
        state = first_state(self._any_key, now)
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
            self._files.leave(metadata.signed.targets.get(path))
            metadata.signed.targets[path] = self._files.write_target(path, data)
        for path in gone:
            self._files.leave(metadata.signed.targets.pop(path, None))
        return self._renewed(metadata, role, now)

    def _is_due(self, state: State, role: str, now: datetime) -> bool:
        is_old = half_over(state[role], role, now)
        if not is_old and state[role].signed.version >= self._files.floor(role):
            return False
        return self._can_sign(state, role)

    def _renewed(self, metadata: Signable, role: str, now: datetime) -> Signable:
        metadata.signed.version = self._files.floor(role) + 1
        metadata.signed.expires = now.astimezone(UTC).replace(microsecond=0) + LIFE[role]
        metadata.signatures.clear()
        return metadata

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
            self._write(state, role, now)

    def _follow(self, state: State, changed: Sequence[str], now: datetime) -> None:
        snapshot, timestamp = state[SNAPSHOT], state[TIMESTAMP]
        for role in changed:
            snapshot.signed.meta[f"{role}.json"] = meta_file(state[role])
        old = (
            not is_signed(state, SNAPSHOT)
            or half_over(snapshot, SNAPSHOT, now)
            or snapshot.signed.version < self._files.floor(SNAPSHOT)
        )
        if changed or old:
            self._renewed(snapshot, SNAPSHOT, now)
            self._sign(state, SNAPSHOT)
        # Its version alone: both are signed here and now by keys that lie side by side, so a hash
        # would prove nothing more, and every machine fetches this file every day.
        timestamp.signed.snapshot_meta = MetaFile(snapshot.signed.version)
        timestamp.signed.unrecognized_fields[SIGNED_AT] = int(now.timestamp())
        self._renewed(timestamp, TIMESTAMP, now)
        self._sign(state, TIMESTAMP)

    def _write(self, state: State, role: str, now: datetime) -> None:
        metadata = state[role]
        self._files.write(role, metadata.signed.version, to_bytes(metadata), now=now)

    def _can_sign(self, state: State, role: str) -> bool:
        delegate = delegate_of(state, role)
        return len(self._keys.key_ids(role) & set(delegate.keyids)) >= delegate.threshold

    def _require_keys(self, state: State, role: str) -> None:
        if not self._can_sign(state, role):
            raise KeysElsewhere(f"the keys of {role} are not all on this server")

    def _sign(self, state: State, role: str) -> None:
        self._require_keys(state, role)
        metadata = state[role]
        metadata.signatures.clear()
        for signer in self._keys.signers(role, delegate_of(state, role).keyids):
            metadata.sign(signer, append=True)
