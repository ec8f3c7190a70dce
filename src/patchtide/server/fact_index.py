"""What all machines have told of themselves, by its values, as it follows their inventories.

A list of packages is read once however many machines have it. Afterwards the change numbers say
whose lists are others: the old and the new one are read again, and what differs is moved.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pyroaring import BitMap

from patchtide.domain.collections.facts import Facts, FactTable
from patchtide.domain.errors import CursorLost, Unavailable
from patchtide.server.ports.fleet import FleetDetails, ToldList
from patchtide.server.ports.following import Cursor
from patchtide.server.told_lists import (
    KINDS,
    LIST_OF_FACTS,
    PACKAGES,
    PLACES,
    changes_in,
    facts_in,
    order_in,
)

T = TypeVar("T")
BODIES = 64
"""Lists that are in memory at a time; one of packages has some seventy kilobytes."""
GATHERED = 256
"""After so many lists what was gathered is put into the columns."""
SLICE = 100
"""So many machines are moved before whoever asked meanwhile has his turn."""
PATIENCE_S = 20.0
"""How long a question waits for the lists to be read for the first time."""
KEPT = 20_000
"""Moves; whoever follows further behind begins anew."""
_NO_FACTS: Facts = {}


class FactMoves:
    """What is another fact of which machine, one after the other."""

    def __init__(self) -> None:
        self._moves: list[tuple[int, Facts]] = []
        self._dropped = 0

    @property
    def end(self) -> int:
        return self._dropped + len(self._moves)

    def add(self, machine: int, facts: Facts) -> None:
        self._moves.append((machine, facts))
        if len(self._moves) > KEPT:
            # The older half: who follows closely goes on.
            self._dropped += KEPT // 2
            del self._moves[: KEPT // 2]

    def forget(self) -> None:
        """Let everybody who follows begin anew."""
        self._dropped += len(self._moves) + 1
        self._moves = []

    def since(self, place: int) -> Sequence[tuple[int, Facts]] | None:
        """Return what moved since the end was there; None: that is too long ago."""
        return self._moves[place - self._dropped :] if place >= self._dropped else None


@dataclass(slots=True)
class FactIndex:
    """Asked and changed by one thread at a time, as the view of the fleet."""

    table: FactTable = field(default_factory=FactTable)
    moves: FactMoves = field(default_factory=FactMoves)
    telling: BitMap = field(default_factory=BitMap)
    """Who has ever told which packages it has."""
    is_whole: bool = True
    """No: the lists were not read yet, and nobody can say who has told what."""

    def asked(self) -> FactTable:
        """Raises Unavailable: not everything was read yet."""
        if not self.is_whole:
            raise Unavailable("what machines have told is still being read; ask again in a minute")
        return self.table

    def replace(self, table: FactTable, telling: Iterable[int] = ()) -> None:
        self.table, self.telling, self.is_whole = table, BitMap(telling), True
        self.moves.forget()

    def move(self, machine: int, was: Facts, now: Facts, *, gone: Iterable[str] = ()) -> None:
        """Put what is known now; of places in `gone` nobody knows any more what was there."""
        places = list(gone)
        if places:
            self.table.forget(machine, places)
        changed = self.table.move(machine, was, now).union(places)
        if changed:
            self.moves.add(machine, {place: now.get(place, ()) for place in changed})


@dataclass(slots=True)
class _Move:
    """`was` None: what the machine had told before is not kept any more."""

    machine: int
    kind: str
    was: Facts | None
    now: Facts


class FactFollower:
    """Keeps an index up to date. `within` does what changes it, while nobody asks it."""

    def __init__(
        self,
        store: FleetDetails,
        index: FactIndex,
        epoch: Callable[[], Cursor],
        within: Callable[[Callable[[], None]], None],
    ) -> None:
        self._store = store
        self._index = index
        self._epoch = epoch
        self._within = within
        self._cursor: Cursor | None = None
        self._lock = threading.Lock()
        self._held: dict[str, dict[int, bytes]] = {kind: {} for kind in KINDS}
        self._orders: dict[int, str] = {}

    def follow(self) -> None:
        """Take up whose lists are others; if somebody else does so just now, leave it to him."""
        # Where lists were read once, what is known answers while somebody else follows.
        if not self._lock.acquire(timeout=0 if self._index.is_whole else PATIENCE_S):
            return
        try:
            self._follow()
        finally:
            self._lock.release()

    def _follow(self) -> None:
        if self._cursor is None:
            self._load()
            return
        try:
            cursor, told = self._store.inventories_after(self._cursor)
        except CursorLost:
            self._load()
            return
        # What fails half-way is read anew as a whole.
        self._cursor = None
        for part in _parts([one for one in told if self._is_new(one)], SLICE):
            moves = list(self._moves(part))
            self._within(lambda moves=moves: self._apply(moves))  # type: ignore[misc]
        self._cursor = cursor

    def _is_new(self, one: ToldList) -> bool:
        return one.kind in KINDS and self._held[one.kind].get(one.client) != one.digest

    def _moves(self, told: Sequence[ToldList]) -> Iterator[_Move]:
        """Yield what is another fact now; facts first, for packages stand in the order of those."""
        wanted = {one.digest for one in told}
        wanted.update(d for one in told if (d := self._held[one.kind].get(one.client)))
        bodies = self._store.inventory_bodies(sorted(wanted))
        for one in sorted(told, key=lambda one: KINDS.index(one.kind)):
            order = self._orders.get(one.client, "")
            if one.kind == LIST_OF_FACTS:
                yield from self._reordered(one.client, bodies.get(one.digest, b""))
            yield self._move(one, bodies, order)
            self._held[one.kind][one.client] = one.digest

    def _move(self, one: ToldList, bodies: Mapping[bytes, bytes], order: str) -> _Move:
        before, now = self._held[one.kind].get(one.client), bodies.get(one.digest, b"")
        if before is None:
            return _Move(one.client, one.kind, _NO_FACTS, facts_in(one.kind, now, order=order))
        if before not in bodies:
            return _Move(one.client, one.kind, None, facts_in(one.kind, now, order=order))
        was_told, told = changes_in(one.kind, bodies[before], now, order=order)
        return _Move(one.client, one.kind, was_told, told)

    def _reordered(self, client: int, facts: bytes) -> Iterator[_Move]:
        """Yield the packages once more where their versions are of another format than thought."""
        was, now = self._orders.get(client, ""), order_in(facts)
        self._orders[client] = now
        digest = self._held[PACKAGES].get(client)
        if was != now and digest is not None:
            body = self._store.inventory_bodies([digest]).get(digest, b"")
            before = facts_in(PACKAGES, body, order=was) if body else None
            yield _Move(client, PACKAGES, before, facts_in(PACKAGES, body, order=now))

    def _apply(self, moves: Sequence[_Move]) -> None:
        for one in moves:
            gone = () if one.was is not None else _places(self._index.table, one.kind)
            self._index.move(one.machine, one.was or _NO_FACTS, one.now, gone=gone)
            if one.kind == PACKAGES:
                self._index.telling.add(one.machine)

    def _load(self) -> None:
        # The position first: what comes while they are read is read once more.
        cursor = self._epoch()
        held = {kind: self._holders(kind) for kind in KINDS}
        table = FactTable()
        orders: dict[int, str] = {}
        for kind in KINDS:
            self._read(kind, held[kind], orders, table)
        self._held, self._orders = held, orders
        self._within(lambda: self._index.replace(table, held[PACKAGES]))
        self._cursor = cursor

    def _holders(self, kind: str) -> dict[int, bytes]:
        """Return who has which body; equal digests are one object."""
        digests: dict[bytes, bytes] = {}
        found: dict[int, bytes] = {}
        page = self._store.inventory_holders(kind)
        while page:
            found.update((client, digests.setdefault(d, d)) for client, d in page)
            page = self._store.inventory_holders(kind, after=page[-1][0])
        return found

    def _read(
        self, kind: str, held: Mapping[int, bytes], orders: dict[int, str], table: FactTable
    ) -> None:
        alike: dict[bytes, list[int]] = {}
        for client, digest in held.items():
            alike.setdefault(digest, []).append(client)
        gathered = _Gathered(table)
        for part in _parts(sorted(alike), BODIES):
            bodies = self._store.inventory_bodies(part)
            for digest, body in bodies.items():
                clients = alike[digest]
                if kind == LIST_OF_FACTS:
                    orders.update(dict.fromkeys(clients, order_in(body)))
                for order, some in _by_order(clients, orders, kind):
                    gathered.add(some, facts_in(kind, body, order=order))
        gathered.put()


class _Gathered:
    """Facts on their way into the columns, where many at once cost less."""

    def __init__(self, table: FactTable) -> None:
        self._table = table
        self._lists = 0
        self._found: dict[str, dict[object, list[int]]] = {}

    def add(self, machines: Sequence[int], facts: Facts) -> None:
        for place, values in facts.items():
            column = self._found.get(place)
            if column is None:
                column = self._found[place] = {}
            for value in values:
                known = column.get(value)
                if known is None:
                    column[value] = [*machines]
                else:
                    known.extend(machines)
        self._lists += 1
        if self._lists >= GATHERED:
            self.put()

    def put(self) -> None:
        for place, column in self._found.items():
            for value, machines in column.items():
                self._table.put(machines, {place: (value,)})  # type: ignore[dict-item]
        self._found = {}
        self._lists = 0


def _by_order(
    clients: Sequence[int], orders: Mapping[int, str], kind: str
) -> Iterator[tuple[str, Sequence[int]]]:
    if kind != PACKAGES:
        yield "", clients
        return
    found: dict[str, list[int]] = {}
    for client in clients:
        found.setdefault(orders.get(client, ""), []).append(client)
    yield from found.items()


def _places(table: FactTable, kind: str) -> Sequence[str]:
    return [place for place in table.places() if PLACES.get(place, PACKAGES) == kind]


def _parts(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
