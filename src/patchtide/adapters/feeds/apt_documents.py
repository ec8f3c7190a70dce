"""Fetches an update's changelog out of its smallest package: apt brings it, its hash verifies it.

Best effort: an update whose changelog cannot be had is told without it, and asked for again.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from patchtide.adapters.feeds.apt_lists import APT_HELPER
from patchtide.adapters.feeds.apt_packages import IndexedPackage
from patchtide.adapters.feeds.apt_updates import Index, vendor_id_of
from patchtide.domain.catalog.versions_deb import deb_key
from patchtide.domain.errors import PatchtideError
from patchtide.wire.vendor_signatures import Run

DPKG_DEB = "/usr/bin/dpkg-deb"
BATCH = 40
ASK_AGAIN_S = 7 * 86_400.0
"""A package without a changelog may get one, or a better reader."""
TRIES = 4
"""A package may have another one's documents; so many are looked into."""
_LARGE, _SMALL = 8 << 20, 8 << 10
"""Larger ones are not fetched for their text; the smaller ones are often empty but for a link."""
_TIMEOUT_S = 300.0
_MAX_UNPACKED = 64 << 20
_MAX_TEXT = 256 << 10
_CHANGELOG = re.compile(r"(?:\./)?usr/share/doc/[^/]+/changelog(?P<debian>\.Debian)?\.gz")

_SIGNED = re.compile(r"linux-signed(?P<series>-[0-9.]+)?-(?:amd64|arm64|i386)")


@dataclass(frozen=True, slots=True)
class PackageFile:
    """Where a package is, and how it is known again."""

    uri: str
    sha256: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """Where an update's changelog may be found."""

    source: str
    version: str
    files: tuple[PackageFile, ...]
    """The likeliest first."""
    released: str = ""
    """The version in the release itself, before any update; empty: there is none."""


