"""Which files lead to the newest state at the least cost."""

from __future__ import annotations

import pytest

from patchtide.domain.errors import InvalidDocument
from patchtide.wire.messages import encode
from patchtide.wire.shard_plan import (
    REQUEST_BYTES,
    deltas_due,
    listed,
    plan,
)
from patchtide.wire.shards import BaseFileV1, DeltaFileV1, ShardIndexV1

D = bytes(32)


def index(
    serial: int, *, base: int, base_size: int = 400_000, step_size: int = 500
) -> ShardIndexV1:
    """Return the index after `serial` publications."""
    written = [
        DeltaFileV1(a, b, step_size * (1 if b - a == 1 else 10 if b - a <= 16 else 60), D)
        for n in range(1, serial + 1)
        for a, b in deltas_due(n)
    ]
    return ShardIndexV1(
        lineage=bytes(16),
        shard="debian-12",
        serial=serial,
        digest=D,
        base=BaseFileV1(base, base_size, D),
        deltas=listed(written, serial),
    )


def names(index: ShardIndexV1, serial: int) -> list[str]:
    return [_name(file) for file in plan(index, serial)]


def _name(file: BaseFileV1 | DeltaFileV1) -> str:
    if isinstance(file, BaseFileV1):
        return f"debian-12/base-{file.serial}.zst"
    return f"debian-12/delta-{file.from_serial}-{file.to_serial}.zst"


def test_longer_deltas_are_due_at_their_multiples() -> None:
    assert deltas_due(1) == [(0, 1)]
    assert deltas_due(17) == [(16, 17)]
    assert deltas_due(32) == [(31, 32), (16, 32)]
    assert deltas_due(256) == [(255, 256), (240, 256), (1, 256)]
    assert deltas_due(512) == [(511, 512), (496, 512), (256, 512)]


def test_nothing_new_needs_no_file() -> None:
    assert plan(index(40, base=0), 40) == []


def test_a_client_shortly_behind_takes_steps_and_one_far_behind_longer_deltas() -> None:
    now = index(530, base=0)

    assert names(now, 528) == ["debian-12/delta-528-529.zst", "debian-12/delta-529-530.zst"]
    assert names(now, 300) == [
        "debian-12/delta-256-512.zst",
        "debian-12/delta-512-528.zst",
        "debian-12/delta-528-529.zst",
        "debian-12/delta-529-530.zst",
    ]


def test_no_longer_delta_carries_the_first_publishing_along() -> None:
    now = index(20, base=16, base_size=10**9)

    assert deltas_due(16) == [(15, 16), (1, 16)]
    assert names(now, 1)[0] == "debian-12/delta-1-16.zst"


def test_every_serial_has_a_way_without_the_base() -> None:
    now = index(1_000, base=0, base_size=10**9)

    for serial in range(1, 1_001):
        assert all(isinstance(file, DeltaFileV1) for file in plan(now, serial)), serial


def test_the_base_is_taken_where_it_is_cheaper_and_led_on_by_deltas() -> None:
    now = index(20, base=18, base_size=2_000, step_size=1_000)

    assert names(now, 0) == [
        "debian-12/base-18.zst",
        "debian-12/delta-18-19.zst",
        "debian-12/delta-19-20.zst",
    ]
    assert names(now, 17)[0] == "debian-12/delta-17-18.zst"


def test_a_request_has_its_price() -> None:
    steps = tuple(DeltaFileV1(n, n + 1, 10, D) for n in range(4))
    whole = DeltaFileV1(0, 4, 40 + 2 * REQUEST_BYTES, D)
    now = ShardIndexV1(
        lineage=bytes(16),
        shard="custom",
        serial=4,
        digest=D,
        base=BaseFileV1(0, 1, D),
        deltas=(*steps, whole),
    )

    assert plan(now, 0) == [whole]
    assert plan(now, 2) == [*steps[2:]]


def test_a_client_ahead_of_a_restored_site_starts_from_the_base() -> None:
    assert names(index(5, base=4, base_size=10**9), 9) == [
        "debian-12/base-4.zst",
        "debian-12/delta-4-5.zst",
    ]


def test_an_index_that_leads_nowhere_is_a_mistake() -> None:
    now = ShardIndexV1(
        lineage=bytes(16), shard="custom", serial=4, digest=D, base=BaseFileV1(3, 1, D)
    )

    with pytest.raises(InvalidDocument, match="from 1 to 4"):
        plan(now, 1)


@pytest.mark.parametrize("serial", [255, 256, 4_095, 99_999])
def test_an_index_stays_a_few_packets_small(serial: int) -> None:
    written = [
        DeltaFileV1(a, b, 50_000, D)
        for n in range(max(1, serial - 3_000), serial + 1)
        for a, b in deltas_due(n)
    ]
    now = index(serial=1, base=1)

    size = len(encode(now)) + len(encode(listed(written, serial)))  # type: ignore[arg-type]

    assert size < 2_200
