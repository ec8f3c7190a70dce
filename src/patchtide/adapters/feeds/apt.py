"""The apt feed: this machine's own sources, verified, as updates. Installs nothing."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from patchtide import __version__
from patchtide.adapters.feeds.apt_beside import as_updates, beside, of_use
from patchtide.adapters.feeds.apt_changelog import described, read_changelog, since
from patchtide.adapters.feeds.apt_documents import ChangelogShelf, Documents, documents_of
from patchtide.adapters.feeds.apt_lists import AptLists, IndexFile, sources_in, trusted_in
from patchtide.adapters.feeds.apt_narrowing import narrowed, narrowed_text
from patchtide.adapters.feeds.apt_packages import package_names, read_packages
from patchtide.adapters.feeds.apt_release import Release, SuiteKind, read_release
from patchtide.adapters.feeds.apt_signed import vendor_indexes
from patchtide.adapters.feeds.apt_sources import Source, read_sources, source_key
from patchtide.adapters.feeds.apt_updates import (
    OFFERS,
    Index,
    Platform,
    platform_of,
    updates_of,
)
from patchtide.adapters.feeds.apt_vendors import (
    KEYRINGS,
    Suite,
    by_release,
    heard,
    keyring_of,
)
from patchtide.adapters.feeds.errors import FeedDamaged, FeedExpired, FeedNotSigned, NoFeed
from patchtide.adapters.feeds.proxy import Proxy
from patchtide.adapters.feeds.signature import is_signed, signed_text
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.catalog.selection import Selection
from patchtide.domain.errors import PatchtideError
from patchtide.server.ports.feed import FeedContent, Tried, VendorIndex
from patchtide.wire.vendor_signatures import Run

ETC = Path("/etc/apt")
_CLOCKS_DIFFER = timedelta(hours=1)
_OLD = timedelta(days=30)
"""A suite that offers updates and names no end of its time is worth a word after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What was verified: all that is read, and said, follows from this."""

    suites: Sequence[Suite]
    missing: Sequence[str]
    note: str

    @property
    def stamp(self) -> bytes:
        """The verified hashes stand for all that is read through them."""
        digest = sha256(b"patchtide-apt-feed-2\0" + f"{__version__}\0{self.note}\0".encode())
        for suite in self.suites:
            for file in suite.files:
                said = suite.release.indices.get(file.key)
                digest.update(f"{file.uri} {file.suite} {file.key} {said}\n".encode())
        return digest.digest()


class AptFeed:
    """What the sources under `etc` offer. `folder` is the feed's own and may be emptied.

    With `lists` (`/var/lib/apt/lists`) it is read what the machine's own apt has fetched; such a
    feed has nothing to fetch. `keyrings` is where distributions keep their own archives' keys.
    """

    def __init__(
        self,
        folder: Path,
        *,
        run: Run,
        etc: Path = ETC,
        lists: Path | None = None,
        keyrings: Path = KEYRINGS,
        proxy: Proxy | None = None,
    ) -> None:
        self._etc = etc.absolute()
        self._keyrings = keyrings
        self._run = run
        self._lists = AptLists(folder, etc=etc, run=run, lists=lists, proxy=proxy)
        self._changelogs = folder.absolute() / "changelogs"
        self._left = folder.absolute() / "left-out.json"
        self._documents: dict[str, Documents] = {}

    def fetch(self, selection: Selection | None = None) -> None:
        """Bring the lists here, those alone in which anything is that is chosen.

        Raises:
            FeedUnreachable, FeedNotSigned, FeedDamaged
        """
        self._narrow(selection or {})
        self._lists.fetch()

    def _narrow(self, selection: Selection) -> None:
        texts = sources_in(self._etc)
        sources = read_sources(texts)
        found = narrowed(sources, selection, self._peek) if selection else None
        if found is None or found.wanted == {(s.uri, s.suite) for s in sources}:
            self._left.unlink(missing_ok=True)
            return self._lists.follow(None)
        # First what is not told any more: between the two steps that is only less, never wrong.
        said = {"shards": found.shards, "products": found.products}
        self._left.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._left.write_text(json.dumps(said), "utf-8")
        return self._lists.follow(
            {name: narrowed_text(name, text, found.wanted) for name, text in texts.items()}
        )

    def _peek(self, source: Source) -> Release | None:
        try:
            path = self._lists.release_at(source.release_address)
            if path is None:
                return None
            trusted = trusted_in(self._etc)
            signed = signed_text(path, source.signed_by, trusted=trusted, run=self._run)
            return read_release(signed.text)
        except PatchtideError:  # apt will say what it is
            return None

    def _left_out(self) -> Mapping[str, Sequence[str]]:
        """Return the shards, and their products, of which nothing is chosen."""
        try:
            said = json.loads(self._left.read_text("utf-8"))
            return {name: list(map(str, said[name])) for name in ("shards", "products")}
        except (OSError, ValueError, KeyError, TypeError):
            return {"shards": (), "products": ()}

    def places(self) -> Sequence[str]:
        """Return the addresses of what the vendors sign, as far as they are on a network.

        Raises:
            FeedUnreachable: the sources cannot be read.
        """
        sources = read_sources(sources_in(self._etc))
        return list(dict.fromkeys(s.release_address for s in sources if not s.is_local))

    def try_one(self, address: str) -> Tried:
        return self._lists.tried(address)

    def stamp(self, *, now: datetime) -> bytes:
        """Return what stands for all that `read` would say: equal stamps, equal content.

        Raises:
            FeedNotSigned, FeedDamaged, FeedExpired, FeedDisputed
        """
        return self._look(now=now).stamp

    def read(self, *, now: datetime) -> FeedContent:
        """Return all updates of the security and updates suites, and what only others have.

        Raises:
            FeedNotSigned, FeedDamaged, FeedExpired: of any suite; then none counts.
            FeedDisputed: several vendors speak for one operating system.
            NoFeed: the sources have no such suite.
        """
        look = self._look(now=now)
        shards: dict[str, list[FeedUpdate]] = defaultdict(list)
        vendors: dict[str, list[VendorIndex]] = defaultdict(list)
        groups = [
            (platform, group)
            for group in by_release(look.suites)
            if (platform := platform_of(suite.release for suite in group)) is not None
        ]
        told = [(group[0].release.codename, platform) for platform, group in groups]
        for platform, group in groups:
            others = beside(look.suites, told, platform)
            shards[platform.shard] += self._beside(others, group, platform)
            shards[platform.shard] += self._updates(group, platform)
            vendors[platform.shard] += vendor_indexes(group, self._lists)
        for shard in self._left_out()["shards"]:
            shards.setdefault(shard, [])
        if not shards:
            raise NoFeed(f"{self._etc}: no source there is a security or an updates suite")
        return FeedContent(
            shards={shard: tuple(updates) for shard, updates in shards.items()},
            vendors={shard: tuple(indexes) for shard, indexes in vendors.items() if indexes},
            as_of=_as_of(look.suites),
            stamp=look.stamp,
            is_whole=not look.missing,
            note=look.note,
        )

    def _look(self, *, now: datetime) -> _Look:
        sources = read_sources(self._lists.sources())
        indices = self._lists.indices()
        found = list(self._suites(sources, indices, now=now))
        missing = list(_missing(sources, indices))
        told = list(heard(of_use(found), self._is_official))
        suites = [suite for chosen, _ in told for suite in chosen]
        notes = [
            *(f"nothing for {each} is chosen" for each in self._left_out()["products"]),
            *(f"{each} was not fetched yet" for each in missing),
            *(
                f"{s.source.where} is not {s.release.origin}'s"
                for _, others in told
                for s in others
            ),
            *(_old(suite, now=now) for suite in suites if _is_old(suite, now=now)),
        ]
        return _Look(suites=suites, missing=missing, note="; ".join(notes))

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        """Return updates of the last `read` with their CVEs, as far as changelogs can be had."""
        return self._with_changelogs(updates, self._shelf().changelogs)

    def known(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        """Return the same with what is at hand already; nothing is fetched."""
        return self._with_changelogs(updates, self._shelf().here)

    def learnt(self) -> bytes:
        """Return what stands for all that `known` goes by."""
        return self._shelf().stamp()

    def _shelf(self) -> ChangelogShelf:
        return ChangelogShelf(
            self._changelogs, run=self._run, configuration=self._lists.configuration()
        )

    def _with_changelogs(
        self,
        updates: Sequence[FeedUpdate],
        texts_of: Callable[[Mapping[str, Documents]], Mapping[str, str]],
    ) -> Sequence[FeedUpdate]:
        known = {u.details.vendor_id: self._documents[u.details.vendor_id] for u in updates}
        texts = texts_of(known)
        return [_described(u, texts.get(u.details.vendor_id, ""), known) for u in updates]

    def _suites(
        self, sources: Sequence[Source], indices: Sequence[IndexFile], *, now: datetime
    ) -> Iterator[Suite]:
        written = {source.entry: source for source in sources}
        files: dict[Path, list[IndexFile]] = defaultdict(list)
        for index in indices:
            files[index.release].append(index)
        for path, group in sorted(files.items()):
            first = group[0]
            source = written.get(first.entry)
            if source is None:
                raise FeedNotSigned(f"{first.uri} {first.suite}: nothing says who may sign it")
            # A local folder without signatures holds nothing of a vendor's.
            if is_signed(path) or not (source.is_trusted and source.is_local):
                yield self._suite(path, source, group, now=now)

    def _suite(
        self, path: Path, source: Source, files: Sequence[IndexFile], *, now: datetime
    ) -> Suite:
        trusted = trusted_in(self._etc)
        signed = signed_text(path, source.signed_by, trusted=trusted, run=self._run)
        release = read_release(signed.text)
        until = release.valid_until
        if source.may_expire and until is not None and until < now:
            raise FeedExpired(f"{source.where}: valid until {until:%Y-%m-%d %H:%M} UTC")
        if release.date > now + _CLOCKS_DIFFER:
            raise FeedExpired(f"{source.where} is of the future; look at the clock")
        return Suite(release=release, files=files, source=source, keys=signed.keys)

    def _is_official(self, os_id: str, suite: Suite) -> bool:
        keyring = str(keyring_of(self._keyrings, os_id))
        try:
            signed_text(suite.path, [keyring], trusted=(), run=self._run)
        except (FeedNotSigned, FeedDamaged):
            return False
        return True

    def _updates(self, group: Sequence[Suite], platform: Platform) -> Iterator[FeedUpdate]:
        offers = [i for suite in group if suite.release.kind in OFFERS for i in self._read(suite)]
        names = {package.name for index in offers for package in index.packages}
        # A release is large, and only what has an update says anything here.
        released = [
            index
            for suite in group
            if suite.release.kind is SuiteKind.RELEASE
            for index in self._read(suite, names)
        ]
        self._documents.update(documents_of(offers, released))
        return updates_of([*offers, *released], platform)

    def _beside(
        self, others: Sequence[Suite], group: Sequence[Suite], platform: Platform
    ) -> Iterator[FeedUpdate]:
        """Yield what others have that the distribution has not; who knows not what it has, none."""
        if not others or not any(s.release.kind is SuiteKind.RELEASE for s in group):
            return
        taken = {
            name for suite in group for file in suite.files for name in self._names(file, suite)
        }
        offers = list(as_updates((i for suite in others for i in self._read(suite)), taken))
        self._documents.update(documents_of(offers, ()))
        yield from updates_of(offers, platform)

    def _names(self, file: IndexFile, suite: Suite) -> Iterator[str]:
        with self._lists.opened(file, suite.release) as stream:
            yield from package_names(stream)

    def _read(self, suite: Suite, names: Container[str] | None = None) -> Iterator[Index]:
        for file in suite.files:
            with self._lists.opened(file, suite.release) as stream:
                packages = tuple(read_packages(stream, names))
            yield Index(
                release=suite.release,
                architecture=file.architecture,
                packages=packages,
                uri=file.uri,
            )


def _as_of(suites: Iterable[Suite]) -> Mapping[str, datetime]:
    """One suite may be read at two addresses, one of them behind."""
    found: dict[str, datetime] = {}
    for suite in suites:
        found[suite.name] = max(found.get(suite.name, suite.release.date), suite.release.date)
    return found


def _missing(sources: Sequence[Source], indices: Sequence[IndexFile]) -> Iterator[str]:
    """Yield the sources of which apt has nothing here, however their address is written."""
    found = {(index.entry, index.uri, index.suite) for index in indices}
    here = {source_key(uri, suite) for _, uri, suite in found}
    missing = Counter(s.entry for s in sources) - Counter(entry for entry, _, _ in found)
    for source in sources:
        if missing[source.entry] and source_key(source.uri, source.suite) not in here:
            yield source.where


def _is_old(suite: Suite, *, now: datetime) -> bool:
    release = suite.release
    if release.valid_until is not None:
        return release.valid_until < now
    return release.kind in OFFERS and release.date < now - _OLD


def _old(suite: Suite, *, now: datetime) -> str:
    days = (now - suite.release.date).days
    return f"{suite.source.where} was signed {days} days ago; nothing newer came since"


def _described(update: FeedUpdate, text: str, known: Mapping[str, Documents]) -> FeedUpdate:
    entries = since(read_changelog(text), known[update.details.vendor_id].released)
    return replace(update, details=described(update.details, entries)) if entries else update
