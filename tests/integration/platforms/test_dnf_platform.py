"""The dnf platform on roots of its own, with the real rpm; of a restart dnf is the judge."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from patchtide.adapters.platforms.apt import AptPlatform
from patchtide.adapters.platforms.commands import CommandFailed, Finished, run
from patchtide.adapters.platforms.dnf import DnfPlatform
from patchtide.adapters.platforms.machines import platform_at
from patchtide.adapters.platforms.onlooker import ReportOnly
from patchtide.domain.applicability.facts import InstalledPackage
from patchtide.domain.catalog.rules import PackageFormat
from tests.simulator.apt_repository import SigningKey
from tests.simulator.debian_root import DebianRoot
from tests.simulator.dnf_host import DnfHost, needs_dnf_host
from tests.simulator.rpm_repository import Rpm, RpmRepository, needs_rpm
from tests.simulator.rpm_root import RpmRoot

pytestmark = needs_rpm

SIDE_BY_SIDE = ("installonlypkg(kernel)",)
MODULE = "[{name}]\nname={name}\nstream={stream}\nprofiles=\nstate={state}\n"
LOCKED = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> RpmRoot:
    made = RpmRoot(tmp_path / "root")
    made.put(Rpm("rpm", "4.16.1.3-29.el9"))
    return made


def installed(root: RpmRoot) -> dict[str, set[InstalledPackage]]:
    found = DnfPlatform(root.folder).facts().packages[PackageFormat.RPM]
    return {name: set(instances) for name, instances in found.items()}


def kernel(evr: str) -> Rpm:
    return Rpm("kernel-core", evr, provides=SIDE_BY_SIDE)


def test_versions_and_architectures_side_by_side_are_instances_of_their_own(root: RpmRoot) -> None:
    root.put(kernel("5.14.0-1.el9"))
    root.put(kernel("5.14.0-2.el9"), Rpm("toylib", "1-1", "i686"), beside=True)
    root.put(Rpm("toylib", "1-1"), Rpm("toydata", "7:1-1", "noarch"), beside=True)

    found = installed(root)

    here = {InstalledPackage(f"5.14.0-{release}.el9", "x86_64") for release in (1, 2)}
    assert found["kernel-core"] == here
    assert found["toylib"] == {InstalledPackage("1-1", "i686"), InstalledPackage("1-1", "x86_64")}
    assert found["toydata"] == {InstalledPackage("7:1-1", "noarch")}


def test_a_removed_package_is_not_there(root: RpmRoot) -> None:
    root.put(Rpm("toy", "1-1"))
    root.take("toy")

    assert set(installed(root)) == {"rpm"}


def test_the_vendors_keys_are_no_packages(root: RpmRoot, tmp_path: Path) -> None:
    with SigningKey("vendor") as key:
        keys = tmp_path / "RPM-GPG-KEY"
        keys.write_text(key.armoured())
        root.trust(keys)

    assert set(installed(root)) == {"rpm"}


def test_where_the_newer_systems_have_it_the_database_is_found_too(root: RpmRoot) -> None:
    new = root.folder / "usr/lib/sysimage/rpm"
    new.parent.mkdir(parents=True)
    root.database.rename(new)
    root.database.symlink_to("/usr/lib/sysimage/rpm")

    assert set(installed(root)) == {"rpm"}


def _overwrite(database: Path) -> None:
    with database.open("r+b") as file:
        file.seek(database.stat().st_size // 4)
        file.write(b"\xff" * (database.stat().st_size // 2))


DAMAGES = {
    "garbage in the middle": _overwrite,
    "cut off": lambda database: os.truncate(database, 50_000),
    "empty": lambda database: os.truncate(database, 0),
    "gone": lambda database: database.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_database_that_cannot_be_read_whole_is_no_smaller_one(root: RpmRoot, damage: str) -> None:
    root.put(*(Rpm(f"toy{number}", "1-1") for number in range(5)))
    for log in root.database.glob("*-*"):
        log.unlink()
    DAMAGES[damage](root.database / "rpmdb.sqlite")

    with pytest.raises(CommandFailed):
        DnfPlatform(root.folder).facts()


def test_a_database_without_a_package_is_no_machine(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="holds no package"):
        DnfPlatform(RpmRoot(tmp_path).folder).facts()


def test_output_without_an_end_is_no_answer(root: RpmRoot) -> None:
    def endless(*_: object, **__: object) -> Finished:
        return Finished(status=0, output=b"a\t1-1\tnoarch\t1\n", errors=b"", truncated=True)

    with pytest.raises(CommandFailed):
        DnfPlatform(root.folder, run=endless).facts()


def test_the_database_is_read_once_while_nothing_changes(root: RpmRoot) -> None:
    calls = []

    def counting(
        arguments: Sequence[str], *, timeout_s: float, output_limit: int = 1 << 20
    ) -> Finished:
        calls.append(arguments)
        return run(arguments, timeout_s=timeout_s, output_limit=output_limit)

    platform = DnfPlatform(root.folder, run=counting)
    platform.facts()
    platform.uptime()
    platform.inventory("packages")
    root.put(Rpm("toy", "1-1"))

    assert "toy" in platform.facts().packages[PackageFormat.RPM]
    assert len(calls) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_somebody_without_any_right_can_read_it(root: RpmRoot) -> None:
    # All but the system's own two.
    for folder in (*root.folder.parents[:-2], root.folder):
        folder.chmod(folder.stat().st_mode | 0o055)
    nobody = ("/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")

    def as_nobody(
        arguments: Sequence[str], *, timeout_s: float, output_limit: int = 1 << 20
    ) -> Finished:
        return run([*nobody, *arguments], timeout_s=timeout_s, output_limit=output_limit)

    found = DnfPlatform(root.folder, run=as_nobody).facts()

    assert set(found.packages[PackageFormat.RPM]) == {"rpm"}


def follow(root: RpmRoot, name: str, stream: str, state: str = "enabled") -> None:
    text = MODULE.format(name=name, stream=stream, state=state)
    root.write(f"etc/dnf/modules.d/{name}.module", text)


def test_the_streams_that_are_enabled_are_followed_and_no_others(root: RpmRoot) -> None:
    before = DnfPlatform(root.folder).facts().modules
    follow(root, "nodejs", "18")
    follow(root, "php", "", state="disabled")
    root.write("etc/dnf/modules.d/perl.module.rpmsave", MODULE)

    assert (before, DnfPlatform(root.folder).facts().modules) == ({}, {"nodejs": "18"})


def test_what_modules_another_system_follows_is_not_told(root: RpmRoot, tmp_path: Path) -> None:
    outside = RpmRoot(tmp_path / "other")
    follow(outside, "nodejs", "18")
    (root.folder / "etc/dnf").mkdir(parents=True)
    (root.folder / "etc/dnf/modules.d").symlink_to(outside.folder / "etc/dnf/modules.d")

    assert DnfPlatform(root.folder).facts().modules is None


@needs_dnf_host
@pytest.mark.skipif(not shutil.which("faketime"), reason="needs faketime")
def test_a_restart_is_due_when_dnf_says_so(root: RpmRoot, tmp_path: Path) -> None:
    def booted_like_this_machine() -> None:
        root.restart(at=0)
        first = root.write("proc/1/comm", "systemd\n").parent
        os.utime(first, (0, Path("/proc/1").stat().st_mtime))

    def said() -> tuple[bool, bool]:
        return host.needs_restarting(), DnfPlatform(root.folder).uptime().restart_pending

    with SigningKey("vendor") as key:
        repository = RpmRepository(folder=tmp_path / "repository", key=key)
        repository.add(*(Rpm(name, "1-1") for name in ("glibc", "toy", "toyd")))
        repository.publish()
        host = DnfHost(root=root.folder, repository=repository)
        host.install("glibc", "toy", on="2024-02-29")
        booted_like_this_machine()
        long_ago = said()
        host.install("toyd")
        beside = said()
        root.write("etc/dnf/plugins/needs-restarting.d/toys.conf", "toyd\n")
        named = said()
        (root.folder / "etc/dnf/plugins/needs-restarting.d/toys.conf").unlink()
        repository.add(Rpm("glibc", "1-2"))
        repository.publish()
        host.upgrade("glibc")

    assert (long_ago, beside, named) == ((False, False), (False, False), (True, True))
    assert said() == (True, True)


def test_what_is_not_booted_waits_for_no_restart(root: RpmRoot) -> None:
    root.put(Rpm("glibc", "1-1"))

    assert not DnfPlatform(root.folder).uptime().restart_pending


def test_a_transaction_that_was_ended_half_way_shows_by_what_is_there_twice(root: RpmRoot) -> None:
    root.put(kernel("5.14.0-1.el9"), Rpm("toy", "1-1"))
    root.put(kernel("5.14.0-2.el9"), beside=True)
    before = DnfPlatform(root.folder).condition().doubled
    root.put(Rpm("toy", "2-1"), beside=True)

    assert (before, DnfPlatform(root.folder).condition().doubled) == ((), ("toy",))


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    words = [sys.executable, "-c", LOCKED, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == b"locked\n"
        yield holder.pid
        holder.stdin.close()


def test_who_changes_the_packages_is_named_and_not_held_up(root: RpmRoot) -> None:
    platform = DnfPlatform(root.folder)
    with _locked(root.database / ".rpm.lock") as process:
        found = platform.condition().holder

    assert found.endswith(f"(process {process})")
    assert platform.condition().holder == ""


def test_a_machine_is_of_the_tool_that_has_installed_something(
    root: RpmRoot, tmp_path: Path
) -> None:
    debian = DebianRoot(tmp_path / "debian")
    shutil.copytree(root.database, debian.folder / "var/lib/rpm")
    both = RpmRoot(tmp_path / "both")
    both.write("var/lib/dpkg/status", "")

    found = [type(platform_at(x.folder)) for x in (root, debian, both)]

    assert found == [DnfPlatform, AptPlatform, DnfPlatform]
    assert isinstance(platform_at(tmp_path / "nothing"), AptPlatform)


def test_it_changes_nothing_yet(root: RpmRoot) -> None:
    platform = DnfPlatform(root.folder)

    for refused in (lambda: platform.install([]), lambda: platform.stage([]), platform.restart):
        with pytest.raises(ReportOnly, match="changes nothing"):
            refused()
