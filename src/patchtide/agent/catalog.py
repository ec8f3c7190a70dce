"""The catalog on the machine: brought up to date under trust, and held against the facts.

What a shard holds is believed in this order: the signed metadata, then the index that it names,
then the files that the index names by hash, then the digest of what comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from patchtide.agent.ports.catch_up import CatchUp
from patchtide.agent.ports.content import Blobs
from patchtide.agent.ports.journal import ShardChange, ShardHead, ShardStore
from patchtide.agent.ports.platform import FactSource, Platform
from patchtide.agent.ports.trust import MetadataExpired, TargetAbsent, Trust, TrustEvent
from patchtide.agent.reporting import ScanResult, states_of
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.facts import Facts
from patchtide.domain.applicability.scan import evaluate_shard, facts_asked
from patchtide.domain.catalog.leaves import Leaf
from patchtide.wire.inventory import facts_list
from patchtide.wire.leaves import LeafEntryV1, entry, read_leaves
from patchtide.wire.shard_plan import FEEDS, plan, role_of, target_of
from patchtide.wire.shards import (
    MAX_INDEX_BYTES,
    BaseFileV1,
    DeltaDoesNotFit,
    Leaves,
    ShardIndexV1,
    WrongShardDigest,
    apply_delta,
    digest_of,
    read_base,
    read_delta,
    read_index,
)

Decoded = MutableMapping[tuple[str, bytes, int], Sequence[Leaf]]
"""(shard, lineage, serial) -> its leaves, so that simulated machines decode them once."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A shard as far as it has been brought."""

    serial: int
    leaves: Leaves


def in_order(shards: Iterable[str]) -> tuple[str, ...]:
    """Return the shards so that the last one stands where two carry the same number.

    A number is meant once. It is never a feed's word that stands, whose key is online, against a
    role's whose keys are not.
    """
    return tuple(sorted(shards, key=lambda shard: role_of(shard) != FEEDS))


def facts_for(leaves: Iterable[Leaf], platform: FactSource) -> Facts:
    """Return the machine's facts, with those that these leaves ask for beyond the usual."""
    usual = platform.facts()
    asked = facts_asked(leaves, usual)
    return platform.facts(asked) if asked else usual


