"""What keeps a site from coming up: one error that says what to do, and nothing half made."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.up.site import Up
from tests.simulator.apt_repository import AptRepository, needs_apt, tool
from tests.simulator.debian_root import DebianRoot

pytestmark = [needs_apt, pytest.mark.timeout(600)]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")
Mount = Callable[..., Path]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mount]:
    """Small file systems, real ones."""
    made: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk-{len(made)}"
        folder.mkdir()
        tool("mount", "-t", "tmpfs", "-o", options, "none", folder)
        made.append(folder)
        return folder

    yield mount
    for folder in made:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_port_that_is_taken(up: Up) -> None:
    with socket.create_server(("127.0.0.1", up.port)):
        error = up.run().error

    assert error.startswith(f"port-taken: port {up.port} is taken (ss -ltnp")
    assert "--port" in error and not up.home.exists()


def test_without_a_way_to_the_archive(up: Up, archive: AptRepository) -> None:
    there = archive.folder.rename(archive.folder.with_name("away"))

    done = up.run()

    assert done.status == 1 and "the catalog could not be read: feed-unreachable: " in done.err
    assert "look at the network" in done.error and "what was done stays" in done.error
    there.rename(archive.folder)
    assert up.run("--json").document["counts"]["required"] == 1


def test_a_line_that_is_cut_later_is_said_and_the_old_catalog_serves(
    up: Up, archive: AptRepository, system: DebianRoot
) -> None:
    up.run()
    archive.folder.rename(archive.folder.with_name("away"))
    system.put_package("toy", "0.9-1")

    assert up.run("--json").document["counts"]["required"] == 1


def test_an_archive_that_nobody_signed(up: Up, archive: AptRepository) -> None:
    release = archive.folder / "dists/bookworm-security/InRelease"
    release.write_bytes(release.read_bytes().replace(b"Debian-Security", b"Debian-Insecure"))

    done = up.run()

    assert done.status == 1 and "feed-damaged" in done.err and "apt-get update" in done.error


def test_one_that_is_up_already(up: Up) -> None:
    with up.going_on() as process:
        error = up.run().error

        assert error.startswith(
            f"already-up: {up.home} is up already at https://127.0.0.1:{up.port}"
        )
        assert f"(process {process.pid})" in error
        assert up.answers()


def test_a_folder_with_other_things_in_it(up: Up) -> None:
    up.home.mkdir(mode=0o755)
    (up.home / "thesis.txt").write_text("years of work")
    (up.home / ".unfinished").write_text("mine")

    assert up.run().error.startswith(f"home-not-usable: {up.home} holds other things")
    assert {path.name for path in up.home.iterdir()} == {"thesis.txt", ".unfinished"}
    assert (up.home / "thesis.txt").read_text() == "years of work"
    assert up.home.stat().st_mode & 0o777 == 0o755


def test_a_file_in_the_place_of_the_folder(up: Up) -> None:
    up.home.write_text("")

    assert "is no folder" in up.run().error


@needs_root
def test_a_folder_of_somebody_else(up: Up) -> None:
    up.home.mkdir()
    os.chown(up.home, 65534, 65534)

    assert "belongs to another user (65534)" in up.run().error
    assert list(up.home.iterdir()) == []


@needs_root
def test_a_disk_that_nobody_may_write_to(up: Up, mounted: Mount) -> None:
    up.home = mounted("size=1m,ro") / "home"

    error = up.run().error

    assert error.startswith("home-not-usable: ") and "Read-only file system" in error


@needs_root
def test_a_disk_that_is_too_small_to_begin_with(up: Up, mounted: Mount) -> None:
    disk = mounted("size=8m")
    up.home = disk / "home"

    assert "has 8 MiB free; 200 MiB are needed" in up.run().error
    assert list(disk.iterdir()) == []


@needs_root
@pytest.mark.parametrize("files", [12, 36])
def test_a_disk_that_fills_up_on_the_way(up: Up, mounted: Mount, files: int) -> None:
    disk = mounted(f"size=300m,nr_inodes={files}")
    up.home = disk / "home"

    error = up.run().error

    assert error.startswith(f"disk-full: the disk of {up.home} is full")
    assert list(disk.iterdir()) == []
    tool("mount", "-o", "remount,nr_inodes=2000", disk)
    assert up.run("--json").document["counts"]["required"] == 1


@needs_root
def test_a_disk_that_is_full_the_next_time(up: Up, mounted: Mount) -> None:
    disk = mounted("size=220m")
    up.home = disk / "home"
    up.run()
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(300 << 20))
    error = up.run().error
    filler.unlink()

    assert error.startswith("disk-full: ")
    assert up.run("--json").document["counts"]["required"] == 1
