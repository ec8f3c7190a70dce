"""Several feeds as one: each read by a process of its own, each with shards of its own.

When one cannot be read, or is refused, the others still bring what is new; what left or changed
waits until all can be read again, for nobody knows what the missing one would say of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar

from patchtide.adapters.feeds.errors import FeedDisputed
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.errors import PatchtideError
from patchtide.entry.server.feed_process import FeedProcess, Heard, Through
from patchtide.server.catalog_import import IMPORTED
from patchtide.server.ports.feed import (
    ALL,
    FeedConnections,
    FeedContent,
    FeedHead,
    Step,
    Tried,
    UpdateFeed,
    Wanted,
)

T = TypeVar("T")
_MAX_NOTE = 300
"""So much of what is wrong with one feed leaves room for the others."""


class StoppableFeed(UpdateFeed, FeedConnections, Protocol):
    def stop(self) -> None: ...


class FeedsTogether:
    """`feeds` by what the setting calls them; there is at least one."""

    def __init__(self, feeds: Mapping[str, StoppableFeed]) -> None:
        self._feeds = feeds
        self._failed: dict[str, PatchtideError] = {}
        self._judge = ALL.judge
        self._told_by: Mapping[str, str] = {}
        """Shard -> the feed that told of it."""

    def stop(self) -> None:
        for feed in self._feeds.values():
            feed.stop()

    def fetch(self, wanted: Wanted = ALL) -> None:
        """Raises what the first feed says, when none of them can be fetched."""
        self._failed, self._judge = {}, wanted.judge
        asked = wanted.feeds & self._feeds.keys() or self._feeds.keys()
        # A retry may have come to another node than the one that fetched the others.
        stale = {name for name in self._feeds.keys() - asked if not self._is_fit(name)}
        self._each(lambda feed: feed.fetch(wanted), among=asked | stale)

    def head(self) -> FeedHead:
        heads = self._each(self._head)
        return FeedHead(
            as_of={suite: at for head in heads.values() for suite, at in head.as_of.items()},
            stamp=self._stamp(heads),
            note=self._note(heads),
            is_whole=not self._failed and all(head.is_whole for head in heads.values()),
            failed=tuple(self._failed),
        )

    def read(self, *, now: datetime) -> FeedContent:
        """Raises what the first feed says, when none of them can be read.

        Of two that tell of one system the first one counts.
        """
        contents = self._undisputed(self._each(lambda feed: self._read(feed, now)))
        shards = {k: v for each in contents.values() for k, v in each.shards.items()}
        return FeedContent(
            shards=shards,
            vendors={k: v for each in contents.values() for k, v in each.vendors.items()},
            as_of={suite: at for each in contents.values() for suite, at in each.as_of.items()},
            stamp=self._stamp(contents),
            note=self._note(contents),
            is_whole=not self._failed and all(each.is_whole for each in contents.values()),
            failed=tuple(self._failed),
        )

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        """Ask one after the other; what one does not know comes back as it was."""
        for feed in self._feeds.values():
            waiting = [update for update in updates if update.details.cves is None]
            if waiting:
                told = {u.details.update: u for u in feed.describe(waiting)}
                updates = [told.get(update.details.update, update) for update in updates]
        return updates

    def try_all(self) -> Sequence[Tried]:
        """Try all feeds at once; one whose addresses nobody knows is told by its own name."""
        with ThreadPoolExecutor(len(self._feeds), thread_name_prefix="trying") as pool:
            found = pool.map(_tried, self._feeds, self._feeds.values())
        return [each for some in found for each in some]

    def _head(self, feed: UpdateFeed) -> FeedHead:
        head = feed.head()
        self._judge(head)
        return head

    def _read(self, feed: UpdateFeed, now: datetime) -> FeedContent:
        content = feed.read(now=now)
        self._judge(content)
        return content

    def _is_fit(self, name: str) -> bool:
        try:
            self._head(self._feeds[name])
        except PatchtideError:
            return False
        return True

    def _undisputed(self, contents: Mapping[str, FeedContent]) -> Mapping[str, FeedContent]:
        """Return those that tell of no other's shard, be the other away just now or not."""
        told_by = {shard: feed for shard, feed in self._told_by.items() if feed in self._failed}
        kept: dict[str, FeedContent] = {}
        for name, content in contents.items():
            if taken := sorted(s for s in content.shards if told_by.get(s, name) != name):
                other = told_by[taken[0]]
                self._failed[name] = FeedDisputed(f"{other} tells of {taken[0]} already")
            else:
                kept[name] = content
                told_by |= dict.fromkeys(content.shards, name)
        self._told_by = told_by
        return kept

    def _each(
        self, ask: Callable[[StoppableFeed], T], *, among: Collection[str] | None = None
    ) -> Mapping[str, T]:
        """Return the answers of those feeds that could be read so far."""
        answers: dict[str, T] = {}
        for name, feed in self._feeds.items():
            if name not in self._failed and (among is None or name in among):
                try:
                    answers[name] = ask(feed)
                except PatchtideError as error:
                    self._failed[name] = error
        if not answers:
            raise next(iter(self._failed.values()))
        return answers

    def _stamp(self, heads: Mapping[str, FeedHead]) -> bytes:
        digest = sha256(b"patchtide-feeds-1\0")
        for name, head in heads.items():
            digest.update(name.encode() + b"\0" + head.stamp)
        return digest.digest()

    def _note(self, heads: Mapping[str, FeedHead]) -> str:
        """Failures first: they are what somebody has to mend."""
        failed = [
            f"{name} ({error.code}): {str(error)[:_MAX_NOTE]}"
            for name, error in self._failed.items()
        ]
        return "; ".join([*failed, *(head.note for head in heads.values() if head.note)])


def _tried(name: str, feed: FeedConnections) -> Sequence[Tried]:
    try:
        return feed.try_all()
    except PatchtideError as error:
        return [Tried(address=name, step=Step.NAME, detail=f"{error.code}: {error}")]


def feed_of(
    feeds: Sequence[str],
    folder: Path,
    *,
    heard: Heard,
    advisories: Sequence[Path] = (),
    through: Through | None = None,
    imports: Path = Path("/"),
) -> StoppableFeed | None:
    """Return the feed that the setting names, all of them as one; None: there is none.

    `imports` is where the catalogs of other sites lie.
    """
    made: dict[str, StoppableFeed] = {}
    for text in feeds:
        kind, _, root = text.partition(":")
        made[text] = FeedProcess(
            folder if len(feeds) == 1 else folder / sha256(text.encode()).hexdigest()[:16],
            kind=kind,
            root=imports if kind == IMPORTED else Path(root or "/"),
            advisories=advisories,
            through=through,
            heard=heard,
        )
    if len(made) > 1:
        return FeedsTogether(made)
    return next(iter(made.values()), None)


def checked_feeds(text: str) -> tuple[str, ...]:
    """Raises ValueError: one of them is no kind of feed."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for each in found:
        kind, _, root = each.partition(":")
        is_known = each == IMPORTED or kind in ("apt", "rpm")
        if not is_known or (root and not Path(root).is_dir()):
            raise ValueError(
                "apt, rpm, apt:FOLDER or rpm:FOLDER of such a system, or imported, commas between"
            )
    return found
