"""The feed as the server has it: a process of its own that hands over a file (decision 0020)."""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from patchtide.adapters.feeds.errors import (
    FeedDamaged,
    FeedDisputed,
    FeedExpired,
    FeedNotSigned,
    FeedTooBig,
    FeedUnreachable,
    NoFeed,
    SpoolNotWritten,
)
from patchtide.adapters.platforms.commands import ENVIRONMENT, CommandFailed, Finished, run
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.catalog.selection import Selection
from patchtide.domain.errors import PatchtideError, Unavailable, WrongState
from patchtide.server.ports.feed import (
    ALL,
    FeedContent,
    FeedHead,
    Step,
    Tried,
    VendorFile,
    VendorIndex,
    Wanted,
)
from patchtide.server.synchronisation_plan import choices_of
from patchtide.wire.spool import (
    MAX_BYTES,
    VENDORS,
    VendorFileV1,
    VendorIndexV1,
    unpack_head,
    unpack_spool,
)

MODULE = "patchtide.entry.feed"
LIMIT_S = 1800.0
TRY_LIMIT_S = 55.0
_PATIENCE_S = 15.0
_SAID = 64 << 10
_KINDS = {
    kind.code: kind
    for kind in (
        FeedDamaged,
        FeedDisputed,
        FeedExpired,
        FeedNotSigned,
        FeedTooBig,
        FeedUnreachable,
        NoFeed,
        SpoolNotWritten,
    )
}

Heard = Callable[[str, int, int], None]
"""Told the step, how much of it is done and of how much."""


class _Said(msgspec.Struct):
    step: str = ""
    done: int = 0
    of: int = 0
    code: str = ""
    detail: str = ""