class LocalCatalog:
    """The shards that a machine follows, in its own store."""

    def __init__(
        self,
        store: ShardStore,
        *,
        trust: Trust,
        blobs: Blobs,
        platform: Platform,
        followed: Sequence[str],
        decoded: Decoded | None = None,
        catch_up: CatchUp | None = None,
    ) -> None:
        self._store = store
        self._trust = trust
        self._blobs = blobs
        self._platform = platform
        self._followed = in_order(followed)
        self._decoded = decoded
        self._catch_up = catch_up
        self._aged = False
        self._events: list[TrustEvent] = []

    def serials(self) -> Mapping[str, int]:
        heads = self._store.shards()
        return {name: heads[name].serial if name in heads else 0 for name in self._followed}

    def seen(self) -> Mapping[str, bytes]:
        return self._trust.trust_seen()

    def refresh(self, newer: Mapping[str, int], *, now: float, root_version: int = 0) -> None:
        """Bring the named shards up to date, or all that are followed when none is named.

        Raises:
            TrustRefused and what else trust, transfer and shards may refuse with.
        """
        with self._catch_up.brought(self._followed) if self._catch_up else nullcontext():
            self._refresh(newer, now=now, root_version=root_version)

    def _refresh(self, newer: Mapping[str, int], *, now: float, root_version: int) -> None:
        try:
            self._events += self._trust.refresh(now, root_version=root_version)
        except MetadataExpired:
            self._aged = True
            raise
        self._aged = False
        for shard in newer or self._followed:
            if shard in self._followed and self._is_published(shard, told=bool(newer)):
                self._events += self._bring(shard)

    def take_events(self) -> Sequence[TrustEvent]:
        """Return what was survived, or refused, and not told yet."""
        events, self._events = [*self._events, *self._trust.take_events()], []
        return events

    def _is_published(self, shard: str, *, told: bool) -> bool:
        """A site need not have every shard; but one that it told of, or had, must be there."""
        if told or shard in self._store.shards():
            return True
        try:
            self._trust.read_target(target_of(shard), MAX_INDEX_BYTES)
        except TargetAbsent:
            return False
        return True

    def _bring(self, shard: str) -> list[TrustEvent]:
        head = self._store.shards().get(shard)
        signed = self._trust.read_target(target_of(shard), MAX_INDEX_BYTES)
        index = read_index(signed, lineage=None, shard=shard)
        if head is None:
            self._begin_anew(index)
            return []
        if head.lineage != index.lineage:
            self._begin_anew(index)
            return [TrustEvent("lineage-changed", shard)]
        if head.serial > index.serial:
            # Newer metadata, validly signed, names an older catalog: the site was restored.
            self._begin_anew(index)
            return [TrustEvent("shard-went-back", f"{shard}: {head.serial} to {index.serial}")]
        if head.serial == index.serial:
            return []
        return self._follow_deltas(index, head)

    def _follow_deltas(self, index: ShardIndexV1, head: ShardHead) -> list[TrustEvent]:
        before = {row[0]: entry(*row) for row in self._store.leaves(index.shard)}
        try:
            after = self._fetched(index, _Held(head.serial, before))
        except (WrongShardDigest, DeltaDoesNotFit) as error:
            # What is here is not what the deltas lead on from; what is published may be fine.
            self._begin_anew(index)
            return [TrustEvent("shard-damaged", str(error))]
        changed = [leaf for n, leaf in after.items() if before.get(n) != leaf]
        self._keep(index, changed, drops=tuple(before.keys() - after.keys()))
        return []

    def _begin_anew(self, index: ShardIndexV1) -> None:
        leaves = self._fetched(index, None)
        self._keep(index, list(leaves.values()), whole=True)

    def _fetched(self, index: ShardIndexV1, held: _Held | None) -> Leaves:
        for file in plan(index, held.serial if held else 0):
            packed = self._blobs.read(file.sha256, at_most=file.size_bytes)
            if isinstance(file, BaseFileV1):
                held = _Held(*read_base(packed, lineage=index.lineage, shard=index.shard))
            else:
                delta = read_delta(packed, lineage=index.lineage, shard=index.shard)
                current = held or _Held(0, {})
                leaves = apply_delta(current.leaves, current.serial, delta)
                held = _Held(delta.to_serial, leaves)
        if held is None or held.serial != index.serial:
            raise DeltaDoesNotFit(f"{index.shard}: nothing leads to {index.serial}")
        if digest_of(index.lineage, held.leaves) != index.digest:
            raise WrongShardDigest(f"{index.shard} at {index.serial}")
        return held.leaves

    def _keep(
        self,
        index: ShardIndexV1,
        upserts: Sequence[LeafEntryV1],
        *,
        drops: Sequence[int] = (),
        whole: bool = False,
    ) -> None:
        change = ShardChange(
            head=ShardHead(lineage=index.lineage, serial=index.serial),
            upserts=[(leaf.number, leaf.revision, leaf.body) for leaf in upserts],
            drops=drops,
            whole=whole,
        )
        self._store.change_shard(index.shard, change)

    def scan(self, *, now: float) -> ScanResult:
        """Hold the machine's facts against all that is here. No catalog is no verdict."""
        stored = self._store.shards()
        heads = {name: stored[name] for name in self._followed if name in stored}
        boot_id = self._platform.uptime().boot_id
        lineages = {head.lineage for head in heads.values()}
        if not heads or len(lineages) > 1:
            return ScanResult(
                states=None,
                shards={},
                scan="waiting-catalog",
                at=int(now),
                boot_id=boot_id,
                error="the shards are of different lineages" if heads else "",
                facts=facts_list(self._platform.facts()),
                aged=self._aged,
            )
        leaves = [leaf for name, head in heads.items() for leaf in self._leaves(name, head)]
        facts = facts_for(leaves, self._platform)
        found = evaluate_shard(leaves, facts).states
        return ScanResult(
            states=states_of(
                lineages.pop(),
                required=[n for n, state in found.items() if state is LeafState.REQUIRED],
                installed=[n for n, state in found.items() if state is LeafState.INSTALLED],
                unknown=[n for n, state in found.items() if state is LeafState.UNKNOWN],
            ),
            shards={name: head.serial for name, head in heads.items()},
            scan="completed",
            at=int(now),
            boot_id=boot_id,
            facts=facts_list(facts),
            aged=self._aged,
        )

    def leaves(self) -> Mapping[int, tuple[Leaf, str]]:
        """Return every leaf that is here, by number, and the role that signed its shard."""
        heads = self._store.shards()
        return {
            leaf.number: (leaf, role_of(name))
            for name in self._followed
            if name in heads
            for leaf in self._leaves(name, heads[name])
        }

    def _leaves(self, shard: str, head: ShardHead) -> Sequence[Leaf]:
        key = (shard, head.lineage, head.serial)
        if self._decoded is not None and key in self._decoded:
            return self._decoded[key]
        leaves, _ = read_leaves(entry(*row) for row in self._store.leaves(shard))
        if self._decoded is not None:
            self._decoded[key] = leaves
        return leaves
