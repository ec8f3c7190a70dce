"""Signed reports made ahead by several processes and kept on disk, so that sending is all it costs.

A file is a MessagePack list of whole HTTP requests. A signature is good for five minutes about the
time it names; these name one to come, so that many can be made before the first is sent.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.fleet import Machine
from patchtide.wire.messages import ChangesV1, FullV1, ReportV1, encode
from patchtide.wire.sets import encode_set, pack, state_digest

FILE = 10_000
AHEAD_S = 240
STATES, REQUIRED = 300, 40
SHARD = "debian-12"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What reports speak of. `numbers` are those of the updates, `new` those that came since."""

    lineage: bytes
    serial: int
    numbers: Sequence[int]
    new: Sequence[int] = ()
    authority: str


@dataclass(frozen=True, slots=True)
class _Sets:
    required: bytes
    installed: bytes

    def digest(self, lineage: bytes) -> bytes:
        return state_digest(
            lineage=lineage, required=self.required, installed=self.installed, unknown=b""
        )


def _first(ground: Ground, machine: int) -> _Sets:
    """No two machines have the same: nothing that is kept for one serves another."""
    chosen = random.Random(machine).sample(ground.numbers, STATES)
    return _Sets(encode_set(sorted(chosen[:REQUIRED])), encode_set(sorted(chosen[REQUIRED:])))


def first_report(ground: Ground, machine: int) -> bytes:
    sets = _first(ground, machine)
    full = FullV1(required=pack(sets.required), installed=pack(sets.installed))
    return _report(ground, 1, sets.digest(ground.lineage), full=full)


def next_report(ground: Ground, machine: int) -> bytes:
    """Of what was published since it is all required; the rest is as it was."""
    chosen = random.Random(machine).sample(ground.numbers, STATES)
    before = _first(ground, machine)
    after = _Sets(encode_set(sorted((*chosen[:REQUIRED], *ground.new))), before.installed)
    changes = ChangesV1(
        base=before.digest(ground.lineage), required=pack(encode_set(sorted(ground.new)))
    )
    return _report(ground, 2, after.digest(ground.lineage), changes=changes)


def _report(
    ground: Ground,
    counter: int,
    digest: bytes,
    *,
    full: FullV1 | None = None,
    changes: ChangesV1 | None = None,
) -> bytes:
    return encode(
        ReportV1(
            counter=counter,
            lineage=ground.lineage,
            shards={SHARD: ground.serial},
            digest=digest,
            full=full,
            changes=changes,
            boot_id="boot",
            scan="completed",
            scanned_at=int(time.time()),
        )
    )


Body = Callable[[Ground, int], bytes]


def make(
    machines: range, folder: Path, *, ground: Ground, body: Body, counter: int
) -> Sequence[Path]:
    """Return the files, in order, with a request of each machine."""
    starts = range(machines.start, machines.stop, FILE)
    parts = [range(start, min(start + FILE, machines.stop)) for start in starts]
    work = partial(_make_file, folder=folder, ground=ground, body=body, counter=counter)
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        return pool.map(work, parts, chunksize=1)


def _make_file(part: range, *, folder: Path, ground: Ground, body: Body, counter: int) -> Path:
    created = int(time.time()) + AHEAD_S
    requests = [
        Machine(number).request(
            "POST",
            "/agent/v1/report",
            body(ground, number),
            counter=counter,
            authority=ground.authority,
            created=created,
        )
        for number in part
    ]
    file = folder / f"requests-{counter}-{part.start:08d}"
    file.write_bytes(msgspec.msgpack.encode(requests))
    return file
