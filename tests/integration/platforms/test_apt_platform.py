"""The apt platform on roots of its own, with the real dpkg."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from patchtide.adapters.platforms.apt import AptPlatform
from patchtide.adapters.platforms.commands import CommandFailed, Finished
from patchtide.adapters.platforms.linux import System
from patchtide.adapters.platforms.onlooker import ReportOnly
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.facts import InstalledPackage
from patchtide.domain.applicability.scan import evaluate_shard
from patchtide.domain.catalog.rules import Comparison, Not, PackageFormat, PackageInstalled
from patchtide.wire.inventory import read_hardware
from tests.simulator.agent_command import a_leaf
from tests.simulator.apt_repository import tool
from tests.simulator.debian_root import DebianRoot

pytestmark = pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="needs dpkg")


@pytest.fixture
def root(tmp_path: Path) -> DebianRoot:
    made = DebianRoot(tmp_path / "root")
    made.put_package("dpkg", "1.21.22")
    return made


def versions(root: DebianRoot) -> dict[str, str]:
    found = AptPlatform(root.folder).facts().packages[PackageFormat.DEB]
    return {name: instances[0].version for name, instances in found.items()}


def a_package(folder: Path, version: str, *, script: str = "") -> Path:
    control = folder / f"toy-{version}/DEBIAN/control"
    control.parent.mkdir(parents=True)
    lines = ("Package: toy", f"Version: {version}", "Architecture: all", "Maintainer: t <t@t>")
    control.write_text("\n".join((*lines, "Description: toy", "")))
    if script:
        (control.parent / "postinst").write_text(f"#!/bin/sh\n{script}\n")
        (control.parent / "postinst").chmod(0o755)
    made = folder / f"toy_{version}.deb"
    tool("dpkg-deb", "--root-owner-group", "--build", control.parent.parent, made)
    return made


@pytest.mark.skipif(os.geteuid() != 0, reason="dpkg installs for root only")
def test_an_update_whose_script_failed_is_not_installed(root: DebianRoot, tmp_path: Path) -> None:
    dpkg = ("dpkg", f"--root={root.folder}", "--force-script-chrootless", "--force-bad-path")
    tool(*dpkg, "--install", a_package(tmp_path, "1"))
    with pytest.raises(AssertionError, match="exit status 7"):
        tool(*dpkg, "--install", a_package(tmp_path, "2", script="exit 7"))

    assert versions(root)["toy"] == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="dpkg installs for root only")
def test_an_update_that_was_killed_half_way_is_not_installed(
    root: DebianRoot, tmp_path: Path
) -> None:
    dpkg = ("dpkg", f"--root={root.folder}", "--force-script-chrootless", "--force-bad-path")
    tool(*dpkg, "--install", a_package(tmp_path, "1"))
    with pytest.raises(AssertionError):
        tool(*dpkg, "--install", a_package(tmp_path, "2", script="kill -9 $PPID"))

    left = list((root.folder / "var/lib/dpkg/updates").glob("[0-9]*"))
    assert left and versions(root)["toy"] == "1"
    tool(*dpkg, "--install", a_package(tmp_path, "3"))
    assert versions(root)["toy"] == "3"


@pytest.mark.skipif(os.geteuid() != 0, reason="dpkg installs for root only")
def test_a_package_on_hold_counts_as_what_it_is(root: DebianRoot) -> None:
    root.put_package("toy", "1")
    subprocess.run(
        ["dpkg", f"--admindir={root.folder / 'var/lib/dpkg'}", "--set-selections"],
        input="toy hold\n",
        text=True,
        check=True,
    )

    assert "Status: hold ok installed" in (root.folder / "var/lib/dpkg/status").read_text()
    assert versions(root)["toy"] == "1"


def test_what_a_package_only_provides_is_no_package(root: DebianRoot) -> None:
    root.put_package("exim4", "1", more="Provides: mail-transport-agent\n")

    assert "mail-transport-agent" not in versions(root)


def test_a_fix_that_the_machine_is_past_is_not_required(root: DebianRoot) -> None:
    """The security suite may hold an older version than the release: that is no fix."""
    root.put_package("sudo", "1.9.13p3-1+deb12u4")
    here = PackageInstalled(PackageFormat.DEB, "sudo")
    older = replace(here, comparison=Comparison.LESS, version="1.9.13p3-1+deb12u2")
    leaf = replace(a_leaf(1, "sudo", "1"), applicable=here, installed=Not(older))

    states = evaluate_shard([leaf], AptPlatform(root.folder).facts()).states

    assert list(states.values()) == [LeafState.INSTALLED]


def test_removed_packages_whose_settings_were_kept_are_not_there(root: DebianRoot) -> None:
    root.put_package("gone", "1", status="deinstall ok config-files")

    assert "gone" not in versions(root)


def test_several_architectures_of_a_package_are_several_instances(root: DebianRoot) -> None:
    same = "Multi-Arch: same\n"
    root.put_package("libtoy1", "2", more=same)
    root.put_package("libtoy1:i386", "1", more=same)
    text = (root.folder / "var/lib/dpkg/status").read_text()
    other = text.replace("libtoy1:i386\n", "libtoy1\n").split("Package: libtoy1\n")
    root.write(
        "var/lib/dpkg/status",
        "Package: libtoy1\n".join(
            [*other[:2], other[2].replace("Architecture: amd64", "Architecture: i386")]
        ),
    )

    found = AptPlatform(root.folder).facts().packages[PackageFormat.DEB]["libtoy1"]

    assert set(found) == {InstalledPackage("2", "amd64"), InstalledPackage("1", "i386")}


def test_a_database_that_cannot_be_read_is_no_empty_one(root: DebianRoot) -> None:
    root.write("var/lib/dpkg/status", "Package: toy\nthis is no field\n")

    with pytest.raises(CommandFailed):
        AptPlatform(root.folder).facts()


def test_a_root_without_a_database_is_no_machine_without_packages(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed):
        AptPlatform(tmp_path).facts()


def test_output_without_an_end_is_no_answer(root: DebianRoot) -> None:
    def endless(*_: object, **__: object) -> Finished:
        return Finished(status=0, output=b"a\t1\tall\tii \t\n", errors=b"", truncated=True)

    with pytest.raises(CommandFailed):
        AptPlatform(root.folder, run=endless).facts()


def test_the_database_is_read_once_while_nothing_changes(root: DebianRoot) -> None:
    calls = []

    def counting(arguments: object, **_: object) -> Finished:
        calls.append(arguments)
        return Finished(status=0, output=b"dpkg\t1\tamd64\tii \t\n", errors=b"", truncated=False)

    platform = AptPlatform(root.folder, run=counting)
    platform.facts()
    platform.uptime()
    platform.inventory("packages")
    root.put_package("new", "1")
    platform.facts()

    assert len(calls) == 2


def test_the_machine_beneath_is_told_in_a_fixed_form(root: DebianRoot) -> None:
    root.write("proc/sys/kernel/osrelease", "6.1.0-37-amd64\n")
    root.write("proc/meminfo", "MemTotal:        2051 kB\nMemFree: 1 kB\n")
    root.write("proc/cpuinfo", "processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\n")
    root.write("etc/systemd/system/multi-user.target.wants/ssh.service", "")
    body = AptPlatform(root.folder).inventory("hardware")

    assert body is not None
    found = read_hardware(body)
    assert (found.host_name, found.kernel, found.memory_bytes) == ("toy", "6.1.0-37-amd64", 2 << 20)
    assert (found.processors, found.services) == (2, ("ssh",))
    assert found.time_zone == ""


ZONES = {
    "linked": ({"localtime": "/usr/share/zoneinfo/Europe/Berlin"}, "", "Europe/Berlin"),
    "linked from there": ({"localtime": "../usr/share/zoneinfo/Etc/GMT+5"}, "", "Etc/GMT+5"),
    "a copy, and its name": ({}, "Asia/Kolkata\n", "Asia/Kolkata"),
    "no zone": ({"localtime": "/usr/share/zoneinfo/../../etc/passwd"}, "", ""),
    "not said": ({}, "", ""),
}


@pytest.mark.parametrize(("links", "text", "zone"), ZONES.values(), ids=ZONES)
def test_a_machine_tells_its_time_zone(
    root: DebianRoot, links: dict[str, str], text: str, zone: str
) -> None:
    for name, target in links.items():
        (root.folder / "etc" / name).symlink_to(target)
    if text:
        root.write("etc/timezone", text)

    assert read_hardware(AptPlatform(root.folder).inventory("hardware") or b"").time_zone == zone


APT, TIMERS = "etc/apt/apt.conf.d/20auto-upgrades", "etc/systemd/system/timers.target.wants"
ON = 'APT::Periodic::Unattended-Upgrade "1";\n'
DAILY = f"{TIMERS}/apt-daily-upgrade.timer"
TOOL = "usr/bin/unattended-upgrade"
DNF = "etc/dnf/automatic.conf"
OTHERS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "nobody": ({DAILY: "", TOOL: ""}, ()),
    "unattended-upgrades": ({DAILY: "", TOOL: "", APT: ON}, ("unattended-upgrades",)),
    "in braces": (
        {DAILY: "", TOOL: "", APT: 'APT::Periodic {\n Unattended-Upgrade "1";\n};\n'},
        ("unattended-upgrades",),
    ),
    "turned off after that": (
        {DAILY: "", TOOL: "", APT: ON, "etc/apt/apt.conf.d/99off": ON.replace("1", "0")}, (),
    ),
    "turned off in a file that apt passes over": (
        {DAILY: "", TOOL: "", APT: ON, "etc/apt/apt.conf.d/99off.bak": ON.replace("1", "0")},
        ("unattended-upgrades",),
    ),
    "only in a comment": ({DAILY: "", TOOL: "", APT: f"// {ON}"}, ()),
    "all of it turned off": (
        {DAILY: "", TOOL: "", APT: ON + 'APT::Periodic::Enable "0";\n'}, (),
    ),
    "its timer is not enabled": ({TOOL: "", APT: ON}, ()),
    "dnf-automatic that installs": (
        {f"{TIMERS}/dnf-automatic-install.timer": ""}, ("dnf-automatic",),
    ),
    "dnf-automatic that is told to": (
        {f"{TIMERS}/dnf-automatic.timer": "", DNF: "[commands]\napply_updates = yes\n"},
        ("dnf-automatic",),
    ),
    "dnf-automatic that only tells": (
        {f"{TIMERS}/dnf-automatic.timer": "", DNF: "[commands]\napply_updates = no\n"}, (),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "expected"), OTHERS.values(), ids=OTHERS)
def test_others_that_install_updates_are_found(
    root: DebianRoot, files: dict[str, str], expected: tuple[str, ...]
) -> None:
    for name, text in files.items():
        root.write(name, text)

    assert AptPlatform(root.folder).updaters() == expected


def test_an_update_that_packagekit_has_prepared_is_found(root: DebianRoot) -> None:
    (root.folder / "system-update").symlink_to("/var/cache/PackageKit/prepared-update")

    assert AptPlatform(root.folder).updaters() == ("packagekit",)


TRIE = """Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
     +-- 192.0.2.0/24 2 0 2
        +-- 192.0.2.0/30 2 0 2
           |-- 192.0.2.0
              /24 link UNICAST
           |-- 192.0.2.2
              /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
