"""What a signed repository has published: files, highest versions, digests ever handed out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from tuf.api.metadata import Metadata, TargetFile

from patchtide.adapters.trust.durable import (
    append_durably,
    locked,
    private_folder,
    write_durably,
)
from patchtide.adapters.trust.layout import (
    DELEGATED,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    Signable,
)

KNOWN_FOR = timedelta(days=396)
"""How long a machine may be off and then report what it saw last, without an alarm (S44)."""
DAY_S = 86_400
KEPT_FOR = timedelta(days=35)
"""How long what is no more in force stays: an agent on its way to it needs minutes, and whoever
looks once a month is told at once what has changed since."""
UNNAMED_FOR = timedelta(days=35)
"""How long a file waits for a signature that is made elsewhere."""
_VERSIONED = re.compile(r"(?P<version>[1-9][0-9]*)\.(?P<role>[a-z]+)\.json")
_LOGGED = re.compile(
    r"(?P<role>[a-z]+) (?P<version>[0-9]+) (?P<digest>[0-9a-f]{64}|-)( (?P<day>[0-9]+))?"
)


@dataclass(frozen=True, slots=True)
class _Line:
    role: str
    version: int
    digest: str
    day: int
    """Since 1970, on which it was published; 0: nobody wrote it down."""

    def __str__(self) -> str:
        return f"{self.role} {self.version} {self.digest} {self.day}\n"


class PublishedFiles:
    """`metadata/`, `targets/` and a list of what was ever published, under one folder.

    A metadata file is never overwritten, but for timestamp.json; its earlier versions live on
    in the list, so a lost or restored timestamp.json cannot make a version be used twice.
    """

    def __init__(self, folder: Path) -> None:
        self._metadata = private_folder(private_folder(folder) / "metadata")
        self._targets = private_folder(folder / "targets")
        self._log = folder / "published"
        self._lock = folder / ".lock"
        self._known: tuple[int, int, list[_Line]] = (0, 0, [])
        """Of the list: its inode, how many of its bytes were read, and what they say."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time, also among processes."""
        with locked(self._lock):
            yield

    def root(self) -> tuple[int, bytes]:
        """Return the newest root's version and its bytes."""
        version = self._highest_file(ROOT)
        return version, (self._metadata / f"{version}.root.json").read_bytes()

    def roots(self) -> list[bytes]:
        """Return all roots there ever were, the oldest first."""
        versions = range(1, self._highest_file(ROOT) + 1)
        return [(self._metadata / f"{version}.root.json").read_bytes() for version in versions]

    def current(self) -> dict[str, Signable]:
        """Return what the newest timestamp leads to, by role; empty before the first one."""
        timestamp = self._metadata / "timestamp.json"
        if not timestamp.exists():
            return {}
        found: dict[str, Signable] = {
            ROOT: Metadata.from_bytes(self.root()[1]),
            TIMESTAMP: Metadata.from_bytes(timestamp.read_bytes()),
        }
        found[SNAPSHOT] = self._version(SNAPSHOT, found[TIMESTAMP].signed.snapshot_meta.version)
        for role in (TARGETS, *DELEGATED):
            found[role] = self._version(role, found[SNAPSHOT].signed.meta[f"{role}.json"].version)
        return found

    def floor(self, role: str) -> int:
        """Return the highest version of the role that anybody may have seen."""
        logged = (line.version for line in self._lines() if line.role == role)
        return max([self._highest_file(role), *logged])

    def raise_floor(self, role: str, version: int) -> None:
        """Note that somebody saw this version, though it is not here (an older copy came back)."""
        append_durably(self._log, f"{role} {version} -\n".encode())

    def mark(self) -> object:
        """Return what changes with every timestamp, and everything published ends with one."""
        found = (self._metadata / "timestamp.json").stat()
        return found.st_ino, found.st_mtime_ns

    def write(self, role: str, version: int, data: bytes, *, now: datetime) -> None:
        """Publish the bytes under the role's name, durably; the same bytes twice do no harm."""
        name = "timestamp.json" if role == TIMESTAMP else f"{version}.{role}.json"
        path = self._metadata / name
        if role != TIMESTAMP and path.exists():
            if path.read_bytes() == data:
                return
            raise FileExistsError(f"version {version} of {role} was published with other content")
        line = _Line(role, version, sha256(data).hexdigest(), _day(now))
        append_durably(self._log, str(line).encode())
        write_durably(path, data)

    def write_target(self, path: str, data: bytes) -> TargetFile:
        """Store the bytes under their digest and return what a role signs of them."""
        target = TargetFile.from_data(path, data, ["sha256"])
        folder, name = path.rsplit("/", 1)
        place = self._targets / folder / f"{target.hashes['sha256']}.{name}"
        if place.exists() and place.stat().st_size == len(data):
            place.touch()  # named again: its age begins anew
        else:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durably(place, data)
        return target

    def leave(self, target: TargetFile | None) -> None:
        """Let the age of a file that is named no more begin now."""
        for place in target.get_prefixed_paths() if target else ():
            with suppress(FileNotFoundError):
                (self._targets / place).touch()

    def unnamed(self, current: Mapping[str, Signable], last: str, before: float) -> list[bytes]:
        """Return the files with this last name that nothing names any more, since before then."""
        named = self._named(current)
        return [
            path.read_bytes()
            for path in self._targets.rglob(f"*.{last}")
            if path not in named and path.stat().st_mtime < before
        ]

    def signed(self, current: Mapping[str, Signable], paths: Iterable[str]) -> dict[str, bytes]:
        """Return those of the files that delegated roles sign for."""
        wanted = set(paths)
        return {
            path: self._targets.joinpath(*target.get_prefixed_paths()).read_bytes()
            for role in DELEGATED
            for path, target in current[role].signed.targets.items()
            if path in wanted
        }

    def missing(self, metadata: Signable) -> list[str]:
        """Return the paths that the metadata names and that are not stored."""
        return [
            path
            for path, target in metadata.signed.targets.items()
            if not any((self._targets / place).exists() for place in target.get_prefixed_paths())
        ]

    def digests(self) -> set[tuple[str, bytes]]:
        """Return (role, SHA-256) of everything published that the list still knows."""
        return {(n.role, bytes.fromhex(n.digest)) for n in self._lines() if n.digest != "-"}

    def shorten_log(self, now: datetime) -> None:
        """Keep what machines may still report, and what keeps versions from going back."""
        lines, limit = self._lines(), _day(now - KNOWN_FOR)
        newest = {line.role: line for line in lines}
        stays = [
            line
            for line in lines
            if line.digest == "-"
            or line.role == ROOT
            or newest[line.role] is line
            or not 0 < line.day < limit
        ]
        if len(stays) < len(lines):
            dated = (line if line.day else replace(line, day=_day(now)) for line in stays)
            write_durably(self._log, "".join(map(str, dated)).encode())

    def prune(self, current: Mapping[str, Signable], now: datetime) -> None:
        """Remove what no agent can still be reading: old versions (roots stay) and lost targets."""
        limit, waiting = ((now - age).timestamp() for age in (KEPT_FOR, UNNAMED_FOR))
        for path in self._metadata.iterdir():
            match = _VERSIONED.fullmatch(path.name)
            if match is None or match["role"] == ROOT or match["role"] not in current:
                continue
            if int(match["version"]) < current[match["role"]].signed.version:
                _remove_if_older(path, limit)
        named = self._named(current)
        for path in self._targets.rglob("*"):
            if path.is_file() and path not in named:
                _remove_if_older(path, waiting)

    def _named(self, current: Mapping[str, Signable]) -> set[Path]:
        return {
            self._targets / place
            for role in (TARGETS, *DELEGATED)
            for target in current[role].signed.targets.values()
            for place in target.get_prefixed_paths()
        }

    def _lines(self) -> list[_Line]:
        if not self._log.exists():
            return []
        inode, read, lines = self._known
        with self._log.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_ino != inode or found.st_size < read:
                read, lines = 0, []
            file.seek(read)
            # A power cut may leave a torn last line; what it announced was not published.
            data, _, _ = file.read().rpartition(b"\n")
        if data:
            matches = (_LOGGED.fullmatch(x) for x in data.decode("ascii", "replace").split("\n"))
            lines = [*lines, *(_line(m) for m in matches if m is not None)]
            self._known = (found.st_ino, read + len(data) + 1, lines)
        return lines

    def _highest_file(self, role: str) -> int:
        found = (_VERSIONED.fullmatch(path.name) for path in self._metadata.iterdir())
        return max((int(m["version"]) for m in found if m and m["role"] == role), default=0)

    def _version(self, role: str, version: int) -> Signable:
        return Metadata.from_bytes((self._metadata / f"{version}.{role}.json").read_bytes())


def _remove_if_older(path: Path, limit: float) -> None:
    if path.stat().st_mtime < limit:
        path.unlink()


def _line(match: re.Match[str]) -> _Line:
    return _Line(match["role"], int(match["version"]), match["digest"], int(match["day"] or 0))


def _day(now: datetime) -> int:
    return int(now.timestamp()) // DAY_S
