"""The feed of one machine's own sources: what its apt has fetched while that is fresh, else ours.

apt's own lists cost nothing, and are believed for their signatures only, as ours are. When ours
cannot be fetched, lists that apt fetched within a day are better than none, and it is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from patchtide.adapters.feeds.apt import AptFeed
from patchtide.adapters.feeds.apt_lists import AptLists
from patchtide.adapters.feeds.errors import FeedUnreachable
from patchtide.adapters.feeds.proxy import Proxy
from patchtide.adapters.feeds.signature import is_signed
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.catalog.selection import Selection
from patchtide.server.ports.feed import FeedContent, Tried
from patchtide.wire.vendor_signatures import Run

FRESH = timedelta(hours=1)
"""As often as the catalog is synchronised: older lists would be older than ours."""
USABLE = timedelta(days=1)


class MachineFeed:
    """What the sources of the system under `root` offer; `folder` is the feed's own."""

    def __init__(
        self, folder: Path, *, run: Run, root: Path = Path("/"), proxy: Proxy | None = None
    ) -> None:
        etc, self._theirs = root / "etc/apt", root / "var/lib/apt/lists"
        self._lists = AptLists(folder, etc=etc, run=run, lists=self._theirs, proxy=proxy)
        self._ours = folder / "fetched/lists"
        keys = root / "usr/share/keyrings"
        self._feeds = {
            "own": AptFeed(folder / "fetched", run=run, etc=etc, keyrings=keys, proxy=proxy),
            "theirs": AptFeed(
                folder, run=run, etc=etc, lists=self._theirs, keyrings=keys, proxy=proxy
            ),
        }
        self._chosen = folder / "chosen"
        self.note = ""
        """What a person should know of how the lists were come by."""

    def fetch(self, *, now: datetime, selection: Selection | None = None) -> None:
        """Bring the lists of what is chosen here, or settle on those that apt has.

        Raises:
            FeedUnreachable, FeedNotSigned, FeedDamaged
        """
        fetched_at = _updated_at(self._theirs)
        if fetched_at and self._is_newest(fetched_at, now) and self._are_whole():
            return self._choose("theirs")
        try:
            self._feeds["own"].fetch(selection)
        except FeedUnreachable as error:
            if fetched_at is None or now - fetched_at > USABLE or not self._are_whole():
                raise
            self.note = f"what apt fetched at {fetched_at:%Y-%m-%d %H:%M} UTC was read: {error}"
            return self._choose("theirs")
        return self._choose("own")

    def read(self, *, now: datetime) -> FeedContent:
        """Raises FeedNotSigned, FeedDamaged, FeedExpired, FeedDisputed, NoFeed."""
        content = self._feed().read(now=now)
        note = "; ".join(filter(None, (self.note, content.note)))
        stamp = sha256(self.note.encode() + content.stamp).digest()
        return replace(content, note=note, stamp=stamp)

    def stamp(self, *, now: datetime) -> bytes:
        """Raises FeedNotSigned, FeedDamaged, FeedExpired, FeedDisputed."""
        return sha256(self.note.encode() + self._feed().stamp(now=now)).digest()

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        return self._feed().describe(updates)

    def known(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        return self._feed().known(updates)

    def learnt(self) -> bytes:
        return self._feed().learnt()

    def places(self) -> Sequence[str]:
        """Raises FeedUnreachable: the sources cannot be read."""
        return self._feeds["own"].places()

    def try_one(self, address: str) -> Tried:
        return self._feeds["own"].try_one(address)

    def _feed(self) -> AptFeed:
        chosen = self._chosen.read_text("ascii") if self._chosen.is_file() else "own"
        return self._feeds[chosen if chosen in self._feeds else "own"]

    def _choose(self, name: str) -> None:
        self._chosen.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._chosen.write_text(name, "ascii")

    def _is_newest(self, fetched_at: datetime, now: datetime) -> bool:
        """Say whether apt's lists are fresh, and no older than ours: a feed never goes back."""
        ours = _updated_at(self._ours)
        return timedelta(0) <= now - fetched_at < FRESH and (ours is None or ours < fetched_at)

    def _are_whole(self) -> bool:
        """Say whether there is a list for every index that the sources name."""
        try:
            found = self._lists.indices()
        except FeedUnreachable:  # apt cannot make sense of its own lists
            return False
        return bool(found) and all(i.path.is_file() and is_signed(i.release) for i in found)


def _updated_at(lists: Path) -> datetime | None:
    """apt clears this folder at the end of every update, also of one that brought nothing."""
    try:
        return datetime.fromtimestamp((lists / "partial").stat().st_mtime, UTC)
    except OSError:
        return None
