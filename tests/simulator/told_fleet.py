"""What a database says of a fleet, in memory: enough of it for what follows the fleet to follow.

It is odd in one way that the real ones are: between reading which machines reported and reading
their rows, somebody may report.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from uuid import UUID

import msgspec

from patchtide.domain.catalog.details import UpdateDetails
from patchtide.domain.catalog.judged import Judged
from patchtide.domain.errors import CursorLost
from patchtide.domain.schedules.scanning import ScanRule
from patchtide.server.ports.catalog import StoredLeaf
from patchtide.server.ports.catalog_status import PublishedShard
from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.fleet import Heard
from patchtide.server.ports.following import Cursor, DecisionEvent
from patchtide.server.ports.reports import StateRow
from patchtide.server.ports.update_lists import StoredList
from patchtide.wire.leaves import encode_leaf
from patchtide.wire.sets import encode_set
from tests.simulator.catalogs import a_leaf
from tests.simulator.reports import LINEAGE, NOON


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A leaf where it is published now."""

    number: int
    shard: str
    entered: int
    revision: int


def name_of(leaf: int) -> str:
    """Return the name of the update that a leaf is of: ten numbers are for one."""
    return f"update-{leaf // 10}"


@dataclass
class ToldFleet:
    clients_by_number: dict[int, Client] = field(default_factory=dict)
    rows: dict[int, StateRow] = field(default_factory=dict)
    published: dict[int, Published] = field(default_factory=dict)
    serials: dict[str, int] = field(default_factory=dict)
    details: Sequence[UpdateDetails] = ()
    health: dict[int, Heard] = field(default_factory=dict)
    meanwhile: Callable[[], None] | None = None
    """Done once, after somebody asked which machines reported."""
    _epoch: int = 0
    _n: int = 0
    scans: ScanRule = field(default_factory=ScanRule)
    _reported: list[tuple[int, int]] = field(default_factory=list)
    _decided: list[DecisionEvent] = field(default_factory=list)
    _trimmed: int = 0

    # What happens.

    def decide(self, operation: str, subject: str) -> None:
        self._n += 1
        self._decided.append(
            DecisionEvent(
                change=self._n, at=NOON, actor="x", operation=operation, subject=subject, detail={}
            )
        )

    def set_scans(self, rule: ScanRule) -> None:
        self.scans = rule
        self.decide("settings.set-agents", "agents")

    def put_client(self, number: int, state: ClientState) -> None:
        known = self.clients_by_number.get(number) or Client(
            number=number,
            uuid=number.to_bytes(16),
            name=f"web-{number}",
            public_key=b"",
            machine=b"",
            site="",
            state=state,
            enrolled_at=NOON,
        )
        self.clients_by_number[number] = replace(known, state=state)
        self.decide("machines.change", known.uuid.hex())

    def report(
        self,
        client: int,
        *,
        required: Iterable[int],
        installed: Iterable[int],
        unknown: Iterable[int],
        shards: Mapping[str, int],
        scan: str,
        lineage: bytes,
        at: datetime,
    ) -> None:
        self._n += 1
        self._reported.append((self._n, client))
        self.rows[client] = StateRow(
            client=client,
            counter=self._n,
            lineage=lineage,
            digest=b"",
            required=encode_set(required),
            installed=encode_set(installed),
            unknown=encode_set(unknown),
            shards=msgspec.msgpack.encode(dict(shards)),
            scan=scan,
            scanned_at=1,
            reported_at=at.timestamp(),
            change=self._n,
        )

    def publish(self, shard: str, *, upserts: Collection[int], drops: Collection[int]) -> None:
        serial = self.serials[shard] = self.serials.get(shard, 0) + 1
        for number in drops:
            self.published.pop(number, None)
        for number in upserts:
            known = self.published.get(number)
            revision = known.revision + 1 if known else 1
            self.published[number] = Published(
                number=number, shard=shard, entered=serial, revision=revision
            )
        self.decide("catalog.publish", shard)

    def restore(self, *, without: Collection[int]) -> None:
        """Put it back to some earlier day: some rows are gone, and both logs begin anew."""
        self._epoch += 1
        self._reported, self._decided, self._trimmed = [], [], self._n
        for client in without:
            self.rows.pop(client, None)

    def trim(self) -> None:
        self._trimmed = self._n
        self._reported.clear()

    # What is asked, as the ports FleetReading and CatalogStatus say.

    def lineage(self) -> bytes:
        return LINEAGE

    def shards(self) -> Sequence[PublishedShard]:
        return [
            PublishedShard(name=name, serial=serial, leaves=0, published_at=0.0)
            for name, serial in self.serials.items()
        ]

    def leaves(self, shard: str, *, at: int, after: int = 0) -> Sequence[StoredLeaf]:
        found = []
        for one in self.published.values():
            if one.shard == shard:
                leaf = a_leaf(one.number, name_of(one.number), revision=one.revision)
                found.append(
                    StoredLeaf(
                        number=leaf.number,
                        revision=leaf.revision,
                        update=leaf.update.bytes,
                        document=encode_leaf(leaf).body,
                        entered_serial=one.entered,
                    )
                )
        return found

    def listed_updates(self) -> Sequence[UpdateDetails]:
        return self.details

    def scan_rule(self) -> ScanRule:
        return self.scans

    def judged(self) -> Judged:
        return Judged()

    @property
    def update_lists(self) -> ToldFleet:
        return self

    def lists(self, names: Collection[str] | None = None) -> Sequence[StoredList]:
        return ()

    @property
    def collections(self) -> ToldFleet:
        return self

    def all(self, some: Collection[UUID] | None = None) -> Sequence[StoredCollection]:
        return ()

    def heard_after(self, since: float) -> Mapping[int, Heard]:
        return {number: heard for number, heard in self.health.items() if heard.at > since}

    def epoch(self) -> Cursor:
        return Cursor(epoch=f"epoch-{self._epoch}", n=self._n)

    def decided_here(self) -> int:
        return self._n

    def clients(self, *, after: int = 0, limit: int = 100) -> Sequence[Client]:
        behind = (self.clients_by_number[n] for n in sorted(self.clients_by_number) if n > after)
        return list(islice(behind, limit))

    def clients_of(self, uuids: Sequence[bytes]) -> Sequence[Client]:
        return [client for client in self.clients_by_number.values() if client.uuid in uuids]

    def clients_numbered(self, numbers: Sequence[int]) -> Sequence[Client]:
        known = self.clients_by_number
        return [known[number] for number in numbers if number in known]

    def states(self, *, after: int = 0, limit: int = 1000) -> Sequence[StateRow]:
        return list(islice((self.rows[n] for n in sorted(self.rows) if n > after), limit))

    def states_of(self, clients: Sequence[int]) -> Sequence[StateRow]:
        return [self.rows[number] for number in clients if number in self.rows]

    def reporters(self, cursor: Cursor, *, limit: int = 1000) -> tuple[Cursor, Sequence[int]]:
        now = self._position(cursor)
        found = [client for n, client in self._reported if n > cursor.n]
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        return now, found

    def decided(
        self, cursor: Cursor, *, limit: int = 1000
    ) -> tuple[Cursor, Sequence[DecisionEvent]]:
        now = self._position(cursor)
        return now, [event for event in self._decided if event.change > cursor.n]

    def _position(self, cursor: Cursor) -> Cursor:
        now = self.epoch()
        if cursor.epoch != now.epoch or not self._trimmed <= cursor.n <= now.n:
            raise CursorLost
        return now
