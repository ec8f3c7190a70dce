"""The whole fleet in memory, as lists and counts are asked of it.

Whoever asks first brings the view up to date, which costs two short reads when nothing happened.
What takes long, after a publication, a restore or too long a pause, is made beside the view that
answers meanwhile, and put in its place when it is whole.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from time import monotonic
from typing import TypeVar

from patchtide.domain.access.grants import Scope
from patchtide.domain.errors import InvalidDocument
from patchtide.domain.schedules.scanning import Habit
from patchtide.server.collection_index import CollectionIndex
from patchtide.server.fact_index import FactFollower, FactIndex
from patchtide.server.fleet_checkpoint import read, written
from patchtide.server.fleet_follower import Ahead, FleetFollower
from patchtide.server.followed_view import FollowedView
from patchtide.server.machine_index import MachineIndex
from patchtide.server.ports.catalog_status import CatalogStatus
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.fleet import FleetStore
from patchtide.server.ports.fleet_keeping import FleetKeeping
from patchtide.server.ports.following import Cursor
from patchtide.server.ports.metrics import Backlog
from patchtide.server.threads import Threads
from patchtide.server.told_rows import RowsBeside, nowhere
from patchtide.server.turns import Turns
from patchtide.server.update_index import UpdateIndex

log = logging.getLogger(__name__)

T = TypeVar("T")
THREADS = 3
"""One asks the view; the others may read what single pages need besides."""
PATIENCE_S = 0.05
"""After so long nobody waits for a view that is being made; for a small fleet it is enough."""
GATHER_S = 2.0
"""While reports stream in, no question follows them, unless nobody else did for so long."""
DECIDED_S = 0.5
"""While they do, nor does a question look for what other nodes decided, if somebody just has."""
SLICE = 250
"""Of a stream, so many reports are followed before whoever asked meanwhile has his turn."""
JUDGED = 50
"""So many machines are judged before whoever asked meanwhile has his turn."""
SETTLE_S = 0.1
"""After so long with counts of updates, a stream is followed on before they go on."""
SETTLE_SHARE = 10
"""Of the time in which a stream is followed such a part goes to counts of updates, at most."""


class Fleet:
    """The one view of this node. Questions are short and come from threads, one at a time."""

    bounds: frozenset[Scope] = frozenset()
    """What it is narrowed to; none: it is the whole fleet, with the whole catalog."""
    scopes: frozenset[Scope] = frozenset()
    """Those of them that are of machines; none: every machine is in it."""
    lists: frozenset[str] | None = None
    """The lists on which all updates are that it speaks of; None: it speaks of any."""

    def __init__(
        self,
        store: FleetStore,
        catalog: CatalogStatus,
        clock: Clock,
        *,
        patience_s: float = PATIENCE_S,
        gather_s: float = GATHER_S,
        keeping: FleetKeeping | None = None,
        beside: RowsBeside = nowhere,
    ) -> None:
        self.store = store
        self.updates = UpdateIndex()
        self.facts = FactIndex(is_whole=False)
        self.machines = MachineIndex(self.facts, self.updates)
        self.collections = CollectionIndex(self.machines)
        """All four are asked within a question alone."""
        self._clock = clock
        self._patience_s = patience_s
        self._gather_s = gather_s
        self._followed_at = 0.0
        self._settle_at = self._settling_s = 0.0
        self._decided = 0
        self._waiting = 0
        """Questions for which counts of updates follow before more of a stream is."""
        self._keeping = keeping
        self._kept: tuple[Cursor, Cursor, Mapping[int, Habit]] | None = None
        """How far was followed what is written down, with the habits of machines."""
        self._writing = threading.Lock()
        self._lock = Turns()
        self._threads = Threads("fleet", count=THREADS)
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="fleet-view")
        self._making: Future[None] | None = None
        self._began_at = 0.0
        self._current_at = monotonic()
        self._current = FleetFollower(store, catalog, clock, beside=beside)
        self._told = FactFollower(store, self.facts, store.epoch, self._within)
        self._is_made = False

    @property
    def everything(self) -> Fleet:
        """Return the fleet with all machines, whoever asks this one."""
        return self

    def now(self) -> datetime:
        return self._clock.now()

    def heard_of_late(self, silent_after: timedelta) -> int:
        """Return how many active machines are not silent, which is this long for most of them."""
        return self.ask(
            lambda view: len(view.active - view.silent(view.active, silent_after=silent_after))
        )

    async def run(self, work: Callable[[], T]) -> T:
        """Do what asks this fleet in a thread of its own.

        Questions wait for each other: in the threads that everybody has, they would fill them.
        """
        return await self._threads.run(work)

    def ask(self, question: Callable[[FollowedView], T]) -> T:
        """Ask the fleet as it is now, or as it was when something large happened a moment ago."""
        is_asked = False
        while True:
            with self._lock:
                if is_asked or self._follow():
                    self._current.view.now = self._clock.now()
                    return question(self._current.view)
                # One that is being made already may not have seen what this one has.
                is_asked = self._making is None
                making = self._begun()
            try:
                making.result(self._patience())
            except TimeoutError:
                is_asked = True

    def ask_settled(self, question: Callable[[FollowedView], T]) -> T:
        """Ask it when its counts speak of all that it knows of reports, which they do in parts.

        Others ask in between. No more of a stream is followed before that.
        """

        def answer() -> tuple[T] | None:
            if not self._follow():
                return None
            self._current.view.now = self._clock.now()
            return (question(self._current.view),)

        answered = self._once_settled(answer)
        return self.ask(question) if answered is None else answered[0]

    def _once_settled(self, work: Callable[[], T]) -> T:
        """Do it as soon as counts speak of all that was put."""
        with self._lock:
            self._waiting += 1
        try:
            while True:
                with self._lock:
                    if self._is_settled():
                        return work()
        finally:
            with self._lock:
                self._waiting -= 1

    def _is_settled(self) -> bool:
        """Say whether counts speak of all that was put, after a part of what they do not."""
        view = self._current.view
        if not (view.is_settled or view.is_torn):
            self._current.settle_some()
            self._followed_at = monotonic()  # no question takes up more of the stream meanwhile
        return view.is_settled or view.is_torn

    def version(self) -> int:
        """Return a number that is another one whenever something has changed."""
        return self.ask(lambda view: view.version)

    def backlog(self) -> Backlog:
        """Return how far the view is behind now; nobody is brought up to date by that."""
        with self._lock:
            changes = self._current.changes_since(self.store.epoch())
        seconds = monotonic() - self._current_at if changes else 0.0
        return Backlog(changes=changes, seconds=seconds)

    def keep_up(self) -> bool:
        """Follow what happened, and say whether a stream comes in: call it again soon then.

        After a publication it counts anew. Call it twice a second or so.
        """
        goes_on = False
        while True:
            current = self._current
            self._listen(current)
            ahead = current.look_ahead(at_most=SLICE)
            with self._lock:
                if self._waiting and not current.view.is_settled:
                    return False
                if current is not self._current:  # a new one was made meanwhile
                    continue
                is_of_now = self._follow_up_to(ahead, goes_on=goes_on)
                goes_on = self._current.has_more
                if not is_of_now:
                    making = self._begun()
                    break
            self._judge()
            if not (self._settle() or goes_on):
                return current.is_streaming
        making.result()
        return False

    def _judge(self) -> None:
        """Judge who moved, a few at a time: of thousands, whoever asks would wait for all.

        Collections' queries have their turn to be asked from nothing, too.
        """
        goes_on = True
        while goes_on:
            with self._lock:
                view = self._current.view
                goes_on = view.judge_some(JUDGED)
                if not goes_on:
                    self.machines.follow(view)
                    self.collections.check(view)

    def _settle(self) -> bool:
        """Have counts of updates follow for a while: a stream now and then, and say if its end."""
        began = now = monotonic()
        is_streaming = self._current.is_streaming
        if is_streaming and began < self._settle_at:
            return False
        goes_on = True
        while goes_on and now - began < SETTLE_S:
            with self._lock:
                goes_on = self._current.settle_some()
            now = monotonic()
        self._settling_s += now - began
        if not goes_on:
            self._settle_at, self._settling_s = now + SETTLE_SHARE * self._settling_s, 0.0
        return not (is_streaming or self._current.view.is_settled)

    def _listen(self, current: FleetFollower) -> None:
        for told in current.told():
            with self._lock:
                current.put_told(told)

    def follow_facts(self) -> None:
        """Take up what machines have told of themselves, before somebody asks for it."""
        self._told.follow()

    def _within(self, work: Callable[[], None]) -> None:
        with self._lock:
            work()

    def save(self, *, older_than_s: float = 0.0) -> None:
        """Write down what is known, for the next run; nobody has to wait for that.

        What was written less than `older_than_s` ago, perhaps by another node, is good enough.
        """
        if self._keeping is None or self._keeping.age_s() < older_than_s:
            return
        with self._writing:
            with self._lock:
                now = self._current.checkpoint()
            if now is None or (now.reported, now.decided, now.habits) == self._kept:
                return
            try:
                self._keeping.write(written(now))
            except OSError as error:
                log.warning("the view of the fleet cannot be written down: %s", error)
            else:
                self._kept = now.reported, now.decided, now.habits

    def _resumed(self, made: FleetFollower) -> bool:
        """Let it go on from what an earlier run wrote down, if that leads anywhere."""
        # Nothing of this is garbage, and to look for some would take as long again.
        gc.disable()
        try:
            data = self._keeping.read() if self._keeping else None
            if data is None:
                return False
            if made.resume(read(data)):
                return True
        except (InvalidDocument, OSError) as error:
            log.warning("what is written down of the fleet cannot be used: %s", error)
            return False
        finally:
            gc.enable()
        log.warning("what is written down of the fleet leads nowhere from here: all is read anew")
        return False

    def _follow(self) -> bool:
        """Bring it up to date for a question; a stream is left to who follows it in slices."""
        now = monotonic()
        decided, waited = self.store.decided_here(), now - self._followed_at
        is_counting = self._current.is_counting
        if is_counting and waited < DECIDED_S and decided == self._decided:
            return self._current.is_whole
        is_early = is_counting and waited < self._gather_s
        is_of_now = self._current.follow(leaves_reports=is_early)
        self._decided = decided
        if not is_early:
            self._followed_at = now
            if is_of_now:
                self._current_at = now
        return is_of_now

    def _follow_up_to(self, ahead: Ahead | None, *, goes_on: bool) -> bool:
        now, decided = monotonic(), self.store.decided_here()
        is_of_now = self._current.follow_up_to(ahead, goes_on=goes_on)
        self._followed_at, self._decided = now, decided
        if is_of_now and not self._current.has_more:
            self._current_at = now
        return is_of_now

    def _patience(self) -> float | None:
        """Return how long to wait for a view that is being made; without one, till it is there."""
        if not self._is_made:
            return None
        return max(0.0, self._patience_s - (monotonic() - self._began_at))

    def _begun(self) -> Future[None]:
        if self._making is None:
            self._began_at = monotonic()
            self._making = self._maker.submit(self._make)
        return self._making

    def _make(self) -> None:
        try:
            # What is garbage by now would stay with the view for ever. What stays anyhow is not
            # looked through, so this is quick; and a view that is replaced holds no circles.
            gc.collect()
            made = self._once_settled(lambda: self._current.copied())
            if self._is_made or not self._resumed(made):
                made.renew()
            with self._lock:
                # What happened meanwhile it follows from where it was copied.
                self._current.view.let_go()
                self._current, self._is_made = made, True
                self._current_at = monotonic()
            # A million objects that stay: to look through them for circles again and again takes
            # longer than any question.
            gc.freeze()
        finally:
            with self._lock:
                self._making = None
