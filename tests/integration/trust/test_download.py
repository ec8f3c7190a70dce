"""Blobs arrive whole and verified, or not at all (F06, F07, S24)."""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from patchtide.adapters.transport.download import (
    Blob,
    ContentDamaged,
    Downloader,
    DownloadFailed,
    open_verified,
)
from patchtide.entry.agent.trust_cli import PlainGetter
from tests.simulator.fault_proxy import FaultProxy

DATA = bytes(range(256)) * 1200
N = len(DATA)
BLOB = Blob(digest=sha256(DATA).digest(), size=N)


def downloader(folder: Path, **limits: float) -> Downloader:
    return Downloader(folder / "blobs", PlainGetter(), stall_s=0.4, **limits)  # type: ignore[arg-type]


@pytest.mark.parametrize("cut", [0, 1, 100_000, N - 1])
def test_a_download_cut_short_is_resumed_where_it_broke_off(tmp_path: Path, cut: int) -> None:
    proxy = FaultProxy(data=DATA, cut_at=cut, times=1)
    loader = downloader(tmp_path)

    with proxy.served() as source:
        with pytest.raises(DownloadFailed) as failed:
            loader.fetch(BLOB, [source])
        assert not loader.path(BLOB).exists()
        path, _ = loader.fetch(BLOB, [source])

    assert [e.code for e in failed.value.events] == ["transfer-failed"]
    assert proxy.ranges == [0, cut]
    assert path.read_bytes() == DATA


def test_a_stalled_source_is_left_and_the_next_one_goes_on(tmp_path: Path) -> None:
    stalled, good = FaultProxy(data=DATA, stall_at=100_000), FaultProxy(data=DATA)

    with stalled.served() as first, good.served() as second:
        path, events = downloader(tmp_path).fetch(BLOB, [first, second])

    assert [(e.code, e.source) for e in events] == [("transfer-too-slow", first)]
    assert good.ranges == [100_000]
    assert path.read_bytes() == DATA


def test_a_source_that_ignores_the_range_is_taken_from_the_start(tmp_path: Path) -> None:
    broken, whole = FaultProxy(data=DATA, cut_at=5), FaultProxy(data=DATA, ignore_range=True)

    with broken.served() as first, whole.served() as second:
        path, _ = downloader(tmp_path).fetch(BLOB, [first, second])

    assert whole.ranges == [5]
    assert path.read_bytes() == DATA


def test_a_file_for_which_there_is_no_room_is_refused_before_a_byte_comes(tmp_path: Path) -> None:
    proxy = FaultProxy(data=DATA)
    huge = Blob(digest=BLOB.digest, size=1 << 50)

    with proxy.served() as source, pytest.raises(DownloadFailed, match="bytes are to come"):
        downloader(tmp_path).fetch(huge, [source])

    assert proxy.ranges == []


def test_only_what_is_wanted_is_kept(tmp_path: Path) -> None:
    loader, half = downloader(tmp_path), FaultProxy(data=DATA, cut_at=5, times=1)
    other = Blob(digest=bytes(32), size=N)
    with FaultProxy(data=DATA).served() as source:
        loader.fetch(BLOB, [source])
    with half.served() as source, pytest.raises(DownloadFailed):
        loader.fetch(other, [source])

    loader.keep_only({BLOB.digest})

    assert [path.name for path in (tmp_path / "blobs").iterdir()] == [BLOB.name]


FAULTS = {
    "too short a Content-Length": {"length": N - 1},
    "too long a Content-Length": {"length": N + 1},
    "an error": {"status": 503},
    "a redirect": {"status": 302},
    "one byte too many": {"extra": b"x"},
    "megabytes too many": {"extra": b"x" * (4 << 20)},
    "one flipped bit": {"flip_at": 1000},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_source_with_a_fault_leaves_no_file(tmp_path: Path, fault: str) -> None:
    loader = downloader(tmp_path)

    with FaultProxy(data=DATA, **FAULTS[fault]).served() as source, pytest.raises(DownloadFailed):  # type: ignore[arg-type]
        loader.fetch(BLOB, [source])

    assert not loader.path(BLOB).exists()
    assert sum(p.stat().st_size for p in (tmp_path / "blobs").iterdir()) <= N


def test_a_range_that_begins_elsewhere_is_refused(tmp_path: Path) -> None:
    broken, wrong = FaultProxy(data=DATA, cut_at=10), FaultProxy(data=DATA, wrong_start=11)

    with (
        broken.served() as first,
        wrong.served() as second,
        pytest.raises(DownloadFailed) as failed,
    ):
        downloader(tmp_path).fetch(BLOB, [first, second])

    assert "not from 10" in failed.value.events[1].detail


def test_a_poisoned_beginning_does_not_spoil_the_next_source(tmp_path: Path) -> None:
    poison, good = FaultProxy(data=DATA, flip_at=3, cut_at=50), FaultProxy(data=DATA)

    with poison.served() as first, good.served() as second:
        path, _ = downloader(tmp_path).fetch(BLOB, [first, second])

    assert good.ranges == [50, 0]
    assert path.read_bytes() == DATA


def test_a_stored_blob_with_a_flipped_bit_is_noticed_and_fetched_again(tmp_path: Path) -> None:
    loader = downloader(tmp_path)
    with FaultProxy(data=DATA).served() as source:
        path, _ = loader.fetch(BLOB, [source])
        for at in range(0, N, 50_000):
            damaged = bytearray(DATA)
            damaged[at] ^= 1
            path.write_bytes(damaged)
            with pytest.raises(ContentDamaged):
                open_verified(path, BLOB.digest, N)
        _, events = loader.fetch(BLOB, [source])

    assert [e.code for e in events] == ["content-damaged"]
    assert path.read_bytes() == DATA


def test_a_link_in_the_files_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(DATA)
    (tmp_path / "link").symlink_to(tmp_path / "other")

    with pytest.raises(ContentDamaged):
        open_verified(tmp_path / "link", BLOB.digest, N)


def test_what_was_verified_is_what_is_read_though_the_name_leads_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    handle = open_verified(path, BLOB.digest, N)
    (tmp_path / "evil").write_bytes(b"evil")
    (tmp_path / "evil").rename(path)

    with os.fdopen(handle, "rb") as file:
        assert file.read() == DATA


def test_blobs_are_nobody_elses(tmp_path: Path) -> None:
    with FaultProxy(data=DATA).served() as source:
        path, _ = downloader(tmp_path).fetch(BLOB, [source])

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_empty_blob_is_a_blob(tmp_path: Path) -> None:
    with FaultProxy(data=b"").served() as source:
        path, _ = downloader(tmp_path).fetch(Blob(digest=sha256().digest(), size=0), [source])

    assert path.read_bytes() == b""
