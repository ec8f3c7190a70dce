"""What differs between a shard as it is stored and what a feed tells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.synchronisation import offered_leaves
from patchtide.server.ports.catalog import StoredLeaf
from patchtide.wire.leaves import entry, leaf_document, read_leaves


def differing(
    stored: Iterable[StoredLeaf], updates: Sequence[FeedUpdate]
) -> tuple[list[StoredLeaf], list[FeedUpdate]]:
    """Return both without the updates whose leaves are stored as they are offered.

    Nearly all are, and to see that by their documents takes a fraction of reading them.
    """
    by_update: dict[bytes, list[StoredLeaf]] = {}
    for leaf in stored:
        by_update.setdefault(leaf.update, []).append(leaf)
    told: dict[bytes, list[bytes]] = {}
    for update in updates:
        documents = told.setdefault(update.details.update.bytes, [])
        documents += map(leaf_document, offered_leaves([update]))
    same = {
        key
        for key, leaves in by_update.items()
        if sorted(leaf.document for leaf in leaves) == sorted(told.get(key, ()))
    }
    return (
        [leaf for key, leaves in by_update.items() if key not in same for leaf in leaves],
        [update for update in updates if update.details.update.bytes not in same],
    )


def read_stored(stored: Iterable[StoredLeaf]) -> list[Leaf]:
    leaves, _ = read_leaves(entry(x.number, x.revision, x.document) for x in stored)
    return leaves
