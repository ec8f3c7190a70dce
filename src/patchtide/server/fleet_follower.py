"""The view of the fleet as it follows the two logs: small things at once, large ones told of.

What a machine reported is read again as its row; what was decided, as the rows it speaks of. A
publication is only noted: to read it takes long, and whoever keeps this decides where that is done.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import structs
from pyroaring import BitMap

from patchtide.domain.catalog.bundles import parts_of, within
from patchtide.domain.catalog.details import Severity, UpdateDetails
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.compliance.states import NONE, PlacedLeaf, States
from patchtide.domain.errors import CursorLost, InvalidDocument
from patchtide.server.followed_view import FollowedView
from patchtide.server.known_updates import Catalog, KnownUpdate
from patchtide.server.listing import in_order
from patchtide.server.member import Said
from patchtide.server.ports.catalog import StoredLeaf
from patchtide.server.ports.catalog_status import CatalogStatus
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.fleet import FleetStore, Heard
from patchtide.server.ports.following import Cursor, DecisionEvent
from patchtide.server.ports.reports import Presence, StateRow
from patchtide.wire.sets import decode_set

log = logging.getLogger(__name__)

PAGE = 1000
ROWS = 500
"""Rows that are read at once: one may have a quarter of a megabyte of sets."""
STREAM = 100
"""So many reports at once are no single machines any more."""
HEARD_EVERY = timedelta(seconds=5)
HEARD_LATE = timedelta(minutes=2)
"""What is heard is stored some seconds later, and by clocks that differ a little."""
PUBLISH, DESCRIBE, FORGET = "catalog.publish", "catalog.describe", "catalog.forget"
"""Decisions that change what is published, and what people read of it."""
UNREADABLE = (ValueError, OverflowError, OSError, InvalidDocument, msgspec.DecodeError)
JUDGING = ("updates.rate", "updates.accept-licence", "settings.set-target")
"""Decisions of the site's own about updates."""
LISTS = "lists."
"""What all decisions about update lists begin with; their subject is a list's name."""


