"""The view of the fleet as it follows the two logs: small things at once, large ones told of.

What a machine reported is read again as its row; what was decided, as the rows it speaks of. A
publication is only noted: to read it takes long, and whoever keeps this decides where that is done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from msgspec import Struct

from patchtide.domain.errors import CursorLost
from patchtide.server.fleet_checkpoint import Checkpoint
from patchtide.server.fleet_reading import (
    PAGE,
    decided_since,
    details_in,
    known_catalog,
    known_update,
    published_by,
    shape_of,
)
from patchtide.server.followed_view import FollowedView
from patchtide.server.listening import Listening, Told
from patchtide.server.member import Said
from patchtide.server.ports.catalog_status import CatalogStatus
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.fleet import FleetStore
from patchtide.server.ports.following import Cursor
from patchtide.server.told_rows import RowsBeside, nowhere, said

log = logging.getLogger(__name__)

ROWS = 500
"""Rows that are read at once: one may have a quarter of a megabyte of sets."""
STREAM = 100
"""So many reports at once are no single machines any more."""
PUBLISH, DESCRIBE, FORGET = "catalog.publish", "catalog.describe", "catalog.forget"
"""Decisions that change what is published, and what people read of it."""
JUDGING = ("updates.rate", "updates.accept-licence", "settings.set-target")
"""Decisions of the site's own about updates."""
AGENTS_SET = "settings.set-agents"
"""The one that says how often machines scan."""


class Ahead(Struct, frozen=True):
    """Some of what was reported next, read while others may ask the view."""

    after: Cursor
    up_to: Cursor
    rows: Sequence[Said]
    has_more: bool


