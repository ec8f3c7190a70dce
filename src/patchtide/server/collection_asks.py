"""The collections of a site, each with those that its query names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from uuid import UUID

from patchtide.domain.collections.names import with_asked
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.decisions import Transaction


def asking(collections: Iterable[StoredCollection]) -> dict[UUID, StoredCollection]:
    """Return all of them with what their queries name: what is stored does not say that."""
    known = {one.id: one for one in collections}
    told = with_asked({key: one.definition for key, one in known.items()})
    return {
        key: one if one.definition is told[key] else replace(one, definition=told[key])
        for key, one in known.items()
    }


def held(tx: Transaction) -> Mapping[UUID, StoredCollection]:
    """Return all of them; until the end of this decision nobody else changes one."""
    return asking(tx.collections.hold())