class FleetFollower:
    """One view and how far it has followed; not for two threads at once."""

    def __init__(
        self,
        store: FleetStore,
        catalog: CatalogStatus,
        clock: Clock,
        *,
        view: FollowedView | None = None,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self.view = view or FollowedView(now=clock.now())
        self._reported: Cursor | None = None
        self._decided: Cursor | None = None
        self._listened: datetime | None = None
        self._shape: frozenset[tuple[object, ...]] = frozenset()
        self.is_lost = True
        """Nothing leads on from here: everything is to be read anew."""
        self.is_outdated = False
        """Something was published since the catalog was read."""
        self.is_streaming = False
        """Reports came in numbers when they were followed last."""

    def copied(self) -> FleetFollower:
        """Return one that goes on from here by itself."""
        made = FleetFollower(self._store, self._catalog, self._clock, view=self.view.copied())
        made._reported, made._decided = self._reported, self._decided
        made._listened, made.is_lost = self._listened, self.is_lost
        made.is_outdated, made._shape = self.is_outdated, self._shape
        return made

    def changes_since(self, now: Cursor) -> int:
        """Return how many changes there are that were not followed; what is lost is all of them."""
        if self.is_lost or self._reported is None or self._reported.epoch != now.epoch:
            return now.n
        return max(0, now.n - self._reported.n)

    def follow(self, *, leaves_reports: bool = False) -> bool:
        """Follow what happened; say whether the view is of now, or something large is missing.

        Reports can be left for later: a thousand at once cost a third of what they do one by one.
        """
        self.view.now = self._clock.now()
        try:
            if self.is_lost or self._reported is None or self._decided is None:
                raise CursorLost
            self._follow_decisions(self._decided)
            if not leaves_reports:
                self._follow_reports(self._reported)
        except CursorLost:
            self.is_lost = True
            return False
        self._listen()
        return not self.is_outdated

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

    def _listen(self) -> None:
        """Read what machines said of their health since; that is in neither log."""
        now = self._clock.now()
        last = self._listened
        # A clock that was put back makes what is heard from now on older than what was.
        if last is None or now < last or now - last >= HEARD_EVERY:
            since = 0.0 if last is None else (min(last, now) - HEARD_LATE).timestamp()
            heard = self._store.heard_after(since)
            self.view.put_heard(
                {number: _is_restarting(h) for number, h in heard.items()},
                at={number: h.at for number, h in heard.items()},
            )
            self._listened = now

    def _read_all(self) -> None:
        self._reported = self._decided = self._listened = None
        # The position first: what comes while the rows are read is read once more.
        position = self._store.epoch()
        view = self.view = self.view.emptied()
        after = 0
        while page := self._store.clients(after=after, limit=PAGE):
            view.put_clients(page)
            after = page[-1].number
        view.put_judged(self._store.judged())
        view.put_lists(self._store.update_lists.lists())
        self._read_catalog()
        after = 0
        while rows := self._store.states(after=after, limit=ROWS):
            self._put_rows(rows)
            after = rows[-1].client
        self._reported = self._decided = position
        self.is_lost = self.is_outdated = False

    def _follow_decisions(self, cursor: Cursor) -> None:
        uuids: set[bytes] = set()
        operations: set[str] = set()
        lists: set[str] = set()
        is_done = False
        while not is_done:
            cursor, events = self._store.decided(cursor, limit=PAGE)
            operations.update(event.operation for event in events)
            uuids.update(_machines_in(events))
            lists.update(_lists_in(events))
            is_done = len(events) < PAGE
        if uuids:
            self.view.put_clients(self._store.clients_of(sorted(uuids)))
        if PUBLISH in operations:
            self.is_outdated = True
        elif not operations.isdisjoint((DESCRIBE, FORGET)):
            self._read_details()
        if not operations.isdisjoint(JUDGING):
            self.view.put_judged(self._store.judged())
        if lists:
            self.view.put_lists(self._store.update_lists.lists(lists), gone=lists)
        self._decided = cursor

    def _follow_reports(self, cursor: Cursor) -> None:
        changed: set[int] = set()
        is_done = False
        while not is_done:
            cursor, reporters = self._store.reporters(cursor, limit=PAGE)
            changed.update(reporters)
            is_done = len(reporters) < PAGE
        self.is_streaming = len(changed) >= STREAM
        if changed:
            # Some may have reported before the decision to let them in was seen.
            strangers = changed - self.view.members.keys()
            self.view.put_clients(self._store.clients_numbered(sorted(strangers)))
            self._read_rows(changed)
        self._reported = cursor

    def _read_rows(self, clients: Iterable[int]) -> None:
        wanted = sorted(clients)
        for start in range(0, len(wanted), ROWS):
            self._put_rows(self._store.states_of(wanted[start : start + ROWS]))

    def _put_rows(self, rows: Iterable[StateRow]) -> None:
        self.view.put_rows([_said(row) for row in rows])

    def _read_details(self) -> None:
        """Put what people read of what is published: mostly no count changes by that."""
        told: dict[UUID, UpdateDetails] = {x.update: x for x in self._store.listed_updates()}
        if _shape(told.values()) != self._shape:
            self.is_outdated = True
            return
        known = self.view.updates.values()
        self.view.put_described(
            [_known(u.id, u.leaves, u.title, told[u.id]) for u in known if u.id in told]
        )

    def _read_catalog(self) -> None:
        serials = {shard.name: shard.serial for shard in self._catalog.shards()}
        details: dict[UUID, UpdateDetails] = {x.update: x for x in self._store.listed_updates()}
        self._shape = _shape(details.values())
        found: dict[UUID, list[PlacedLeaf]] = {}
        documents: dict[UUID, bytes] = {}
        for shard, serial in serials.items():
            for stored in self._store.leaves(shard, at=serial):
                uuid = UUID(bytes=stored.update)
                found.setdefault(uuid, []).append(_placed(stored, shard))
                documents[uuid] = stored.document
        lineage = bytes(self._catalog.lineage())
        if self._reported is not None and lineage != self.view.lineage:
            raise CursorLost("other numbers: nothing that was read holds any more")
        published = {
            uuid: _known(uuid, leaves, _title(documents[uuid]), details.get(uuid))
            for uuid, leaves in found.items()
        }
        self.view.put_catalog(lineage, serials, _known_catalog(published, details))


def in_time(seen: Iterable[Presence], *, now: datetime) -> list[Presence]:
    """Return them so that every view will hear of them, also what could not be stored for long.

    Views look back by `HEARD_LATE`: who was heard before that is stored as heard since.
    """
    earliest = (now - HEARD_LATE / 2).timestamp()
    return [p if p.seen_at >= earliest else replace(p, seen_at=earliest) for p in seen]


def _shape(details: Iterable[UpdateDetails]) -> frozenset[tuple[object, ...]]:
    """Return what counts depend on of all that is told."""
    return frozenset(
        (x.update, x.supersedes, x.members, x.expired_at)
        for x in details
        if x.supersedes or x.members or x.expired_at
    )


def _known_catalog(
    published: Mapping[UUID, KnownUpdate], details: Mapping[UUID, UpdateDetails]
) -> Catalog:
    """Bundles have the leaves of all their parts, and what is expired has none."""
    bundles: dict[UUID, Sequence[UUID]] = {
        x.update: () if x.expired_at else x.members for x in details.values()
    }
    parts = parts_of(bundles)
    hidden = within(parts)
    known = dict(published)
    for bundle, some in parts.items():
        own = (published[one] for one in (bundle, *sorted(some)) if one in published)
        leaves = [leaf for update in own for leaf in update.leaves]
        known[bundle] = _known(bundle, leaves, "", details[bundle])
    return Catalog(
        updates={k: u for k, u in known.items() if k not in hidden and not u.is_expired},
        expired={k: _known(k, (), "", x) for k, x in details.items() if x.expired_at},
        parts={k: u for k, u in known.items() if k in hidden and not u.is_expired},
        bundles=parts,
    )


class _Title(msgspec.Struct):
    """The little of a leaf's document that a list shows; the rest is not even decoded."""

    title: str = ""


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}
_titles = msgspec.msgpack.Decoder(_Title)