class FleetFollower:
    """One view and how far it has followed; not for two threads at once."""

    def __init__(
        self,
        store: FleetStore,
        catalog: CatalogStatus,
        clock: Clock,
        *,
        view: FollowedView | None = None,
        beside: RowsBeside = nowhere,
    ) -> None:
        """`beside` reads rows in this thread's stead, once they are many."""
        self._store = store
        self._beside = beside
        self._catalog = catalog
        self._clock = clock
        self.view = view or FollowedView(now=clock.now())
        self._decided: Cursor | None = None
        self._listening = Listening()
        self._shape: frozenset[tuple[object, ...]] = frozenset()
        self.is_lost = True
        """Nothing leads on from here: everything is to be read anew."""
        self.is_outdated = False
        """Something was published since the catalog was read."""
        self.is_streaming = False
        """Reports came in numbers when they were followed last."""
        self.has_more = False
        """More reports are there than were to be followed at once."""

    def copied(self) -> FleetFollower:
        """Return one that goes on from here by itself."""
        made = FleetFollower(
            self._store,
            self._catalog,
            self._clock,
            view=self.view.copied(),
            beside=self._beside,
        )
        made._decided, made._listening = self._decided, replace(self._listening)
        made.is_lost = self.is_lost
        made.is_outdated, made._shape = self.is_outdated, self._shape
        return made

    def changes_since(self, now: Cursor) -> int:
        """Return how many changes there are that were not followed; what is lost is all of them."""
        reached = self.view.reached
        if self.is_lost or reached is None or reached.epoch != now.epoch:
            return now.n
        return max(0, now.n - reached.n)

    def follow(self, *, leaves_reports: bool = False) -> bool:
        """Follow what happened; say whether the view is of now, or something large is missing.

        Reports can be left for later: a thousand at once cost a third of what they do one by one.
        """
        return self._follow(None if leaves_reports else self._follow_reports)

    def look_ahead(self, *, at_most: int) -> Ahead | None:
        """Read so many of the reports that come next; None: nothing leads on from here.

        The view has no part in it, so it can be asked meanwhile.
        """
        after = self.view.reached
        if after is None or self.is_lost:
            return None
        try:
            cursor, reporters = self._store.reporters(after, limit=at_most)
        except CursorLost:
            return None
        rows = list(self._rows_of(sorted(set(reporters))))
        return Ahead(after, cursor, rows, has_more=len(reporters) == at_most)

    def follow_up_to(self, ahead: Ahead | None, *, goes_on: bool) -> bool:
        """Follow what happened, and of the reports what was read of them; say what `follow` does.

        `goes_on`: with those that were left the last time. What was followed otherwise meanwhile
        is to be read once more.
        """

        def take(cursor: Cursor) -> None:
            if ahead is None:
                raise CursorLost
            self.has_more = ahead.has_more or ahead.after != cursor
            if ahead.after == cursor:
                is_many = len(ahead.rows) >= STREAM
                self.is_streaming = is_many or (goes_on and self.is_streaming)
                self._let_in(said.client for said in ahead.rows)
                self.view.put_rows(ahead.rows, gathers=self.is_counting)
                self.view.reached = ahead.up_to

        return self._follow(take)

    def _follow(self, follow_reports: Callable[[Cursor], None] | None) -> bool:
        self.view.now = self._clock.now()
        try:
            reached = self.view.reached
            if self._has_lost or reached is None or self._decided is None:
                raise CursorLost
            self._follow_decisions(self._decided)
            if follow_reports is not None:
                follow_reports(reached)
        except CursorLost:
            self.is_lost = True
            return False
        self._listen()
        return not self.is_outdated

    @property
    def is_counting(self) -> bool:
        """Say whether counts of updates follow beside: a stream, or what is left of one."""
        return self.is_streaming or not self.view.is_settled

    def settle_some(self) -> bool:
        """Have counts of updates follow a stream by a part; say whether it goes on."""
        return self.view.settle_some()

    @property
    def _has_lost(self) -> bool:
        return self.is_lost or self.view.is_torn

    @property
    def is_whole(self) -> bool:
        """Say whether nothing large is missing."""
        return not (self._has_lost or self.is_outdated)

    def checkpoint(self) -> Checkpoint | None:
        """Return what a later run can go on from; None: this one knows nothing it could."""
        if self._has_lost or self._decided is None:
            return None
        listened = self._listening.last or datetime.fromtimestamp(0, UTC)
        return self.view.kept(decided=self._decided, listened=listened)

    def resume(self, checkpoint: Checkpoint) -> bool:
        """Go on from there; False: the database cannot say what happened since."""
        self.view = self.view.emptied()
        self.view.now = self._clock.now()
        self._decided = checkpoint.decided
        self._listening = Listening(checkpoint.listened)
        self.view.put_kept(checkpoint)
        try:
            self._read_small()
            self._follow_decisions(self._decided)
            self.is_outdated = False
            self._read_catalog(lineage=checkpoint.lineage)
            self._follow_reports(checkpoint.reported)
            # These named what was not published then, and may be now.
            self._read_rows(self.view.cut)
        except CursorLost:
            self.view = self.view.emptied()
            self._decided, self._listening = None, Listening()
            return False
        self.is_lost = False
        self._listen()
        self.view.count()
        return True

    def renew(self) -> None:
        """Read what is large, and make every count, so that nobody has to wait for it who asks."""
        try:
            if self.is_lost:
                raise CursorLost
            self.is_outdated = False
            self._read_catalog()
            self._read_rows(self.view.cut)
        except CursorLost:
            self._read_all()
        self._listen()
        self.view.now = self._clock.now()
        self.view.count()

    def told(self) -> Iterator[Told]:
        """Read what machines said of their health, if it is time: the view has no part in it."""
        now = self._clock.now()
        if not self.is_lost and self._listening.is_due(now):
            yield from self._listening.told(self._store, self.view.heard_at, now)

    def put_told(self, told: Told) -> None:
        self.view.put_heard(told.restarting, at=told.at, spoken=told.spoken)

    def _listen(self) -> None:
        """Read what machines said, where nobody does that beside whoever asks."""
        now = self._clock.now()
        if self._listening.is_due(now, times=2):
            for told in self._listening.told(self._store, self.view.heard_at, now):
                self.put_told(told)

    def _read_all(self) -> None:
        self._decided, self._listening = None, Listening()
        # The position first: what comes while the rows are read is read once more.
        position = self._store.epoch()
        view = self.view = self.view.emptied()
        after = 0
        while page := self._store.clients(after=after, limit=PAGE):
            view.put_clients(page)
            after = page[-1].number
        self._read_small()
        self._read_catalog()
        after = 0
        while rows := self._store.states(after=after, limit=ROWS):
            self.view.put_rows([said(row) for row in rows])
            after = rows[-1].client
        view.reached = self._decided = position
        self.is_lost = self.is_outdated = False

    def _read_small(self) -> None:
        self.view.put_judged(self._store.judged())
        self.view.put_scan_rule(self._store.scan_rule())
        self.view.put_lists(self._store.update_lists.lists())
        self.view.put_collections(self._store.collections.all(), gone=self.view.collections)

    def _follow_decisions(self, cursor: Cursor) -> None:
        decided = decided_since(self._store, cursor)
        wanted = sorted(decided.machines)
        for start in range(0, len(wanted), PAGE):
            # A hundred thousand in one reading would take longer than one may.
            self.view.put_clients(self._store.clients_of(wanted[start : start + PAGE]))
        if PUBLISH in decided.operations:
            self.is_outdated = True
        elif not decided.operations.isdisjoint((DESCRIBE, FORGET)):
            self._read_details()
        if not decided.operations.isdisjoint(JUDGING):
            self.view.put_judged(self._store.judged())
        if AGENTS_SET in decided.operations:
            self.view.put_scan_rule(self._store.scan_rule())
        if lists := decided.lists:
            self.view.put_lists(self._store.update_lists.lists(lists), gone=lists)
        if collections := decided.collections:
            found = self._store.collections.all(collections)
            self.view.put_collections(found, gone=collections)
        self._decided = decided.up_to

    def _follow_reports(self, cursor: Cursor) -> None:
        changed: set[int] = set()
        is_done = False
        while not is_done:
            cursor, reporters = self._store.reporters(cursor, limit=PAGE)
            changed.update(reporters)
            is_done = len(reporters) < PAGE
        self.is_streaming, self.has_more = len(changed) >= STREAM, False
        self._let_in(changed)
        self._read_rows(changed)
        self.view.reached = cursor

    def _let_in(self, reporters: Iterable[int]) -> None:
        """Some may have reported before the decision to let them in was seen."""
        members = self.view.members
        if strangers := {number for number in reporters if number not in members}:
            self.view.put_clients(self._store.clients_numbered(sorted(strangers)))

    def _read_rows(self, clients: Iterable[int]) -> None:
        wanted = sorted(clients)
        for start in range(0, len(wanted), ROWS):
            self.view.put_rows(self._rows_of(wanted[start : start + ROWS]), gathers=True)
        self.view.settle()

    def _rows_of(self, clients: Sequence[int]) -> Iterable[Said]:
        told = self._beside(clients)
        return map(said, self._store.states_of(clients)) if told is None else told

    def _read_details(self) -> None:
        """Put what people read of what is published: mostly no count changes by that."""
        told = details_in(self._store)
        if shape_of(told.values()) != self._shape:
            self.is_outdated = True
            return
        known = self.view.updates.values()
        self.view.put_described(
            [known_update(u.id, u.leaves, u.title, told[u.id]) for u in known if u.id in told]
        )

    def _read_catalog(self, *, lineage: bytes | None = None) -> None:
        """Raises CursorLost: what was read speaks of another lineage than the one of now."""
        serials = {shard.name: shard.serial for shard in self._catalog.shards()}
        details = details_in(self._store)
        self._shape = shape_of(details.values())
        published = published_by(self._store, serials, details)
        of_now, known = bytes(self._catalog.lineage()), lineage or self.view.lineage
        if self.view.reached is not None and of_now != known:
            raise CursorLost("other numbers: nothing that was read holds any more")
        self.view.put_catalog(of_now, serials, known_catalog(published, details))
