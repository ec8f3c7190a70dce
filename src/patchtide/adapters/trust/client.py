"""The agent's side: the TUF client of python-tuf, behind floors of our own.

python-tuf keeps its metadata in plain files and never syncs them; after a power cut they may be
empty, and it then starts over without a word. So nothing it accepted counts before it was held
against the floors, and only then the floors rise.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from tuf.api.metadata import TargetFile
from tuf.ngclient import UpdaterConfig

from patchtide.adapters.trust.cache import MetadataCache, TargetCache
from patchtide.adapters.trust.fetcher import BUDGET_S, MetadataFetcher
from patchtide.adapters.trust.floors import Floor, FloorStore
from patchtide.adapters.trust.layout import PUBLISHER, ROOT, SIGNED_AT, SNAPSHOT, TIMESTAMP
from patchtide.adapters.trust.package_floors import check_package
from patchtide.adapters.trust.updater import TOP, ClockedUpdater, refusals
from patchtide.agent.ports.trust import (
    ClockBehind,
    Compare,
    RollbackRefused,
    SearchLimit,
    TargetAbsent,
    TrustEvent,
    TrustRefused,
)
from patchtide.agent.ports.web import Getter
from patchtide.wire.catch_up import Known
from patchtide.wire.shard_plan import role_of, target_of

MAX_DELEGATIONS = 1024
MAX_ROTATIONS = 256
CLOCK_TOLERANCE_S = 3600.0


class TrustClient:
    """Trust in one repository, kept in `folder`; the embedded root is where it begins, always."""

    def __init__(
        self,
        folder: Path,
        embedded_root: bytes,
        *,
        metadata_url: str,
        targets_url: str,
        getter: Getter,
        build_time: float,
        minimum: Mapping[str, int] | None = None,
        max_delegations: int = MAX_DELEGATIONS,
        budget_s: float = BUDGET_S,
        metadata_folder: Path | None = None,
    ) -> None:
        self._cache = MetadataCache(metadata_folder or folder / "metadata")
        self._targets = TargetCache(folder / "targets")
        self._floors = FloorStore(folder / "floors.db")
        self._embedded_root = embedded_root
        self._metadata_url = metadata_url
        self._targets_url = targets_url.rstrip("/") + "/"
        self._fetcher = MetadataFetcher(getter, budget_s=budget_s)
        self._build_time = build_time
        self._max_delegations = max_delegations
        self._updater: ClockedUpdater | None = None
        self._events: dict[TrustEvent, None] = {}
        self._note(*self._opened())
        self._minimum = dict(minimum or {})

    def refresh(self, now: float, *, root_version: int = 0) -> tuple[TrustEvent, ...]:
        """See the port `Trust`."""
        self._updater = None
        moment = self._moment(now)
        self._note(*self._cache.clean(self._floors.roles()))
        self._fetcher.restart()
        updater = self._refreshed_by(root_version, moment)
        self._hold_against_floors(updater, TOP, moment=moment, now=now)
        self._updater = updater
        if updater.root.version < root_version:
            told = (
                f"the server has root {root_version}, the repository shows {updater.root.version}"
            )
            self._note(TrustEvent("root-withheld", told))
        return self.take_events()

    def take_events(self) -> tuple[TrustEvent, ...]:
        """Return what was not told yet: after a refresh that was refused, what came before."""
        events, self._events = tuple(self._events), {}
        return events

    def read_target(self, path: str, max_size: int) -> bytes:
        """See the port `Trust`. Nothing parses a byte of it before length and hash are right."""
        info = self.find_target(path)
        if info.length > max_size:
            raise TrustRefused(f"{path} has {info.length} bytes, at most {max_size} are taken")
        kept = self._targets.read(info)
        if kept is not None:
            return kept
        folder, _, name = info.path.rpartition("/")
        url = f"{self._targets_url}{folder}{'/' if folder else ''}{_digest_of(info)}.{name}"
        self._fetcher.restart()
        with refusals():
            data = self._fetcher.download_bytes(url, info.length)
            info.verify_length_and_hashes(data)
            self._targets.keep(info, data)
        return data

    def find_target(self, path: str) -> TargetFile:
        """Return length and hashes of a file, as the role that may sign it says."""
        updater = self._current()
        self._fetcher.restart()
        with refusals():
            info, loaded = updater.search(path)
        self._hold_against_floors(updater, loaded, moment=updater.moment, now=updater.moment)
        if info is not None:
            return info
        if len(loaded) > self._max_delegations:
            raise SearchLimit(f"{path}: not found in the first {len(loaded)} roles")
        raise TargetAbsent(f"the repository has no {path}")

    def metadata(self, role: str) -> bytes:
        """Return a role's metadata as it was accepted last; empty: it was not needed yet."""
        return self._cache.read(role) if role in self._floors.roles() else b""

    def known(self, shards: Sequence[str]) -> Known | None:
        """Return what lies here of these shards, as it is told to a server; None: too little."""
        floors = self._floors.roles()
        if ROOT not in floors or SNAPSHOT not in floors:
            return None
        roles = (ROOT, SNAPSHOT, *sorted({role_of(shard) for shard in shards}))
        try:
            metadata = [self._cache.read(role) for role in roles]
            indexes = [self._targets.held(target_of(shard)) for shard in sorted(shards)]
        except OSError:  # a power cut left less: all of it is fetched anew
            return None
        return Known(
            root=floors[ROOT].version,
            snapshot=floors[SNAPSHOT].version,
            documents=(*metadata, *indexes),
        )

    def raise_floor(self, role: str, version: int) -> None:
        """See the port `Trust`."""
        if role == ROOT:
            raise TrustRefused("only a signed root raises the root")
        self._floors.raise_floor(role, version, keys=self._current().keys_of(role))

    def floor(self, role: str) -> int:
        found = self._floors.floor(role)
        return 0 if found is None else found.version

    def root_version(self) -> int:
        return self.floor(ROOT)

    def trust_seen(self) -> dict[str, bytes]:
        """Return the SHA-256 of the root, timestamp and snapshot accepted last (S44)."""
        roles = self._floors.roles()
        return {
            role: roles[role].digest
            for role in (ROOT, TIMESTAMP, SNAPSHOT)
            if role in roles and roles[role].digest
        }

    def check_package(
        self, name: str, version: str, compare: Compare, *, order: bytes = b"", now: float
    ) -> None:
        """See the port `Trust`."""
        keys = self._publisher_keys() if order else {}
        check_package(self._floors, name, version, compare, order=order, keys=keys, now=now)

    def package_installed(self, name: str, version: str, compare: Compare) -> None:
        """Raise the package's floor to what is now on the machine."""
        known = self._floors.package(name)
        if known is None or compare(known, version) < 0:
            self._floors.set_package(name, version)

    def close(self) -> None:
        self._floors.close()

    def _note(self, *events: TrustEvent) -> None:
        self._events.update(dict.fromkeys(events))

    def _opened(self) -> list[TrustEvent]:
        if self._floors.damaged:
            return [TrustEvent("floor-lost", "the floors were damaged and set aside")]
        if self._floors.fresh and not self._cache.empty():
            return [TrustEvent("floor-lost", "there are no floors, though there is metadata")]
        return []

    def _moment(self, now: float) -> float:
        """Return the time to check expiry by: never before one that has certainly passed (F16)."""
        floor = max(self._build_time, self._floors.clock())
        if now < floor - CLOCK_TOLERANCE_S:
            raise ClockBehind(f"the clock says {_iso(now)}, but {_iso(floor)} has passed")
        return max(now, floor)

    def _refreshed_by(self, root_version: int, moment: float) -> ClockedUpdater:
        """Look for a newer root unless this machine has the one that the server told of.

        A server that lies about it could as well say that there is no newer file. What the
        root here does not vouch for is no reason to refuse before the next one was looked for.
        """
        if 0 < root_version <= self.root_version():
            with suppress(TrustRefused):
                return self._refreshed(moment, rotations=0)
        return self._refreshed(moment, rotations=MAX_ROTATIONS)

    def _refreshed(self, moment: float, *, rotations: int) -> ClockedUpdater:
        with refusals():
            updater = ClockedUpdater(
                str(self._cache.folder),
                self._metadata_url,
                fetcher=self._fetcher,
                config=UpdaterConfig(
                    max_root_rotations=rotations, max_delegations=self._max_delegations
                ),
                bootstrap=self._embedded_root,
            )
            updater.begin(moment)
            updater.refresh()
        return updater

    def _hold_against_floors(
        self, updater: ClockedUpdater, roles: tuple[str, ...], *, moment: float, now: float
    ) -> None:
        """Refuse what is behind a floor; then make the cache durable and raise the floors."""
        floors = self._floors.roles()
        accepted = {role: self._as_floor(updater, role) for role in roles}
        named = {role: Floor(v, b"", updater.keys_of(role)) for role, v in updater.named().items()}
        for role, offered in {**named, **accepted}.items():
            _compare_floor(role, Floor(self._minimum.get(role, 0), b"", b""), offered)
            _compare_floor(role, floors.get(role), offered)
        signed_at = _signed_at(updater)
        if signed_at > now + CLOCK_TOLERANCE_S:
            raise ClockBehind(f"the clock says {_iso(moment)}, metadata is of {_iso(signed_at)}")
        news = [(role, floor) for role, floor in accepted.items() if floors.get(role) != floor]
        if news:
            with refusals():
                self._cache.sync()
            self._floors.accept(news, signed_at=signed_at)

    def _as_floor(self, updater: ClockedUpdater, role: str) -> Floor:
        with refusals():
            data = self._cache.read(role)
        return Floor(updater.version(role), sha256(data).digest(), updater.keys_of(role))

    def _publisher_keys(self) -> dict[bytes, bytes]:
        keys = self._current().raw_keys(PUBLISHER)
        return {sha256(raw).digest(): raw for raw in keys}

    def _current(self) -> ClockedUpdater:
        if self._updater is None:
            raise TrustRefused("nothing is trusted before a refresh")
        return self._updater


def _compare_floor(role: str, floor: Floor | None, offered: Floor) -> None:
    if floor is None or floor.begins_anew_with(offered):
        return
    if offered.version < floor.version:
        raise RollbackRefused(f"{role} {offered.version} is older than {floor.version}, seen here")
    same = offered.version == floor.version and offered.digest and floor.digest
    if same and offered.keys == floor.keys and offered.digest != floor.digest:
        raise RollbackRefused(f"there are two different versions {floor.version} of {role}")


def _signed_at(updater: ClockedUpdater) -> float:
    stated = updater.timestamp_field(SIGNED_AT)
    return float(stated) if isinstance(stated, int) and 0 < stated < 1 << 40 else 0.0


def _digest_of(info: TargetFile) -> str:
    return str(next(iter(info.hashes.values())))


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
