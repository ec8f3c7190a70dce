"""What every platform promises: the simulated machine, and apt's and dnf's on their own roots."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from patchtide.adapters.platforms.apt import AptPlatform
from patchtide.adapters.platforms.dnf import DnfPlatform
from patchtide.adapters.platforms.simulated import Description, Model, SimulatedPlatform
from patchtide.agent.ports.platform import Inventory, Platform
from patchtide.domain.applicability.facts import NO, YES, Asked, InstalledPackage, by_name
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.wire.inventory import (
    PackageRowV1,
    facts_list,
    facts_of,
    package_rows,
    read_facts,
    read_hardware,
    read_package_list,
)
from patchtide.wire.messages import INVENTORY_LIMITS
from tests.simulator.debian_root import DebianRoot
from tests.simulator.rpm_repository import Rpm
from tests.simulator.rpm_root import RpmRoot

PACKAGES = {"dpkg": "1.21.22", "libtoy1": "2:1.0~rc1-1+b2"}
RPM_PACKAGES = {"rpm": "4.16.1.3-29.el9", "libtoy1": "2:1.0~rc1-1.el9"}
FILES = {
    "etc/locale.conf": "LANG=de_CH.UTF-8\n",
    "proc/sys/kernel/osrelease": "6.1.0-37-amd64\n",
    "etc/toy": "toy\n",
    "usr/lib/systemd/system/toy.service": "",
    "etc/systemd/system/multi-user.target.wants/toy.service": "",
    "etc/patchtide/facts.d/rack": "B7\n",
}
ASKED = {
    Asked("file.exists", ("/etc/toy",)): YES,
    Asked("file.size", ("/etc/toy",)): ("4",),
    Asked("file.size", ("/etc/none",)): NO,
    Asked("service.enabled", ("toy",)): YES,
    Asked("query.text", ("rack",)): ("B7",),
}
UNKNOWN = Asked("registry.text", ("HKLM\\Toy", "Edition"))


class AnyPlatform(Platform, Inventory, Protocol):
    """What the agent is put together with."""

    @property
    def shards(self) -> tuple[str, ...]: ...


class Machine(Protocol):
    """A machine that a test may change behind the agent's back."""

    platform: AnyPlatform
    format: PackageFormat
    system: tuple[str, str, str]
    """Its id, its version, its architecture."""
    shard: str
    packages: Mapping[str, str]
    newer: str
    """A version that its package tool takes."""

    def set_version(self, name: str, version: str) -> None: ...

    def restart(self) -> None: ...

    def want_restart(self) -> None: ...


class DebianMachine:
    format = PackageFormat.DEB
    system = ("debian", "12", "amd64")
    shard = "debian-12"
    packages: Mapping[str, str] = PACKAGES
    newer = "3"


class SimulatedMachine(DebianMachine):
    def __init__(self) -> None:
        description = Description(
            os_id="debian",
            os_version="12",
            language="de-CH",
            kernel="6.1.0-37-amd64",
            packages=PACKAGES,
            shards=("debian-12", "custom"),
            answers=(
                ("file.exists", ("/etc/toy",), True),
                ("file.size", ("/etc/toy",), "4"),
                ("file.size", ("/etc/none",), False),
                ("service.enabled", ("toy",), True),
                ("query.text", ("rack",), "B7"),
            ),
        )
        self._model = Model(description)
        self.platform: AnyPlatform = SimulatedPlatform(self._model, name="m1")

    def set_version(self, name: str, version: str) -> None:
        assert isinstance(self.platform, SimulatedPlatform)
        self.platform.set_version(name, version)

    def restart(self) -> None:
        assert isinstance(self.platform, SimulatedPlatform)
        self.platform.restart()

    def want_restart(self) -> None:
        self.platform = SimulatedPlatform(self._model, name="m1", restart_pending=True)


class AptMachine(DebianMachine):
    def __init__(self, folder: Path) -> None:
        self.root = DebianRoot(folder)
        for name, version in PACKAGES.items():
            self.root.put_package(name, version)
        for name, text in FILES.items():
            self.root.write(name, text)
        self.platform: AnyPlatform = AptPlatform(folder)

    def set_version(self, name: str, version: str) -> None:
        self.root.put_package(name, version)

    def restart(self) -> None:
        self.root.restart()

    def want_restart(self) -> None:
        self.root.write("run/reboot-required", "")


