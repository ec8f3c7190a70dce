"""Blobs by digest: resumed by Range, hashed as they stream, whole at the final path or absent.

A source is only believed in the end, when the digest is right: whatever it says of lengths and
ranges on the way can cost time, never correctness.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from patchtide.agent.ports.web import Getter, Reply, TransferFailed, TransferTooSlow
from patchtide.domain.errors import PatchtideError

if TYPE_CHECKING:
    from hashlib import _Hash

READ = 1 << 20
STALL_S = 30.0
MIN_RATE = 2048
"""Bytes a second, averaged since the first `GRACE_S`."""
GRACE_S = 30.0
SPARE = 32 << 20
"""Bytes that a download leaves free: a machine with a full disk has worse troubles than ours."""
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC


class DownloadFailed(PatchtideError):
    """No source could give the file."""

    code = "download-failed"

    def __init__(self, message: str | None = None, events: Sequence[DownloadEvent] = ()) -> None:
        self.events = tuple(events)
        super().__init__(message)


class ContentDamaged(PatchtideError):
    """The file is not the one that was verified."""

    code = "content-damaged"


@dataclass(frozen=True, slots=True)
class DownloadEvent:
    """One source's failure."""

    code: str
    source: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    digest: bytes
    """SHA-256."""
    size: int

    @property
    def name(self) -> str:
        return self.digest.hex()