"""
VERSION_6 = """00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000002 02 40 00 80     eth0
20010db8000000000000000000000003 02 40 00 01     eth0
fe800000000000000000000000000002 02 40 20 80     eth0
"""


def test_only_addresses_that_last_and_lead_here_are_told(root: DebianRoot) -> None:
    root.write("proc/net/fib_trie", TRIE)
    root.write("proc/net/if_inet6", VERSION_6)

    assert System(root.folder).addresses() == ("192.0.2.2", "2001:db8::2")


def test_a_link_that_leads_out_of_the_root_is_not_followed(
    root: DebianRoot, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("ID=evil\n")
    (root.folder / "usr/lib/os-release").unlink()
    (root.folder / "usr/lib/os-release").symlink_to(outside)

    assert AptPlatform(root.folder).facts().os_id is None


def test_nothing_out_of_the_root_says_anything(root: DebianRoot, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "multi-user.target.wants").mkdir(parents=True)
    (outside / "multi-user.target.wants/evil.service").write_text("")
    (outside / "reboot-required").write_text("")
    (root.folder / "run").symlink_to(outside)
    (root.folder / "etc/systemd/system").mkdir(parents=True)
    wants = root.folder / "etc/systemd/system/multi-user.target.wants"
    wants.symlink_to(outside / "multi-user.target.wants")

    system = System(root.folder)

    assert not system.exists("run/reboot-required")
    assert system.services() == ()


def test_links_in_a_circle_lead_nowhere(root: DebianRoot) -> None:
    (root.folder / "circle").symlink_to("circle")

    system = System(root.folder)

    assert system.text("circle") is None and not system.exists("circle")


def test_a_container_does_not_wait_for_its_hosts_kernel(root: DebianRoot) -> None:
    root.write("proc/sys/kernel/osrelease", "6.1.0-37-amd64\n")
    root.put_package("linux-image-6.1.0-37-amd64", "6.1.140-1")
    root.put_package("linux-image-6.1.0-40-amd64", "6.1.153-1")
    before = AptPlatform(root.folder).uptime().restart_pending
    root.write("run/systemd/container", "systemd-nspawn")

    assert (before, AptPlatform(root.folder).uptime().restart_pending) == (True, False)


def test_it_changes_nothing_yet(root: DebianRoot) -> None:
    platform = AptPlatform(root.folder)

    with pytest.raises(ReportOnly):
        platform.install([])
    with pytest.raises(ReportOnly):
        platform.stage([])
    with pytest.raises(ReportOnly):
        platform.restart()
