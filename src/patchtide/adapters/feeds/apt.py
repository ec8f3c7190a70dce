"""The apt feed: this machine's own sources, verified, as updates. Installs nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from patchtide.adapters.feeds.apt_changelog import described, read_changelog, since
from patchtide.adapters.feeds.apt_documents import ChangelogShelf, Documents, documents_of
from patchtide.adapters.feeds.apt_lists import AptLists, IndexFile, sources_in, trusted_in
from patchtide.adapters.feeds.apt_packages import read_packages
from patchtide.adapters.feeds.apt_release import Release, SuiteKind, read_release
from patchtide.adapters.feeds.apt_signature import Run, signed_text
from patchtide.adapters.feeds.apt_sources import Source, read_sources, source_key
from patchtide.adapters.feeds.apt_updates import (
    OFFERS,
    Index,
    Platform,
    platform_of,
    updates_of,
)
from patchtide.adapters.feeds.errors import FeedExpired, NoFeed
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.server.ports.feed import FeedContent

ETC = Path("/etc/apt")
_CLOCKS_DIFFER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Suite:
    """A verified suite and its indices."""

    release: Release
    files: Sequence[IndexFile]


class AptFeed:
    """What the sources under `etc` offer. `folder` is the feed's own and may be emptied.

    With `lists` (`/var/lib/apt/lists`) it is read what the machine's own apt has fetched; such a
    feed has nothing to fetch.
    """

    def __init__(
        self, folder: Path, *, run: Run, etc: Path = ETC, lists: Path | None = None
    ) -> None:
        self._etc = etc
        self._run = run
        self._lists = AptLists(folder, etc=etc, run=run, lists=lists)
        self._changelogs = folder.absolute() / "changelogs"
        self._documents: dict[str, Documents] = {}

    def fetch(self) -> None:
        """Bring the lists here.

        Raises:
            FeedUnreachable, FeedNotSigned, FeedDamaged
        """
        self._lists.fetch()

    def read(self, *, now: datetime) -> FeedContent:
        """Return all updates of the security and updates suites.

        Raises:
            FeedNotSigned, FeedDamaged, FeedExpired: of any suite; then none counts.
            NoFeed: the sources have no such suite.
        """
        suites = [suite for suite in self._suites(now) if suite.release.kind is not SuiteKind.ASIDE]
        shards: dict[str, list[FeedUpdate]] = defaultdict(list)
        for group in _by_vendor(suites):
            platform = platform_of(suite.release for suite in group)
            if platform is not None:
                shards[platform.shard] += self._updates(group, platform)
        if not shards:
            raise NoFeed(f"{self._etc}: no source there is a security or an updates suite")
        return FeedContent(
            shards={shard: tuple(updates) for shard, updates in shards.items()},
            as_of={f"{s.release.origin} {s.files[0].suite}": s.release.date for s in suites},
            stamp=_stamp(suites),
        )

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        """Return updates of the last `read` with their CVEs, as far as changelogs can be had."""
        known = {u.details.vendor_id: self._documents[u.details.vendor_id] for u in updates}
        shelf = ChangelogShelf(
            self._changelogs, run=self._run, configuration=self._lists.configuration()
        )
        texts = shelf.changelogs(known)
        return [_described(u, texts.get(u.details.vendor_id, ""), known) for u in updates]

    def _suites(self, now: datetime) -> Iterator[_Suite]:
        sources = {source_key(s.uri, s.suite): s for s in read_sources(sources_in(self._etc))}
        files: dict[Path, list[IndexFile]] = defaultdict(list)
        for index in self._lists.indices():
            files[index.release].append(index)
        for path, indices in sorted(files.items()):
            source = sources.get(source_key(indices[0].uri, indices[0].suite))
            # A local folder without signatures holds nothing of a vendor's.
            if source is not None and path.is_file():
                yield _Suite(self._release(path, source, now=now), indices)

    def _release(self, path: Path, source: Source, *, now: datetime) -> Release:
        trusted = trusted_in(self._etc)
        text = signed_text(path, source.signed_by, trusted=trusted, run=self._run)
        release = read_release(text)
        until = release.valid_until
        if source.may_expire and until is not None and until < now:
            raise FeedExpired(
                f"{source.uri} {source.suite}: valid until {until:%Y-%m-%d %H:%M} UTC"
            )
        if release.date > now + _CLOCKS_DIFFER:
            raise FeedExpired(f"{source.uri} {source.suite} is of the future; look at the clock")
        return release

    def _updates(self, group: Sequence[_Suite], platform: Platform) -> Iterator[FeedUpdate]:
        offers = [i for suite in group if suite.release.kind in OFFERS for i in self._read(suite)]
        names: dict[str, set[str]] = defaultdict(set)
        for index in offers:
            names[index.architecture].update(package.name for package in index.packages)
        # A release is large, and only what has an update says anything here.
        released = [
            index
            for suite in group
            if suite.release.kind is SuiteKind.RELEASE
            for index in self._read(suite, names)
        ]
        self._documents.update(documents_of(offers, released))
        return updates_of([*offers, *released], platform)

    def _read(self, suite: _Suite, names: Mapping[str, set[str]] | None = None) -> Iterator[Index]:
        for file in suite.files:
            wanted = None if names is None else names[file.architecture]
            with self._lists.opened(file, suite.release) as stream:
                packages = tuple(read_packages(stream, wanted))
            yield Index(
                release=suite.release,
                architecture=file.architecture,
                packages=packages,
                uri=file.uri,
            )


def _by_vendor(suites: Iterable[_Suite]) -> Iterator[Sequence[_Suite]]:
    """Yield the suites that belong to one release and have something to offer."""
    groups: dict[tuple[str, str], list[_Suite]] = defaultdict(list)
    for suite in suites:
        groups[suite.release.origin, suite.release.codename].append(suite)
    for group in groups.values():
        if any(suite.release.kind in OFFERS for suite in group):
            yield group


def _described(update: FeedUpdate, text: str, known: Mapping[str, Documents]) -> FeedUpdate:
    entries = since(read_changelog(text), known[update.details.vendor_id].released)
    return replace(update, details=described(update.details, entries)) if entries else update


def _stamp(suites: Iterable[_Suite]) -> bytes:
    """The verified hashes stand for all that is read through them."""
    digest = sha256(b"patchtide-apt-feed-1\0")
    for suite in suites:
        for file in suite.files:
            said = suite.release.indices.get(file.key)
            digest.update(f"{file.uri} {file.suite} {file.key} {said}\n".encode())
    return digest.digest()
