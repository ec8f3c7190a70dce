"""Any history of publishing, any client anywhere in it: the plan leads to the exact base."""

from __future__ import annotations

import random
from hashlib import sha256
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from patchtide.wire.leaves import LeafEntryV1, entry
from patchtide.wire.messages import encode
from patchtide.wire.shard_plan import deltas_due, listed, plan
from patchtide.wire.shards import (
    BaseFileV1,
    DeltaFileV1,
    DeltaV1,
    ShardIndexV1,
    apply_delta,
    compose,
    make_base,
    pack_document,
    read_base,
    read_delta,
    read_index,
)
from tests.simulator.shard_steps import make_step

LINEAGE, SHARD = b"l" * 16, "custom"
Leaves = dict[int, LeafEntryV1]


class Publisher:
    """Publishes random changes; keeps every file by name and every state by serial."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.states: list[Leaves] = [{}]
        self.files: dict[bytes, bytes] = {}
        self.deltas: dict[tuple[int, int], DeltaV1] = {}
        self.listed: tuple[DeltaFileV1, ...] = ()
        self.base = BaseFileV1(0, 0, bytes(32))
        self.publish_base()

    @property
    def serial(self) -> int:
        return len(self.states) - 1

    def publish(self) -> None:
        after = dict(self.states[-1])
        for number in self.dice.sample(range(12), k=self.dice.randrange(4)):
            if number in after and self.dice.random() < 0.5:
                del after[number]
            else:  # numbers come back, even in the revision that they once had
                after[number] = entry(number, self.dice.randrange(1, 4), b"\x80")
        step = make_step(LINEAGE, SHARD, serial=self.serial, before=self.states[-1], after=after)
        self.states.append(after)
        self.deltas[step.from_serial, step.to_serial] = step
        for a, b in deltas_due(self.serial):
            self.put_delta(a, b)
        if self.dice.random() < 0.1:
            self.publish_base()

    def put_delta(self, a: int, b: int) -> None:
        span = 16 if b - a > 16 else 1
        cuts = [a, *range(a - a % span + span, b, span), b]
        parts = [self.deltas[cut] for cut in pairwise(cuts)]
        delta = self.deltas[a, b] = compose(parts)
        data = pack_document(delta)
        made = DeltaFileV1(a, b, len(data), sha256(data).digest())
        self.files[made.sha256] = data
        self.listed = listed([*self.listed, made], self.serial)

    def publish_base(self) -> None:
        base = make_base(LINEAGE, SHARD, serial=self.serial, leaves=self.states[-1])
        data = pack_document(base)
        self.base = BaseFileV1(self.serial, len(data), sha256(data).digest())
        self.files[self.base.sha256] = data

    def index(self, *, base_size: int) -> bytes:
        base = BaseFileV1(self.base.serial, base_size, self.base.sha256)
        state = make_base(LINEAGE, SHARD, serial=self.serial, leaves=self.states[-1])
        return encode(
            ShardIndexV1(
                lineage=LINEAGE,
                shard=SHARD,
                serial=self.serial,
                digest=state.digest,
                base=base,
                deltas=self.listed,
            )
        )


def follow(publisher: Publisher, serial: int, *, base_size: int) -> tuple[int, Leaves]:
    """Be a client at a serial: read the index, fetch what the plan says, apply it."""
    index = read_index(publisher.index(base_size=base_size), lineage=LINEAGE, shard=SHARD)
    leaves = publisher.states[serial]
    for file in plan(index, serial):
        data = publisher.files[file.sha256]
        if isinstance(file, BaseFileV1):
            serial, leaves = read_base(data, lineage=LINEAGE, shard=SHARD)
        else:
            delta = read_delta(data, lineage=LINEAGE, shard=SHARD)
            leaves, serial = apply_delta(leaves, serial, delta), delta.to_serial
    return serial, leaves


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 300), st.sampled_from([1, 10**9]), st.data())
def test_every_client_reaches_the_base(
    seed: int, count: int, base_size: int, data: st.DataObject
) -> None:
    publisher = Publisher(seed)
    for _ in range(count):
        publisher.publish()

    for serial in data.draw(st.lists(st.integers(0, count), min_size=1, max_size=20)):
        reached = follow(publisher, serial, base_size=base_size)
        assert reached == (count, publisher.states[-1])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_a_delta_fits_every_state_in_its_span_and_may_be_applied_again(seed: int) -> None:
    publisher = Publisher(seed)
    for _ in range(48):
        publisher.publish()

    for (a, b), delta in publisher.deltas.items():
        for serial in range(a, b + 1):
            once = apply_delta(publisher.states[serial], serial, delta)
            assert once == publisher.states[b]
            assert apply_delta(once, b, delta) == once