@dataclass(slots=True)
class _Partial:
    """What is there of a blob, and its hash so far."""

    handle: int
    have: int = 0
    hash: _Hash = field(default_factory=sha256)

    def reset(self) -> None:
        os.ftruncate(self.handle, 0)
        self.have, self.hash = 0, sha256()

    def append(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            written = os.pwrite(self.handle, rest, self.have)
            self.have += written
            rest = rest[written:]
        self.hash.update(chunk)


class _WrongDigest(TransferFailed):
    """What came is not the file that was asked for."""


class Downloader:
    """Fetches blobs into `folder`, each under its digest."""

    def __init__(
        self,
        folder: Path,
        getter: Getter,
        *,
        stall_s: float = STALL_S,
        min_rate: int = MIN_RATE,
        grace_s: float = GRACE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._folder = folder
        self._getter = getter
        self._stall_s = stall_s
        self._min_rate = min_rate
        self._grace_s = grace_s
        self._monotonic = monotonic

    def path(self, blob: Blob) -> Path:
        return self._folder / blob.name

    def fetch(self, blob: Blob, sources: Sequence[str]) -> tuple[Path, tuple[DownloadEvent, ...]]:
        """Return the verified file, from the first source (a full URL) that can give it.

        What was fetched before a break is kept and continued, now or by a later call.

        Raises:
            DownloadFailed: no source could; `events` are in its `events`.
        """
        path = self.path(blob)
        events = list(self._drop_damaged(blob))
        if path.exists():
            return path, tuple(events)
        try:
            with closing(_PartialFile(self._folder / f".{blob.name}.part")) as file:
                partial = file.resume(blob.size)
                self._needs_space(blob, partial.have)
                for source in sources:
                    if self._try_source(partial, blob, source, events=events):
                        os.fsync(partial.handle)
                        file.path.rename(path)
                        _sync_folder(self._folder)
                        return path, tuple(events)
        except OSError as error:
            raise DownloadFailed(f"the file cannot be stored: {error}", events) from error
        raise DownloadFailed(f"no source of {len(sources)} has {blob.name}", events)

    def keep_only(self, digests: Collection[bytes]) -> None:
        """Remove what is, or was to become, any other blob."""
        kept = {digest.hex() for digest in digests}
        for path in self._folder.iterdir():
            if path.name.removeprefix(".").removesuffix(".part") not in kept:
                with suppress(OSError):  # it is tried again before the next download
                    path.unlink()

    def _needs_space(self, blob: Blob, have: int) -> None:
        found = os.statvfs(self._folder)
        free = found.f_bavail * found.f_frsize
        if blob.size - have > free - SPARE:
            raise OSError(errno.ENOSPC, f"{blob.size - have} bytes are to come, {free} are free")

    def _drop_damaged(self, blob: Blob) -> Iterator[DownloadEvent]:
        path = self.path(blob)
        if not path.exists():
            return
        try:
            os.close(open_verified(path, blob.digest, blob.size))
        except ContentDamaged as error:
            path.unlink()
            yield DownloadEvent(error.code, "", blob.name)

    def _try_source(
        self, partial: _Partial, blob: Blob, source: str, *, events: list[DownloadEvent]
    ) -> bool:
        resumed = partial.have > 0
        try:
            self._transfer(partial, blob, source)
        except _WrongDigest as error:
            events.append(DownloadEvent(error.code, source, str(error)))
            # The wrong part may be what an earlier source had sent: this one gets a fresh start.
            return resumed and self._try_source(partial, blob, source, events=events)
        except TransferFailed as error:
            events.append(DownloadEvent(error.code, source, str(error)))
            return False
        return True

    def _transfer(self, partial: _Partial, blob: Blob, source: str) -> None:
        if partial.have < blob.size or not blob.size:
            total_s = self._grace_s + blob.size / self._min_rate
            with self._getter.get(
                source, offset=partial.have, total_s=total_s, stall_s=self._stall_s
            ) as reply:
                _position(partial, reply, blob)
                self._stream(partial, reply, blob)
        if partial.have < blob.size:
            raise TransferFailed(f"ended after {partial.have} of {blob.size} bytes")
        if partial.hash.digest() != blob.digest:
            partial.reset()
            raise _WrongDigest

    def _stream(self, partial: _Partial, reply: Reply, blob: Blob) -> None:
        began, before = self._monotonic(), partial.have
        for chunk in reply.chunks:
            if partial.have + len(chunk) > blob.size:
                partial.reset()
                raise TransferFailed(f"more than the {blob.size} bytes that the file has")
            partial.append(chunk)
            spent = self._monotonic() - began
            if spent > self._grace_s and partial.have - before < self._min_rate * spent:
                raise TransferTooSlow


class _PartialFile:
    """The file a blob grows in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | _OPEN, 0o600)

    def resume(self, size: int) -> _Partial:
        partial = _Partial(self._handle)
        if not 0 < os.fstat(self._handle).st_size <= size:
            partial.reset()
        while chunk := os.pread(self._handle, READ, partial.have):
            partial.hash.update(chunk)
            partial.have += len(chunk)
        return partial

    def close(self) -> None:
        os.close(self._handle)


def open_verified(path: Path, digest: bytes, size: int) -> int:
    """Return a descriptor of the file, verified through that very descriptor.

    Whoever uses it must read from the descriptor: the name may lead elsewhere a moment later.

    Raises:
        ContentDamaged: it is another file, no plain file, or a link.
    """
    try:
        handle = os.open(path, os.O_RDONLY | _OPEN)
    except OSError as error:
        raise ContentDamaged(f"{path.name} cannot be opened: {error.strerror}") from error
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            raise ContentDamaged(f"{path.name} is no plain file of {size} bytes")
        if _hash_of(handle, size) != digest:
            raise ContentDamaged(f"{path.name} is not the file that was verified")
    except BaseException:
        os.close(handle)
        raise
    return handle


def _hash_of(handle: int, size: int) -> bytes:
    hashed, at = sha256(), 0
    # One byte beyond the end is asked for, so that a file that grew meanwhile is noticed.
    while chunk := os.pread(handle, min(READ, size - at + 1), at):
        hashed.update(chunk)
        at += len(chunk)
        if at > size:
            break
    return hashed.digest()


def _position(partial: _Partial, reply: Reply, blob: Blob) -> None:
    """Go where the reply begins, or refuse it before a byte is stored."""
    if reply.status == 416:
        partial.reset()
    if reply.status not in (200, 206):
        raise TransferFailed(f"answered {reply.status}")
    if reply.status == 206 and reply.start != partial.have:
        raise TransferFailed(f"sent from {reply.start}, not from {partial.have}")
    begins = reply.start if reply.status == 206 else 0
    if reply.length is not None and begins + reply.length != blob.size:
        raise TransferFailed(f"would end at {begins + reply.length}, not at {blob.size}")
    if begins != partial.have:
        partial.reset()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