class _Tried(msgspec.Struct, frozen=True):
    """What the process says of an address, within bounds."""

    address: Annotated[str, Meta(max_length=2_000)]
    step: Step | None = None
    detail: Annotated[str, Meta(max_length=2_000)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Through:
    """The proxy as it is configured; the account stays in its file until the process reads it."""

    proxy: str = ""
    account: Path | None = None
    direct: Sequence[str] = ()

    def words(self) -> Sequence[str]:
        if not self.proxy:
            return ()
        account = ("--proxy-account", str(self.account)) if self.account else ()
        direct = (word for host in self.direct for word in ("--proxy-direct", host))
        return ("--proxy", self.proxy, *account, *direct)


class FeedProcess:
    """Starts the process when it is asked something; between two questions there is none."""

    def __init__(
        self,
        folder: Path,
        *,
        kind: str = "apt",
        root: Path = Path("/"),
        advisories: Sequence[Path] = (),
        through: Through | None = None,
        heard: Heard,
    ) -> None:
        """`advisories` are files of OSV and CSAF documents, or what holds such files."""
        self._folder = folder.absolute()
        self._root = root.absolute()
        self._kind = kind
        self._advisories = [word for path in advisories for word in ("--advisories", str(path))]
        self._through = (through or Through()).words()
        self._heard = heard
        self._last = _Said()
        self._stopped = False
        self._one_at_a_time = threading.Lock()
        self._one_try = threading.Lock()

    def stop(self) -> None:
        """End the process within a second, for good; whoever waits for it gets Unavailable."""
        self._stopped = True

    def fetch(self, wanted: Wanted = ALL) -> None:
        """Raises FeedUnreachable, FeedNotSigned, FeedDamaged, FeedExpired, NoFeed, Unavailable."""
        with self._one_at_a_time:
            self._run("fetch", *self._selected(wanted.selection), out=self._content)

    def _selected(self, selection: Selection) -> Sequence[str]:
        if not selection:
            return ()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / "selection.json"
        path.write_bytes(msgspec.json.encode(choices_of(selection)))
        return ("--selection", str(path))

    def head(self) -> FeedHead:
        head = unpack_head(self._handed_over())
        return FeedHead(as_of=head.as_of, stamp=head.stamp, note=head.note, is_whole=head.is_whole)

    def read(self, *, now: datetime) -> FeedContent:
        """Return what the last `fetch` has found; the process has verified it.

        Raises:
            FeedUnreachable, FeedTooBig, FeedDamaged, InvalidDocument
        """
        del now
        spool, shards = unpack_spool(self._handed_over())
        return FeedContent(
            shards=shards,
            as_of=spool.as_of,
            stamp=spool.stamp,
            note=spool.note,
            is_whole=spool.is_whole,
            vendors={
                shard: tuple(self._vendor_index(said) for said in indexes)
                for shard, indexes in spool.vendors.items()
            },
        )

    def _vendor_index(self, said: VendorIndexV1) -> VendorIndex:
        def file(each: VendorFileV1) -> VendorFile:
            path = self._folder / VENDORS / each.sha256.hex()
            return VendorFile(key=each.key, sha256=each.sha256, read=partial(_vendors_own, path))

        return VendorIndex(
            kind=said.kind,
            name=said.name,
            signed=file(said.signed),
            lists=tuple(map(file, said.lists)),
        )

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        if self._kind in ("rpm", "imported"):
            return updates  # advisories, or the other site, say all that there is to say
        wanted, out = self._folder / "wanted.json", self._folder / "described"
        with self._one_at_a_time:
            wanted.write_bytes(msgspec.json.encode([u.details.vendor_id for u in updates]))
            self._run("describe", "--wanted", str(wanted), out=out)
            _, shards = unpack_spool(handed_over(out))
        described = {u.details.update: u for found in shards.values() for u in found}
        return [described.get(update.details.update, update) for update in updates]

    def try_all(self) -> Sequence[Tried]:
        """Ask every address, beside whatever is being fetched.

        Raises:
            WrongState: they are being tried already.
            FeedUnreachable, FeedNotSigned, NoFeed: nobody knows which they are.
            Unavailable
        """
        if not self._one_try.acquire(blocking=False):
            raise WrongState("the addresses are being tried already")
        try:
            return self._tried(self._folder / "tried")
        finally:
            self._one_try.release()

    def _tried(self, folder: Path) -> Sequence[Tried]:
        heard: list[_Said] = []
        out = folder / "tried"
        ended = self._ended(
            "try", spool=folder, out=out, heard=lambda line: heard.append(_said(line))
        )
        if ended.status != 0:
            raise _error(heard[-1] if heard else _Said(), ended)
        try:
            found = msgspec.json.decode(handed_over(out), type=list[_Tried])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FeedDamaged("what was tried was not handed over as it should be") from error
        return [Tried(address=x.address, step=x.step, detail=x.detail) for x in found]

    def _handed_over(self) -> bytes:
        try:
            return handed_over(self._content)
        except OSError as error:
            raise FeedUnreachable("nothing was fetched yet") from error

    @property
    def _content(self) -> Path:
        return self._folder / "content"

    def _run(self, command: str, *options: str, out: Path) -> None:
        self._last = _Said()
        ended = self._ended(
            command, *options, spool=self._folder, out=out, heard=self._hear, limit_s=LIMIT_S
        )
        if ended.status != 0:
            raise _error(self._last, ended)

    def _ended(
        self,
        command: str,
        *options: str,
        spool: Path,
        out: Path,
        heard: Callable[[bytes], None],
        limit_s: float = TRY_LIMIT_S,
    ) -> Finished:
        named = {"--kind": self._kind, "--spool": spool, "--root": self._root, "--out": out}
        given = [str(word) for pair in named.items() for word in pair]
        words = (command, *given, *self._through, *self._advisories, *options)
        try:
            return run(
                [sys.executable, "-P", "-m", MODULE, *words],
                timeout_s=limit_s,
                output_limit=_SAID,
                environment={**ENVIRONMENT, **own_path()},
                heard=heard,
                is_wanted=lambda: not self._stopped,
                patience_s=_PATIENCE_S,
            )
        except CommandFailed as error:
            raise Unavailable(f"the feed was not read: {self._why(error, limit_s)}") from error

    def _why(self, error: CommandFailed, limit_s: float) -> str:
        """Return it in words for people, and not by the line that was run."""
        if self._stopped:
            return "it is not wanted any more"
        if isinstance(error.__cause__, OSError):
            return error.__cause__.strerror or "its process cannot be started"
        return f"it did not end within {limit_s:.0f} s"

    def _hear(self, line: bytes) -> None:
        said = _said(line)
        if said != _Said():
            self._last = said
        if said.step:
            self._heard(said.step, said.done, said.of)


def _said(line: bytes) -> _Said:
    try:
        return msgspec.json.decode(line, type=_Said)
    except msgspec.DecodeError:
        return _Said()


def _error(said: _Said, ended: Finished) -> PatchtideError:
    if said.code:
        return _KINDS.get(said.code, Unavailable)(said.detail)
    *_, last = ended.complaints or ["it said nothing"]
    return Unavailable(f"reading the feed ended with status {ended.status}: {last}")


def _vendors_own(path: Path) -> bytes:
    try:
        return handed_over(path)
    except OSError as error:
        raise FeedUnreachable("what a vendor signed was not handed over") from error


def handed_over(path: Path) -> bytes:
    """Return what the process wrote there. What it is, is seen before anything is read.

    Raises:
        FeedTooBig: it is longer than such a file may be.
        FeedDamaged: it is no file.
    """
    # A pipe would keep the server waiting; a link could lead to a file of the server's own.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise FeedDamaged(f"{path.name} in the feed's folder is no file")
        if found.st_size > MAX_BYTES:
            raise FeedTooBig(f"it was handed over in {found.st_size} bytes, of {MAX_BYTES} at most")
        return file.read(MAX_BYTES)


def own_path() -> dict[str, str]:
    """A server that runs from a source tree starts its processes from there too."""
    return {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