class ChangelogShelf:
    """Changelogs by their update's own id, kept in a folder."""

    def __init__(
        self,
        folder: Path,
        *,
        run: Run,
        configuration: Path,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._now = now
        self._run = run
        self._configuration = configuration

    def changelogs(self, wanted: Mapping[str, Documents]) -> Mapping[str, str]:
        """Return the texts that could be had, by the same keys."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        missing = {key: found for key, found in wanted.items() if not self._is_known(key)}
        fetched = dict.fromkeys(missing, 0)
        for turn in range(TRIES):
            files = {key: d.files[turn] for key, d in missing.items() if turn < len(d.files)}
            for batch in _batches(list(files), BATCH):
                for key in self._fetch({key: files[key] for key in batch}, missing):
                    fetched[key] += 1
            missing = {key: d for key, d in missing.items() if not self._is_known(key)}
        for key, found in list(missing.items()):
            # All of them were looked into: there is nothing, and no need to ask again so soon.
            if fetched[key] == len(found.files):
                self._keep(key, "")
                del missing[key]
        return {key: self._path(key).read_text("utf-8") for key in wanted.keys() - missing.keys()}

    def here(self, wanted: Iterable[str]) -> Mapping[str, str]:
        """Return those texts that are here, by the same keys."""
        return {key: self._path(key).read_text("utf-8") for key in wanted if self._is_known(key)}

    def stamp(self) -> bytes:
        """Return what stands for all texts that are here."""
        found = sorted(p.name for p in self._folder.glob("[0-9a-f]*") if p.stat().st_size > 0)
        return sha256("".join(found).encode()).digest()

    def _path(self, key: str) -> Path:
        return self._folder / sha256(key.encode()).hexdigest()

    def _is_known(self, key: str) -> bool:
        """Say whether there is a text, or whether it was found lately that there is none."""
        try:
            found = self._path(key).stat()
        except FileNotFoundError:
            return False
        return found.st_size > 0 or 0 <= self._now() - found.st_mtime < ASK_AGAIN_S

    def _keep(self, key: str, text: str) -> None:
        """Write a text that is whole or not there, also after a power cut."""
        with TemporaryDirectory(dir=self._folder, prefix=".new-") as folder:
            new = Path(folder) / "text"
            with new.open("wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path(key))

    def _fetch(
        self, files: Mapping[str, PackageFile], wanted: Mapping[str, Documents]
    ) -> Sequence[str]:
        """Return the keys of those whose files came, whatever is in them."""
        with TemporaryDirectory(dir=self._folder, prefix=".new-") as folder:
            paths = {key: Path(folder) / f"{at}.deb" for at, key in enumerate(files)}
            words = [
                word
                for key, file in files.items()
                for word in (file.uri, str(paths[key]), f"SHA256:{file.sha256.hex()}")
            ]
            # Whatever fails, the others may be here; each is looked at by itself.
            with suppress(PatchtideError):
                self._run(
                    [APT_HELPER, f"--config-file={self._configuration}", "download-file", *words],
                    timeout_s=_TIMEOUT_S,
                )
            whole = [key for key, path in paths.items() if _is_whole(path, files[key])]
            for key in whole:
                text = self._changelog(paths[key])
                if text.startswith(f"{wanted[key].source} ({wanted[key].version})"):
                    self._keep(key, text)
        return whole

    def _changelog(self, path: Path) -> str:
        """Return the text, or nothing, of a file that was verified."""
        try:
            unpacked = self._run(
                [DPKG_DEB, "--fsys-tarfile", str(path)],
                timeout_s=_TIMEOUT_S,
                output_limit=_MAX_UNPACKED,
            )
            return _changelog_in(unpacked.output)
        except (PatchtideError, OSError, EOFError, tarfile.TarError, zlib.error):
            return ""


def _is_whole(path: Path, file: PackageFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.size_bytes:
        return False
    return sha256(path.read_bytes()).digest() == file.sha256


def _changelog_in(tar: bytes) -> str:
    """Return Debian's changelog, or that of a package that is Debian's own."""
    found: dict[bool, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as files:
        for member in files:
            named = _CHANGELOG.fullmatch(member.name)
            content = files.extractfile(member) if named and member.isreg() else None
            if named and content:
                with gzip.open(content) as text:
                    found[bool(named["debian"])] = text.read(_MAX_TEXT)
    return found.get(True, found.get(False, b"")).decode("utf-8", "replace")


def _batches(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def documents_of(offers: Iterable[Index], released: Iterable[Index]) -> Mapping[str, Documents]:
    """Return where the changelog of each update lies, by the vendor's id of it."""
    before: dict[str, str] = {}
    for package in (package for index in released for package in index.packages):
        known = before.setdefault(package.source, package.source_version)
        before[package.source] = max(known, package.source_version, key=deb_key)
    heads: dict[str, IndexedPackage] = {}
    files: dict[str, set[PackageFile]] = defaultdict(set)
    for index in offers:
        for package in index.packages:
            key = vendor_id_of(index.release, package)
            heads[key] = package
            uri = f"{index.uri.rstrip('/')}/{package.path}"
            files[key].add(PackageFile(uri, package.sha256, package.size_bytes))
    found = {
        key: Documents(
            source=head.source,
            version=head.source_version,
            files=_likely(files[key]),
            released=before.get(head.source, ""),
        )
        for key, head in heads.items()
    }
    by_version = {(each.source, each.version): each for each in found.values()}
    return {key: by_version.get(_unsigned(each), each) for key, each in found.items()}


def _unsigned(documents: Documents) -> tuple[str, str]:
    """A signed kernel is a source of its own, whose changelog names nothing of the kernel's."""
    signed = _SIGNED.fullmatch(documents.source)
    if signed is None:
        return documents.source, documents.version
    return f"linux{signed['series'] or ''}", documents.version.replace("+", "-", 1)


def _likely(files: Iterable[PackageFile]) -> tuple[PackageFile, ...]:
    ordered = sorted(files, key=lambda file: (file.size_bytes < _SMALL, file.size_bytes, file.uri))
    return tuple(file for file in ordered if file.size_bytes <= _LARGE)[:TRIES]
