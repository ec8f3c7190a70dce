"""Why an update is required here, or is not: the catalog at hand held against the facts of now.

Nothing is fetched, stored or told. What comes out is what the next scan would come to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from patchtide.agent.catalog import facts_for, in_order
from patchtide.agent.ports.journal import KeptShards, ShardHead
from patchtide.agent.ports.platform import FactSource
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.explanation import Explanation
from patchtide.domain.applicability.facts import Facts
from patchtide.domain.applicability.questions import standing
from patchtide.domain.applicability.scan import Scan, WhyUnknown, evaluate_shard
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import PackageInstalled, nodes
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.errors import NotFound
from patchtide.wire.leaves import entry, read_leaves
from patchtide.wire.shard_plan import role_of


class NoCatalog(NotFound):
    """This machine holds no catalog to look in."""

    code = "no-catalog"


@dataclass(frozen=True, slots=True)
class Kept:
    """A leaf, and where this machine has it from."""

    leaf: Leaf
    shard: str
    serial: int

    @property
    def signed_by(self) -> str:
        return role_of(self.shard)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Where a leaf stands. `rules` is empty when something other than rules decides."""

    kept: Kept
    state: LeafState
    why_unknown: WhyUnknown | None
    rules: Mapping[str, Explanation]


class Catalog:
    """All that is in the store of the shards that this machine follows."""

    def __init__(self, store: KeptShards, followed: Sequence[str]) -> None:
        """Raises NoCatalog."""
        heads = store.shards()
        there = [name for name in in_order(followed) if name in heads]
        if not there:
            raise NoCatalog
        if len({heads[name].lineage for name in there}) > 1:
            raise NoCatalog("the shards are of different lineages; the next check-in mends it")
        self._kept = {
            kept.leaf.number: kept for name in there for kept in _read(store, name, heads[name])
        }

    def find(self, wanted: str) -> Sequence[Kept]:
        """Return what the words mean: a number, an id, or part of a title or package name.

        Words that are exactly a title or a package's name mean that, and no longer one.
        """
        if wanted.isdecimal():
            kept = self._kept.get(UpdateNumber(int(wanted)))
            return [kept] if kept else []
        named = _as_id(wanted)
        if named is not None:
            return [kept for kept in self._kept.values() if kept.leaf.update == named]
        words = wanted.casefold()
        names = [(kept, frozenset(_names(kept.leaf))) for kept in self._kept.values()]
        exact = [kept for kept, said in names if words in said]
        return exact or [kept for kept, said in names if any(words in name for name in said)]

    def scan(self, facts: Facts) -> Scan:
        return evaluate_shard([kept.leaf for kept in self._kept.values()], facts)

    def facts(self, machine: FactSource) -> Facts:
        """Return what the machine says to all that the catalog asks."""
        return facts_for([kept.leaf for kept in self._kept.values()], machine)


def explained(kept: Kept, scan: Scan, facts: Facts) -> Explained:
    """Return where the leaf stands, with every part of its rules."""
    found = standing(kept.leaf, facts, scan)
    return Explained(kept=kept, state=found.state, why_unknown=found.why_unknown, rules=found.rules)


def _read(store: KeptShards, shard: str, head: ShardHead) -> Iterator[Kept]:
    leaves, _ = read_leaves(entry(*row) for row in store.leaves(shard))
    return (Kept(leaf, shard, head.serial) for leaf in leaves)


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _names(leaf: Leaf) -> Iterator[str]:
    yield leaf.title.casefold()
    yield from (file.name.casefold() for file in leaf.files)
    for rule in (leaf.applicable, leaf.installed):
        yield from (n.name.casefold() for n in nodes(rule) if isinstance(n, PackageInstalled))
