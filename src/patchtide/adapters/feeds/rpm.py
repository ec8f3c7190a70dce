"""The RPM feed: repositories with advisories, verified, as updates. Installs nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from patchtide import __version__
from patchtide.adapters.feeds.errors import FeedDamaged, FeedExpired, FeedUnreachable
from patchtide.adapters.feeds.proxy import Proxy
from patchtide.adapters.feeds.rpm_advisories import Advisory, read_advisories
from patchtide.adapters.feeds.rpm_index import DataFile, RepositoryIndex, read_index
from patchtide.adapters.feeds.rpm_packages import OfferedPackage, read_packages
from patchtide.adapters.feeds.rpm_signed import vendor_index
from patchtide.adapters.feeds.rpm_sources import Source, System, read_sources, read_system
from patchtide.adapters.feeds.rpm_store import RepositoryStore
from patchtide.adapters.feeds.rpm_updates import Repository, may_bring_any, product_of, updates_of
from patchtide.adapters.feeds.signature import require_signed
from patchtide.adapters.feeds.unpacking import unpacked
from patchtide.adapters.feeds.web import shown
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.catalog.selection import Selection
from patchtide.domain.errors import PatchtideError
from patchtide.server.ports.feed import FeedContent, Step, Tried, VendorIndex
from patchtide.wire.vendor_signatures import Run

_CLOCKS_DIFFER = timedelta(hours=1)
_OLD = timedelta(days=60)
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A repository whose index was verified."""

    source: Source
    store: RepositoryStore
    index: RepositoryIndex
    document: bytes
    signature: bytes


