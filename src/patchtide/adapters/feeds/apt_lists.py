"""A folder of apt's index files, fetched by apt itself and verified here all the same.

apt knows proxies, accounts, mirrors and by-hash addresses, so it does the fetching: into a folder
of ours, with a configuration of ours, changing nothing of the machine's. What lies in the folder
is believed for its signatures only: Release file by the source's keys, index by its hash.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from patchtide.adapters.feeds.apt_release import IndexHash, Release
from patchtide.adapters.feeds.apt_sources import read_sources, without_account
from patchtide.adapters.feeds.errors import (
    FeedDamaged,
    FeedNotSigned,
    FeedUnreachable,
)
from patchtide.adapters.feeds.failures import step_of_apt
from patchtide.adapters.feeds.proxy import Proxy
from patchtide.adapters.feeds.web import shown
from patchtide.domain.errors import PatchtideError
from patchtide.server.ports.feed import Tried
from patchtide.wire.vendor_signatures import Ended, Run

APT_GET = "/usr/bin/apt-get"
APT_HELPER = "/usr/lib/apt/apt-helper"
FETCH_TIMEOUT_S = 900.0
_TIMEOUT_S = 60.0
_FORMAT = "$(FILENAME)\t$(METAKEY)\t$(REPO_URI)\t$(RELEASE)\t$(ARCHITECTURE)\t$(SOURCESENTRY)"
_RELEASE_KEPT_S = 86_400.0
_MAX_INDEX_BYTES = 256 << 20
_PIECE = 1 << 20
_CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Update::Error-Mode "any";
APT::Sandbox::User "root";
APT::List-Cleanup "true";
Acquire::Languages "none";
Acquire::GzipIndexes "false";
Acquire::Check-Valid-Until "false";
Acquire::Retries "1";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Acquire::http::AllowRedirect "false";
Acquire::https::AllowRedirect "false";
Dir::Etc "{etc}";
Dir::State::lists "{lists}";
Dir::Cache "{cache}";
Dir::Cache::pkgcache "packages.bin";
Dir::Cache::srcpkgcache "";
"""
"""What apt makes of all packages is kept, for it makes it whenever it is asked for its lists, and
that takes longer than all else where nothing is new; fetching alone needs none of it.

Whether a list is too old is judged here, with a word on it; apt would only leave it out. The
folder is private, so apt's own user could not write there. Where a source is was said by its owner:
who answers there may not send this server to what only this server can reach (S27)."""

_QUICK = tuple(f"-oAcquire::{x}" for x in ("Retries=0", "http::Timeout=15", "https::Timeout=15"))
_FAILED = re.compile(r"Failed to fetch (?P<place>\S+)\s+(?P<why>.+)")
_REDIRECT = re.compile(r"30[12378]\b")

