"""What feeds have told of, chosen here or not: the names by which a site can choose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

import msgspec

from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.errors import Problem
from patchtide.server.ports.decisions import Transaction

OFFERED = "catalog.offered"
MOST = 2_000
"""So many feeds, and so many products of each, are remembered."""
_NAMED = 8

Offered = dict[str, tuple[str, ...]]
"""Feed -> its products."""


def read_offered(data: bytes | None) -> Offered:
    return msgspec.msgpack.decode(data, type=Offered) if data else {}


def offered_by(shards: Mapping[str, Iterable[FeedUpdate]]) -> Offered:
    found: dict[str, set[str]] = {}
    for updates in shards.values():
        for update in updates:
            found.setdefault(update.details.feed, set()).update(update.details.products)
    return {feed: tuple(sorted(products)) for feed, products in found.items()}


def remember_offered(tx: Transaction, told: Offered) -> None:
    """Keep these beside those of before: what nobody chooses any more may not be read any more."""
    known = read_offered(tx.lock_setting(OFFERED))
    merged = known | {
        feed: tuple(sorted({*known.get(feed, ()), *products})[:MOST])
        for feed, products in told.items()
    }
    if merged != known and len(merged) <= MOST:
        tx.put_setting(OFFERED, msgspec.msgpack.encode(merged))


def unheard_of(where: str, names: Iterable[str], known: Iterable[str]) -> Iterator[Problem]:
    """Say of each name that no feed has told of how it may be spelt."""
    known = sorted(known)
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=_NAMED, cutoff=0.5) or known[:_NAMED]
            told = ", ".join(near)
            yield Problem(where, f"no feed has told of {name} yet; of {told}. Or say --ahead")
