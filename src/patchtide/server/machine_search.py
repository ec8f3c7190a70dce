"""Machines by query: which of a fleet answer to it, and how one may go on."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from pyroaring import BitMap

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.query_completion import Completion, complete
from patchtide.domain.catalog.query_tests import Value, said
from patchtide.domain.catalog.update_query import LIST
from patchtide.domain.collections.definitions import ALL_MACHINES_NAME
from patchtide.domain.collections.facts import Column
from patchtide.domain.compliance.machine_query import COLLECTION, MACHINE_FIELDS
from patchtide.server.collection_checks import may_name, may_read_updates
from patchtide.server.context import Call
from patchtide.server.fleet_view import View
from patchtide.server.listing import in_order
from patchtide.server.machine_index import MachineIndex, is_fact
from patchtide.server.saved_searches import Complete, Completed, Suggested
from patchtide.server.told_lists import PACKAGE
from patchtide.server.update_search import known_values

OFFERED = 200
"""Of a fact with more values than that none is offered."""
_OFFERS = (
    "platform", "group", "owner", "role", "location", "site", "tag", "cluster",
    "management-group", "os", "os-version", "system", "arch",
    "kernel", "model", "language", "module", "service",
)  # fmt: skip


async def suggest(call: Call, principal: Principal, asked: Complete) -> Completed:
    fleet = call.context.fleet
    sees_collections, sees_updates = may_name(principal), may_read_updates(principal)

    def question(view: View) -> Completion:
        names = [ALL_MACHINES_NAME, *(one.name for one in view.collections.values())]
        collections = sorted(names, key=in_order) if sees_collections else ()
        among = BitMap(view.members) if fleet.scopes else None
        known: Mapping[str, Sequence[str]] = KnownValues(
            fleet.machines, view, collections, among=among
        )
        if sees_updates:
            own = {LIST: sorted(view.lists), **known_values(fleet.updates, view)}
            known = ChainMap(own, known)  # type: ignore[arg-type]
        return complete(asked.text, asked.position, MACHINE_FIELDS, known=known)

    def answer() -> Completion:
        fleet.follow_facts()
        return fleet.ask(question)

    found = await call.read_fleet(answer)
    items = tuple(Suggested(text=one.text, says=one.says) for one in found.suggestions)
    return Completed(start=found.start, items=items)


class KnownValues(Mapping[str, Sequence[str]]):
    """What values there are of fields that hold texts: looked up when they are asked for."""

    def __init__(
        self,
        index: MachineIndex,
        view: View,
        collections: Sequence[str] = (),
        *,
        among: BitMap | None = None,
    ) -> None:
        """`among`: facts are kept of all machines, and only what these have is known."""
        self._index = index
        self._view = view
        self._collections = collections
        self._among = among

    def __iter__(self) -> Iterator[str]:
        return iter((*_OFFERS, PACKAGE, COLLECTION))

    def __len__(self) -> int:
        return len(_OFFERS) + 2

    def __getitem__(self, field: str) -> Sequence[str]:
        if field == COLLECTION:
            return self._collections
        if field == PACKAGE:
            table, begin = self._index.facts.table, len(PACKAGE) + 1
            places = sorted(p for p in table.places() if p.startswith(f"{PACKAGE}("))
            return [p[begin:-1] for p in places if self._of(table.column(p), most=1)]
        if field not in _OFFERS or (is_fact(field) and not self._index.facts.is_whole):
            raise KeyError(field)
        values = self._of(self._index.column(self._view, field), most=OFFERED + 1)
        return sorted(map(said, values)) if len(values) <= OFFERED else ()

    def _of(self, column: Column, *, most: int) -> Sequence[Value]:
        """Return some of the values that somebody here has."""
        here = self._among
        there = (v for v in column if v and (here is None or not column[v].isdisjoint(here)))
        return list(islice(there, most))