# In the order in which they are looked for: one failure makes apt say several things.
_SAID: tuple[tuple[type[PatchtideError], tuple[str, ...]], ...] = (
    (
        FeedDamaged,
        ("BADSIG", "Hash Sum mismatch", "unexpected size", "isn't valid", "' changed its '"),
    ),
    (FeedNotSigned, ("NO_PUBKEY", "EXPKEYSIG", "is not signed", "signatures were invalid")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """One index of packages, and where the Release file of its suite lies."""

    path: Path
    key: str
    """What the Release file calls it."""
    uri: str
    suite: str
    architecture: str
    release: Path
    entry: str
    """The source that it follows from."""


class AptLists:
    """The folder. `etc` is where the sources are configured.

    `lists` is where the index files lie when they are not ours: what apt has fetched by itself.
    """

    def __init__(
        self,
        folder: Path,
        *,
        etc: Path,
        run: Run,
        lists: Path | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self._proxy = proxy
        self._folder = folder.absolute()
        self._etc = etc.absolute()
        self._run = run
        self._narrow = self._folder / "sources"
        self._theirs = lists is not None
        self._lists = lists.absolute() if lists else self._folder / "lists"

    def sources(self) -> Mapping[str, str]:
        """Return the texts of the source lists that are followed, by path.

        Raises:
            FeedUnreachable: one of them cannot be read.
        """
        return texts_in(self._narrow) if self._narrow.is_dir() else sources_in(self._etc)

    def follow(self, texts: Mapping[str, str] | None) -> None:
        """Follow these sources from now on; None: all that are configured."""
        if self._narrow.is_dir():
            shutil.rmtree(self._narrow)
        if texts is not None:
            self._narrow.mkdir(mode=0o700, parents=True)
            for number, (name, text) in enumerate(texts.items()):
                _keep(self._narrow / f"{number:03}-{Path(name).name}", text)

    def release_at(self, address: str) -> Path | None:
        """Return a suite's signed Release file as it was within a day; None: it cannot be had."""
        folder = self._folder / "releases"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / sha256(address.encode()).hexdigest()
        if path.is_file() and 0 <= time.time() - path.stat().st_mtime < _RELEASE_KEPT_S:
            return path
        path.unlink(missing_ok=True)
        ended = self._download(address, path)
        return path if ended.status == 0 and path.is_file() else None

    def fetch(self) -> None:
        """Bring everything up to date; what was here stays when that fails.

        Raises:
            FeedUnreachable, FeedNotSigned, FeedDamaged
        """
        if self._theirs:
            raise FeedUnreachable(f"{self._lists} is only read here")
        for name in ("lists/partial", "cache/archives/partial"):
            (self._folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        ended = self._apt("-opkgCacheFile::Generate=false", "update", timeout_s=FETCH_TIMEOUT_S)
        if ended.status != 0:
            raise why_not_fetched(ended.errors.decode("utf-8", "replace"))

    def indices(self) -> list[IndexFile]:
        """Return what is here, by the sources as they are configured now.

        Raises:
            FeedUnreachable: apt cannot read its own configuration.
        """
        ended = self._apt("indextargets", "--format", _FORMAT, "Created-By: Packages")
        if ended.status != 0:
            raise why_not_fetched(ended.errors.decode("utf-8", "replace"))
        # At line feeds alone: what a repository says of itself may hold other ends of lines.
        lines = ended.output.decode().split("\n")
        return [_index_file(line.split("\t")) for line in lines if line]

    def _apt(self, *arguments: str, timeout_s: float = _TIMEOUT_S) -> Ended:
        return self._run(
            [APT_GET, f"--config-file={self.configuration()}", *arguments], timeout_s=timeout_s
        )

    def configuration(self) -> Path:
        """Return the file that tells apt to keep to this folder."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = _CONFIGURATION.format(etc=self._etc, lists=self._lists, cache=self._folder / "cache")
        if self._narrow.is_dir():
            text += f'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "{self._narrow}";\n'
        if self._proxy is not None:
            text += self._proxy.apt_lines()
        if accounts := self._accounts():
            text += f'Dir::Etc::netrc "{_keep(self._folder / "netrc", accounts)}";\n'
        return _keep(self._folder / "apt.conf", text)

    def _accounts(self) -> str:
        """Return those in the sources' addresses, in netrc's way, before those apt has already.

        So apt can be asked for an address without the account in it: its arguments are in /proc.
        """
        sources = sorted(read_sources(sources_in(self._etc)), key=lambda source: -len(source.uri))
        found = {s.uri.rstrip("/"): s.account for s in sources if s.account}
        lines = [f"machine {uri}/ {account}\n" for uri, account in found.items()]
        if lines:
            with suppress(OSError):
                lines.append((self._etc / "auth.conf").read_text("utf-8", "replace"))
        return "".join(lines)

    def tried(self, address: str) -> Tried:
        """Have apt ask for a document, and keep nothing of it."""
        self.configuration()  # makes the folder
        with TemporaryDirectory(dir=self._folder, prefix=".tried-") as folder:
            ended = self._download(address, Path(folder) / "document")
        if ended.status == 0:
            return Tried(address=shown(address))
        said = _why_not(ended.errors.decode("utf-8", "replace"))
        return Tried(address=shown(address), step=step_of_apt(said), detail=said)

    def _download(self, address: str, path: Path) -> Ended:
        words = [*_QUICK, "download-file", address, str(path)]
        return self._run(
            [APT_HELPER, f"--config-file={self.configuration()}", *words], timeout_s=_TIMEOUT_S
        )

    @contextmanager
    def opened(self, index: IndexFile, release: Release) -> Iterator[BinaryIO]:
        """Open an index at its beginning, its hash verified through the same descriptor.

        Raises:
            FeedDamaged: it is not the one that the Release file names.
        """
        said = release.indices.get(index.key)
        if said is None:
            raise FeedDamaged(f"{index.path.name}: its Release file does not name it")
        with self._plain(index.path) as stream:
            _verify(stream, said, name=index.path.name)
            yield stream

    def _plain(self, path: Path) -> BinaryIO:
        if path.suffix not in (".lz4", ".xz", ".gz", ".bz2", ".zst"):
            return path.open("rb")
        ended = self._run(
            [APT_HELPER, "cat-file", str(path)],
            timeout_s=_TIMEOUT_S,
            output_limit=_MAX_INDEX_BYTES,
        )
        if ended.status != 0 or ended.truncated:
            raise FeedDamaged(f"{path.name} cannot be unpacked")
        return io.BytesIO(ended.output)


def _keep(path: Path, text: str) -> Path:
    """Write what may tell an account; nobody else ever sees a byte of it."""
    if not path.is_file() or path.read_text("utf-8") != text:
        # Several threads may do so at once: each in a folder of its own.
        with TemporaryDirectory(dir=path.parent, prefix=".new-") as folder:
            new = Path(folder) / path.name
            new.touch(0o600)
            new.write_text(text, "utf-8")
            new.replace(path)
    return path


def _index_file(row: list[str]) -> IndexFile:
    name, key, uri, suite, architecture, entry = row
    path = Path(name)
    # apt names its files after the address: the suite's part, then the key with its slashes.
    start = path.name.rfind(key.replace("/", "_"))
    release = path.with_name(path.name[:start] + "InRelease")
    return IndexFile(
        path=path,
        key=key,
        uri=without_account(uri),
        suite=suite,
        architecture=architecture,
        release=release,
        entry=entry,
    )


def _verify(stream: BinaryIO, said: IndexHash, *, name: str) -> None:
    digest = sha256()
    if stream.seek(0, os.SEEK_END) == said.size_bytes:
        stream.seek(0)
        while piece := stream.read(_PIECE):
            digest.update(piece)
    if digest.hexdigest() != said.sha256:
        raise FeedDamaged(f"{name} is not what its Release file names")
    stream.seek(0)


def why_not_fetched(errors: str) -> PatchtideError:
    """Return the one error that apt's many lines come to, in its own words."""
    errors = without_account(errors)
    lines = [line.strip() for line in errors.split("\n") if line[:2] in ("E:", "W:")]
    for failed in filter(None, map(_FAILED.search, lines)):
        if _REDIRECT.match(failed["why"]):  # what apt says of the missing signature is no news
            return FeedUnreachable(f"{failed['place']} leads elsewhere: not followed")
    for kind, marks in _SAID:
        found = next((line for line in lines if any(mark in line for mark in marks)), None)
        if found:
            return kind(found[2:].strip())
    first = next((line for line in lines if line.startswith("E:")), "E: apt-get update failed")
    return FeedUnreachable(first[2:].strip())


def _why_not(errors: str) -> str:
    """Return the cause alone: the address stands beside it already."""
    found = _FAILED.search(errors)
    return " ".join(found["why"].split())[:300] if found else "apt could not fetch it"


def sources_in(etc: Path) -> Mapping[str, str]:
    """Return the texts of apt's source lists, by path.

    Raises:
        FeedUnreachable: one of them cannot be read.
    """
    parts = etc / "sources.list.d"
    return texts_in(parts, etc / "sources.list")


def texts_in(parts: Path, *files: Path) -> Mapping[str, str]:
    """Raises FeedUnreachable: one of them cannot be read."""
    files = (*files, *sorted(parts.glob("*.list")), *sorted(parts.glob("*.sources")))
    try:
        return {str(file): file.read_text("utf-8", "replace") for file in files if file.is_file()}
    except OSError as error:
        raise FeedUnreachable(f"{error.filename}: {error.strerror}") from error


def trusted_in(etc: Path) -> list[Path]:
    """Return the keyrings that apt trusts for sources that name no keys of their own."""
    parts = etc / "trusted.gpg.d"
    found = [etc / "trusted.gpg", *sorted(parts.glob("*.gpg")), *sorted(parts.glob("*.asc"))]
    return [file for file in found if file.is_file()]