def _placed(stored: StoredLeaf, shard: str) -> PlacedLeaf:
    number = UpdateNumber(stored.number)
    return PlacedLeaf(number=number, shard=shard, entered=stored.entered_serial)


def _title(document: bytes) -> str:
    return _titles.decode(document).title


def _known(
    uuid: UUID, leaves: Sequence[PlacedLeaf], title: str, told: UpdateDetails | None
) -> KnownUpdate:
    title = (told.title if told else title) or str(uuid)
    return KnownUpdate(
        id=uuid,
        title=title,
        leaves=tuple(leaves),
        details=told,
        order=(_RANKS[told.severity if told else Severity.NONE], in_order(title), uuid.hex),
        text="\n".join((title, str(uuid), *_names(told))).casefold(),
    )


def _said(row: StateRow) -> Said:
    try:
        return Said(row, _states_of(row), _instant(row.scanned_at), _instant(row.reported_at))
    except UNREADABLE as error:
        # One machine's word must not end the view of all: nothing is known of that one.
        log.warning("the report of machine %d cannot be read: %s", row.client, error)
        return Said(_unread(row), States(), None, _instant(row.reported_at))


def _unread(row: StateRow) -> StateRow:
    said = "The server cannot read what it reported last."
    return structs.replace(row, scan="failed", scan_error=said, scanned_at=0)


def _instant(epoch_s: float) -> datetime | None:
    return datetime.fromtimestamp(epoch_s, UTC) if epoch_s else None


def _names(told: UpdateDetails | None) -> Sequence[str]:
    if told is None:
        return ()
    packages = {package.name for package in told.packages}
    return (told.vendor_id, *told.advisories, *(told.cves or ()), *sorted(packages))


def _states_of(row: StateRow) -> States:
    return States(
        required=_set_of(row.required),
        installed=_set_of(row.installed),
        unknown=_set_of(row.unknown),
        shards=_serials.decode(row.shards) if row.shards else {},
    )


def _set_of(numbers: bytes) -> BitMap:
    return BitMap(decode_set(numbers)) if numbers else NONE


class _Health(msgspec.Struct):
    """The little of a machine's health that counts; the rest is not even decoded."""

    restart_pending: bool = False


_serials = msgspec.msgpack.Decoder(dict[str, int])
_healths = msgspec.msgpack.Decoder(_Health)


def _is_restarting(heard: Heard) -> bool:
    return bool(heard.health) and _healths.decode(heard.health).restart_pending


def _lists_in(events: Iterable[DecisionEvent]) -> Iterable[str]:
    """Yield the lists that decisions speak of; one that was renamed under both names."""
    for event in events:
        if event.operation.startswith(LISTS):
            yield event.subject
            yield from (str(name) for key, name in event.detail.items() if key == "to")


def _machines_in(events: Iterable[DecisionEvent]) -> Iterable[bytes]:
    """Yield the machines that decisions speak of: their subjects have 32 hex digits."""
    for event in events:
        if len(event.subject) == 32:
            try:
                yield bytes.fromhex(event.subject)
            except ValueError:
                continue