class RpmFeed:
    """What the repositories of the system under `root` offer. `folder` is the feed's own."""

    def __init__(
        self, folder: Path, *, run: Run, root: Path = Path("/"), proxy: Proxy | None = None
    ) -> None:
        self._proxy = proxy
        self._folder = folder
        self._left = folder / "left-out"
        self._run = run
        self._root = root

    def fetch(self, *, now: datetime, selection: Selection | None = None) -> None:
        """Bring the repositories' documents here, if anything of them is chosen.

        Raises:
            FeedUnreachable, FeedNotSigned, FeedDamaged, NoFeed
        """
        del now
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._left.unlink(missing_ok=True)
        if not may_bring_any(self._system(), selection or {}):
            return self._left.touch()
        stores = [self._store(source) for source in self._sources()]
        for store in stores:
            store.fetch(self._verified)
        kept = {store.folder for store in stores}
        for other in self._folder.iterdir():
            if other.is_dir() and other not in kept:
                RepositoryStore.remove(other)
        return None

    def stamp(self, *, now: datetime) -> bytes:
        """Return what stands for all that `read` would say: equal stamps, equal content.

        Raises:
            FeedNotSigned, FeedDamaged, FeedExpired, NoFeed
        """
        known = f"patchtide-rpm-feed-2\0{__version__}\0{self._system()}\0"
        digest = hashlib.sha256(known.encode())
        if self._left.exists():
            return hashlib.sha256(known.encode() + b"left out").digest()
        for read in self._indices(now=now):
            said = (read.source.where, _address(read.source), _note(read, now=now))
            digest.update(repr(said).encode())
            digest.update(hashlib.sha256(read.document).digest())
        return digest.digest()

    def read(self, *, now: datetime) -> FeedContent:
        """Return all advisories of the repositories that concern what these offer.

        Raises:
            FeedNotSigned, FeedDamaged, FeedExpired: of any repository; then none counts.
            NoFeed: there is no repository.
        """
        system = self._system()
        if self._left.exists():
            return FeedContent(
                shards={system.shard: ()},
                as_of={},
                stamp=self.stamp(now=now),
                note=f"nothing for {product_of(system)} is chosen",
            )
        reads = list(self._indices(now=now))
        told = [(read, list(_advisories(read))) for read in reads]
        names = {p.name for _, some in told for advisory in some for p in advisory.packages}
        made = updates_of(
            (
                Repository(
                    architecture=read.source.architecture,
                    advisories=advisories,
                    packages=_packages(read, names),
                    address=_address(read.source),
                )
                for read, advisories in told
            ),
            system,
        )
        signed = tuple(index for read in reads if (index := _signed(read)) is not None)
        notes = [note for read in reads if (note := _note(read, now=now))]
        if made.left_out:
            shown = ", ".join(made.left_out[:_SHOWN])
            notes.append(f"{len(made.left_out)} advisories are too large to be told: {shown}")
        return FeedContent(
            shards={system.shard: made.updates},
            as_of={f"{system.shard} {r.source.where}": r.index.made_at for r in reads},
            stamp=self.stamp(now=now),
            note="; ".join(notes),
            vendors={system.shard: signed} if signed else {},
        )

    def known(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        """Return them as they are."""
        return updates

    def learnt(self) -> bytes:
        """Return what stands for nothing: all is told at once."""
        return b""

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        """Return them as they are: advisories say all that there is to say."""
        return updates

    def places(self) -> Sequence[str]:
        """Return the addresses that are asked first, as far as they are on a network.

        Raises:
            NoFeed, FeedNotSigned, FeedUnreachable: as `fetch`.
        """
        return list(self._places())

    def try_one(self, address: str) -> Tried:
        """Ask for a document, and keep nothing of it."""
        try:
            self._places()[address].try_one(address)
        except FeedUnreachable as error:
            step = error.step or Step.ANSWER
            return Tried(address=shown(address), step=step, detail=_cause(error, address))
        except FeedDamaged as error:
            detail = _cause(error, address)
            return Tried(address=shown(address), step=Step.ANSWER, detail=detail)
        return Tried(address=shown(address))

    def _places(self) -> Mapping[str, RepositoryStore]:
        stores = [self._store(source) for source in self._sources()]
        return {address: store for store in stores for address in store.places()}

    def _system(self) -> System:
        return read_system(self._root)

    def _sources(self) -> Sequence[Source]:
        return read_sources(self._root, self._system())

    def _store(self, source: Source) -> RepositoryStore:
        return RepositoryStore(self._folder, source, proxy=self._proxy)

    def _verified(self, source: Source, document: bytes, signature: bytes) -> RepositoryIndex:
        name = f"repomd.xml of {source.where}"
        if source.signed_index:
            keys = [_key(path) for path in source.keys]
            require_signed(document, signature, keys, name=name, run=self._run)
        return read_index(document, name=name)

    def _indices(self, *, now: datetime) -> Iterator[_Read]:
        for source in self._sources():
            store = self._store(source)
            document, signature = store.index()
            index = self._verified(source, document, signature)
            if index.made_at > now + _CLOCKS_DIFFER:
                raise FeedExpired(f"{source.where} is of the future; look at the clock")
            yield _Read(
                source=source, store=store, index=index, document=document, signature=signature
            )


def _cause(error: PatchtideError, address: str) -> str:
    """Return what was said without the address, which is told beside it."""
    return str(error).removeprefix(shown(address)).lstrip(": ")


def _key(path: Path) -> str:
    """Return a key as the verifier takes it: its file, or its text where that is armoured."""
    try:
        text = path.read_text("ascii", "replace")
    except OSError:
        return str(path)
    start = text.find("-----BEGIN PGP PUBLIC KEY BLOCK-----")
    return text[start:] if start >= 0 else str(path)


def _advisories(read: _Read) -> Iterator[Advisory]:
    file = read.index.files.get("updateinfo")
    if file is not None:
        yield from read_advisories(_pieces(read, file), name=_named(read, file))


def _packages(read: _Read, names: set[str]) -> Sequence[OfferedPackage]:
    file = read.index.files["primary"]
    return read_packages(_pieces(read, file), names, name=_named(read, file))


def _signed(read: _Read) -> VendorIndex | None:
    if not read.source.signed_index:
        return None
    primary = read.index.files["primary"]
    return vendor_index(
        read.source.architecture,
        read.source.where,
        signed=(read.document, read.signature),
        primary=primary,
        read=partial(_whole, read, primary),
    )


def _whole(read: _Read, file: DataFile) -> bytes:
    return b"".join(_pieces(read, file))


def _named(read: _Read, file: DataFile) -> str:
    return f"{file.kind} of {read.source.where}"


def _pieces(read: _Read, file: DataFile) -> Iterator[bytes]:
    with read.store.opened(file) as stream:
        yield from unpacked(stream, file.href, most=file.open_size_bytes)


def _address(source: Source) -> str:
    first = next(iter(source.addresses), "file:")
    return "" if first.startswith("file:") else shown(first)


def _note(read: _Read, *, now: datetime) -> str:
    age = now - read.index.made_at
    if age > _OLD:
        return f"{read.source.where} was made {age.days // 30 * 30} days ago; nothing newer came"
    return ""
