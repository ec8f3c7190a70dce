"""Trust and content under power cuts, on real file systems (S03, F03, F04, F06).

A copy of a mounted file system's image is what a disk keeps when the power goes. The canary in
each copy was written without a sync: where it were whole, the copy would prove nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from patchtide.adapters.transport.download import Blob, Downloader
from patchtide.adapters.trust.client import TrustClient
from patchtide.agent.ports.trust import RollbackRefused
from patchtide.agent.ports.web import Reply
from patchtide.entry.agent.trust_cli import PlainGetter
from tests.simulator.tuf_repository import START, TufRepository

NOW = START.timestamp()
CANARY = b"written, not synced" * 1000
BLOB_DATA = os.urandom(300_000)
BLOB = Blob(digest=sha256(BLOB_DATA).digest(), size=len(BLOB_DATA))
FORMATS = {
    "ext4": (["mkfs.ext4", "-q", "-F"], "loop,commit=300,noauto_da_alloc"),
    "xfs": (["mkfs.xfs", "-q", "-f", "--unsupported"], "loop,nouuid"),
}
MOMENTS = ("3.root", "timestamp", "5.snapshot", "5.targets", "when it was done")

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
]


@dataclass
class Disk:
    """A mounted image, and what a power cut left of it."""

    image: Path
    folder: Path
    options: str
    kept: Path

    def cut_power(self) -> None:
        """Keep what the disk has at this moment; what goes on after it never happened."""
        (self.folder / "canary").write_bytes(CANARY)
        shutil.copyfile(self.image, self.kept)

    @contextmanager
    def power_back(self) -> Iterator[Path]:
        at = self.folder.with_name("after")
        at.mkdir()
        with mounted(self.kept, at, self.options):
            canary = at / "canary"
            assert not canary.exists() or canary.read_bytes() != CANARY
            yield at


@contextmanager
def mounted(image: Path, at: Path, options: str) -> Iterator[None]:
    command = ["mount", "-o", options, str(image), str(at)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no loop mounts here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


@pytest.fixture(params=sorted(FORMATS))
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    make, options = FORMATS[request.param]
    if shutil.which(make[0]) is None:
        pytest.skip(f"{make[0]} is not installed")
    image, kept = (Path("/dev/shm") / f"patchtide-trust-{os.getpid()}.{n}" for n in range(2))
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        with image.open("wb") as file:
            file.truncate(48 << 20)
        subprocess.run([*make, str(image)], check=True, capture_output=True)
        with mounted(image, folder, options):
            yield Disk(image, folder, options, kept)
    finally:
        image.unlink(missing_ok=True)
        kept.unlink(missing_ok=True)


@contextmanager
def machine(folder: Path, repository: TufRepository, base: str) -> Iterator[TrustClient]:
    client = TrustClient(
        folder / "trust",
        repository.files["/metadata/1.root.json"],
        metadata_url=f"{base}/metadata",
        targets_url=f"{base}/targets",
        getter=PlainGetter(),
        build_time=NOW - 60,
    )
    try:
        yield client
    finally:
        client.close()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_power_cut_during_a_refresh_opens_no_way_back(disk: Disk, moment: str) -> None:
    repository = TufRepository()
    old = repository.copy_files()
    repository.rotate("root")
    repository.publish()
    repository.publish()
    with repository.served() as base:
        with machine(disk.folder, repository, base) as client:
            client.refresh(NOW)
            accepted = client.trust_seen()
            before, newest = repository.copy_files(), _publish_twice_more(repository)
            repository.bent[f"/metadata/{moment}.json"] = _cutting(disk)
            client.refresh(NOW)
            if moment == MOMENTS[-1]:
                disk.cut_power()
                accepted, old = client.trust_seen(), before
        repository.bent.clear()
        with disk.power_back() as folder, machine(folder, repository, base) as client:
            assert client.trust_seen() == accepted

            repository.files = old
            with pytest.raises(RollbackRefused):
                client.refresh(NOW)
            assert {event.code for event in client.take_events()} <= {"metadata-cache-lost"}

            repository.files = newest
            client.refresh(NOW)
            assert client.floor("timestamp") == 5


def _publish_twice_more(repository: TufRepository) -> dict[str, bytes]:
    repository.rotate("root")
    repository.publish()
    repository.publish()
    return repository.copy_files()


def _cutting(disk: Disk) -> Callable[[bytes], bytes]:
    def cut(data: bytes) -> bytes:
        disk.cut_power()
        return data

    return cut


class Source:
    """Gives the blob in pieces and cuts the power before one of them."""

    def __init__(self, disk: Disk, *, cut_before: int | None = None) -> None:
        self._disk = disk
        self._cut_before = cut_before

    @contextmanager
    def get(self, url: str, *, offset: int = 0, total_s: float, stall_s: float) -> Iterator[Reply]:
        del url, total_s, stall_s
        chunks = self._chunks(offset)
        yield Reply(
            status=206 if offset else 200, length=BLOB.size - offset, start=offset, chunks=chunks
        )

    def _chunks(self, offset: int) -> Iterator[bytes]:
        for number, at in enumerate(range(offset, BLOB.size, 50_000)):
            if number == self._cut_before:
                self._disk.cut_power()
            yield BLOB_DATA[at : at + 50_000]


def test_a_blob_that_was_said_to_be_there_is_there_after_a_power_cut(disk: Disk) -> None:
    Downloader(disk.folder / "blobs", Source(disk)).fetch(BLOB, ["source"])
    disk.cut_power()

    with disk.power_back() as folder:
        assert (folder / "blobs" / BLOB.name).read_bytes() == BLOB_DATA


def test_a_download_that_a_power_cut_ended_begins_again_and_ends_well(disk: Disk) -> None:
    Downloader(disk.folder / "blobs", Source(disk, cut_before=3)).fetch(BLOB, ["source"])

    with disk.power_back() as folder:
        loader = Downloader(folder / "blobs", Source(disk))
        assert not loader.path(BLOB).exists()

        path, _ = loader.fetch(BLOB, ["source"])

        assert path.read_bytes() == BLOB_DATA