class DnfMachine:
    format = PackageFormat.RPM
    system = ("toylinux", "9.4", "x86_64")
    shard = "toylinux-9"
    packages: Mapping[str, str] = RPM_PACKAGES
    newer = "3-1.el9"

    def __init__(self, folder: Path) -> None:
        self.root = RpmRoot(folder)
        self.root.put(*(Rpm(*row) for row in RPM_PACKAGES.items()))
        for name, text in FILES.items():
            self.root.write(name, text)
        self.platform: AnyPlatform = DnfPlatform(self.root.folder)

    def set_version(self, name: str, version: str) -> None:
        self.root.put(Rpm(name, version))

    def restart(self) -> None:
        self.root.restart()

    def want_restart(self) -> None:
        self.root.restart()
        self.root.put(Rpm("glibc", "2.34-100.el9"))


def _apt(folder: Path) -> Machine:
    if shutil.which("dpkg-query") is None:
        pytest.skip("needs dpkg")
    return AptMachine(folder)


def _dnf(folder: Path) -> Machine:
    if shutil.which("rpmbuild") is None:
        pytest.skip("needs rpm")
    return DnfMachine(folder / "root")


MAKERS: dict[str, Callable[[Path], Machine]] = {
    "simulated": lambda _: SimulatedMachine(),
    "apt": _apt,
    "dnf": _dnf,
}


@pytest.fixture(params=MAKERS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return MAKERS[request.param](tmp_path)


def test_facts_tell_system_architecture_and_packages(machine: Machine) -> None:
    facts = machine.platform.facts()

    assert (facts.os_id, facts.os_version, facts.architecture) == machine.system
    assert facts.packages == {
        machine.format: {
            name: (InstalledPackage(version, machine.system[2]),)
            for name, version in machine.packages.items()
        }
    }


def test_facts_tell_the_language_and_the_kernel_that_runs(machine: Machine) -> None:
    facts = machine.platform.facts()

    assert (facts.language, facts.kernel) == ("de-CH", "6.1.0-37-amd64")


def test_what_is_asked_for_is_answered_and_nothing_else(machine: Machine) -> None:
    assert machine.platform.facts().answers == {}
    assert machine.platform.facts({*ASKED, UNKNOWN}).answers == ASKED
    some = {question: ASKED[question] for question in list(ASKED)[1:3]}
    assert machine.platform.facts(frozenset(some)).answers == some


def test_it_follows_the_shard_of_its_release_and_that_of_everybody(machine: Machine) -> None:
    assert set(machine.platform.shards) == {machine.shard, "custom"}


def test_what_changes_behind_the_agents_back_shows_in_the_next_facts(machine: Machine) -> None:
    machine.platform.facts()
    machine.set_version("libtoy1", machine.newer)

    found = machine.platform.facts().packages[machine.format]["libtoy1"]

    assert found == (InstalledPackage(machine.newer, machine.system[2]),)


def test_each_start_of_the_machine_has_a_name_of_its_own(machine: Machine) -> None:
    first = machine.platform.uptime()
    machine.restart()

    assert first.boot_id
    assert machine.platform.uptime().boot_id not in ("", first.boot_id)


def test_it_says_whether_it_waits_for_a_restart(machine: Machine) -> None:
    before = machine.platform.uptime().restart_pending
    machine.want_restart()

    assert (before, machine.platform.uptime().restart_pending) == (False, True)


def test_the_list_of_packages_is_whole_ordered_and_the_same_twice(machine: Machine) -> None:
    body = machine.platform.inventory("packages")

    assert body is not None and body == machine.platform.inventory("packages")
    assert list(read_package_list(body)) == [
        PackageRowV1(name, version, machine.system[2])
        for name, version in sorted(machine.packages.items())
    ]


def test_what_it_tells_the_server_comes_to_the_very_facts_that_its_rules_see(
    machine: Machine,
) -> None:
    facts = machine.platform.facts(list(ASKED))
    body = machine.platform.inventory("packages")
    assert body is not None

    told = facts_of(read_facts(facts_list(facts)), by_name(package_rows(body)))

    assert told == facts and told.answers


def test_every_list_it_has_is_one_that_the_protocol_knows_and_takes(machine: Machine) -> None:
    for kind, limit in INVENTORY_LIMITS.items():
        body = machine.platform.inventory(kind)
        assert body is None or len(body) <= limit
    assert machine.platform.inventory("no such list") is None


def test_what_it_says_of_its_hardware_can_be_read(machine: Machine) -> None:
    body = machine.platform.inventory("hardware")

    assert body is None or read_hardware(body).architecture == machine.system[2]


def test_repairing_what_is_whole_changes_nothing(machine: Machine) -> None:
    before = machine.platform.facts()
    machine.platform.repair()

    assert machine.platform.facts() == before
