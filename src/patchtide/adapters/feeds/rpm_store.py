"""A repository's documents in a folder: fetched once, known again by their hash.

What lies here is believed for what verifies it: the index by its signature or the line it came
by, everything else by the hash that the index names. A new index takes the old one's place when
all that it names is here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

import msgspec

from patchtide.adapters.feeds.errors import FeedDamaged, FeedNotSigned, FeedUnreachable
from patchtide.adapters.feeds.proxy import Proxy
from patchtide.adapters.feeds.rpm_index import (
    MAX_INDEX_BYTES,
    DataFile,
    RepositoryIndex,
)
from patchtide.adapters.feeds.rpm_mirrors import (
    MAX_LIST_BYTES,
    Mirrors,
    read_metalink,
    read_mirror_list,
)
from patchtide.adapters.feeds.rpm_sources import Source
from patchtide.adapters.feeds.web import Account, Answer, Validators, Web, shown
from patchtide.domain.errors import PatchtideError

_INDEX = "repodata/repomd.xml"
_MAX_SIGNATURE = 64 << 10
_PIECE = 1 << 20
TRIES = 2
"""Of each document, a second time from where the first one broke off."""

Verify = Callable[[Source, bytes, bytes], RepositoryIndex]


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """How the index that is here was come by."""

    address: str
    etag: str = ""
    modified: str = ""


class RepositoryStore:
    """One repository's folder, under `folder`."""

    def __init__(self, folder: Path, source: Source, *, proxy: Proxy | None = None) -> None:
        self._source = source
        places = (*source.addresses, source.mirror_list, source.metalink)
        named = hashlib.sha256(f"{source.where}\0{places}".encode()).hexdigest()
        self.folder = folder.absolute() / named[:32]
        self._web = Web(
            (place for place in places if place and not place.startswith("file:")),
            Account(
                user=source.user,
                password=source.password,
                hosts=tuple(x for x in source.account_for if not x.startswith("file:")),
                ca=source.ca,
                certificate=source.certificate,
                certificate_key=source.certificate_key,
            ),
            proxy=proxy,
        )

    def places(self) -> Sequence[str]:
        """Return what is asked first, as far as it is on a network: an index or a list of them."""
        source = self._source
        named = (source.metalink, source.mirror_list)
        found = (*(f"{each}/{_INDEX}" for each in source.addresses), *filter(None, named))
        return [address for address in found if not address.startswith("file:")]

    def try_one(self, address: str) -> None:
        """Ask for one of its `places`, and keep nothing of it.

        Raises:
            FeedUnreachable, FeedDamaged
        """
        self._web.get(address, most=MAX_INDEX_BYTES)

    @staticmethod
    def remove(folder: Path) -> None:
        shutil.rmtree(folder)

    def fetch(self, verify: Verify) -> None:
        """Bring the index and what it names here, from the first address that has all of it.

        Raises:
            FeedUnreachable, FeedNotSigned, FeedDamaged: what the last address came to.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        last: PatchtideError = FeedUnreachable()
        mirrors = self._mirrors()
        for address in mirrors.addresses:
            try:
                return self._fetch(address, verify, mirrors)
            except (FeedUnreachable, FeedNotSigned, FeedDamaged) as error:
                last = error
            except OSError as error:
                last = FeedUnreachable(f"{self._source.where}: {error.strerror}")
        raise last

    def index(self) -> tuple[bytes, bytes]:
        """Return the index that is here, and the signature over it.

        Raises:
            FeedUnreachable: there is none.
        """
        try:
            document = (self.folder / "repomd.xml").read_bytes()
        except OSError as error:
            raise FeedUnreachable(f"{self._source.where} was not fetched yet") from error
        signature = self.folder / "repomd.xml.asc"
        return document, signature.read_bytes() if signature.is_file() else b""

    @contextmanager
    def opened(self, file: DataFile) -> Iterator[BinaryIO]:
        """Open one of its documents at its beginning, verified through the same descriptor.

        Raises:
            FeedDamaged: it is not the one that the index names.
        """
        try:
            stream = self._path(file).open("rb")
        except OSError as error:
            raise FeedUnreachable(f"{self._named(file)} is not here") from error
        with stream:
            if not _is(stream, file):
                self._path(file).unlink(missing_ok=True)  # so that the next fetch brings it anew
                raise FeedDamaged(
                    f"{self._named(file)} is not the one that repomd.xml names, or was damaged here"
                )
            stream.seek(0)
            yield stream

    def _mirrors(self) -> Mirrors:
        source = self._source
        if source.metalink:
            found = self._get(source.metalink, most=MAX_LIST_BYTES).body or b""
            return self._fit(read_metalink(found, name=f"metalink of {source.where}"))
        if source.mirror_list:
            found = self._get(source.mirror_list, most=MAX_LIST_BYTES).body or b""
            return self._fit(read_mirror_list(found, name=f"mirror list of {source.where}"))
        return Mirrors(source.addresses)

    def _fit(self, mirrors: Mirrors) -> Mirrors:
        """Nearest first, yet those of which nobody on the way learns anything before all others."""
        ordered = sorted(mirrors.addresses, key=lambda place: not place.startswith("https:"))
        return Mirrors(tuple(ordered), mirrors.hashes)

    def _fetch(self, address: str, verify: Verify, mirrors: Mirrors) -> None:
        answer = self._get(f"{address}/{_INDEX}", known=self._known(address))
        if answer.body is None:
            document, signature = self.index()
        else:
            document, signature = answer.body, b""
            if self._source.signed_index:
                signature = self._signature(address)
        mirrors.require(document, name=f"repomd.xml of {self._source.where} at {shown(address)}")
        index = verify(self._source, document, signature)
        for file in index.files.values():
            self._bring(address, file)
        if answer.body is not None:
            self._keep(address, document, signature, answer.validators)
        kept = {_name(file) for file in index.files.values()}
        for path in self.folder.iterdir():
            if path.name not in kept and not path.name.startswith("repomd"):
                path.unlink()

    def _signature(self, address: str) -> bytes:
        try:
            return self._get(f"{address}/repodata/repomd.xml.asc", most=_MAX_SIGNATURE).body or b""
        except (FeedUnreachable, OSError) as error:
            raise FeedNotSigned(f"{self._source.where} has no signature: {error}") from error

    def _get(
        self, address: str, *, most: int = MAX_INDEX_BYTES, known: Validators | None = None
    ) -> Answer:
        if not address.startswith("file:"):
            return self._web.get(address, most=most, known=known)
        with _local(address).open("rb") as file:
            body = file.read(most + 1)
        if len(body) > most:
            raise FeedDamaged(f"{address} is more than {most} bytes")
        return Answer(body)

    def _bring(self, address: str, file: DataFile) -> None:
        path = self._path(file)
        if path.is_file() and path.stat().st_size == file.size_bytes:
            return  # its hash is looked at when it is read
        part = path.with_name(f"{path.name}.part")
        if part.is_file() and part.stat().st_size >= file.size_bytes:
            part.unlink()
        for left in reversed(range(TRIES)):
            try:
                self._append(f"{address}/{file.href}", part, file)
                break
            except FeedUnreachable:
                if not left:
                    raise
        with part.open("rb") as stream:
            if not _is(stream, file):
                part.unlink()
                raise FeedDamaged(f"{self._named(file)} is not the one that repomd.xml names")
            os.fsync(stream.fileno())
        part.replace(path)

    def _append(self, address: str, part: Path, file: DataFile) -> None:
        if not address.startswith("file:"):
            self._web.continue_file(address, part, size=file.size_bytes)
            return
        with _local(address).open("rb") as source, part.open("wb") as copy:
            for piece in iter(lambda: source.read(_PIECE), b""):
                if copy.tell() + len(piece) > file.size_bytes:
                    raise FeedDamaged(f"{self._named(file)} is larger than repomd.xml says")
                copy.write(piece)

    def _known(self, address: str) -> Validators | None:
        try:
            known = msgspec.json.decode((self.folder / "repomd.json").read_bytes(), type=_Known)
        except (OSError, msgspec.DecodeError):
            return None
        return Validators(known.etag, known.modified) if known.address == address else None

    def _keep(
        self, address: str, document: bytes, signature: bytes, validators: Validators
    ) -> None:
        """Nothing is known of the index while its parts are exchanged."""
        (self.folder / "repomd.json").unlink(missing_ok=True)
        known = _Known(address=address, etag=validators.etag, modified=validators.modified)
        contents = {
            "repomd.xml.asc": signature,
            "repomd.xml": document,
            "repomd.json": msgspec.json.encode(known),
        }
        for name, content in contents.items():
            new = self.folder / f"repomd.new-{name}"
            new.write_bytes(content)
            new.replace(self.folder / name)

    def _path(self, file: DataFile) -> Path:
        return self.folder / _name(file)

    def _named(self, file: DataFile) -> str:
        return f"{file.kind} of {self._source.where}"


def _name(file: DataFile) -> str:
    return f"{file.kind}-{file.digest[:64]}"


def _is(stream: BinaryIO, file: DataFile) -> bool:
    digest = hashlib.new(file.algorithm)
    if stream.seek(0, os.SEEK_END) != file.size_bytes:
        return False
    stream.seek(0)
    while piece := stream.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest() == file.digest


def _local(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))
