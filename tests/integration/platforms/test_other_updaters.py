"""Others that install updates are held back by one mark, and nothing of theirs is changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from patchtide.adapters.platforms.apt import AptPlatform
from patchtide.adapters.platforms.taken_over import (
    DROP_IN,
    MARK,
    SERVICES,
    STATE,
    OtherUpdaters,
)
from patchtide.agent.ports.takeover import TakeoverFailed
from tests.simulator.agent_package import ROOT
from tests.simulator.debian_root import DebianRoot

TIMERS = "etc/systemd/system/timers.target.wants"
UNITS = "usr/lib/systemd/system"
BOTH = ("dnf-automatic", "unattended-upgrades")
DAILY = f"apt-daily-upgrade.service.d/{DROP_IN}"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[DebianRoot]:
    """Two others are at work, and the agent came as a package."""
    made = DebianRoot(tmp_path / "root")
    made.write("usr/bin/unattended-upgrade", "")
    made.write("etc/apt/apt.conf.d/20auto-upgrades", 'APT::Periodic::Unattended-Upgrade "1";\n')
    for timer in ("apt-daily-upgrade", "dnf-automatic-install"):
        made.write(f"{TIMERS}/{timer}.timer", "")
    for services in SERVICES.values():
        for service in services:
            made.write(
                f"{UNITS}/{service}.d/{DROP_IN}", (ROOT / "packaging/agent/held.conf").read_text()
            )
    (made.folder / STATE).mkdir(parents=True)
    return made


def others(root: DebianRoot) -> OtherUpdaters:
    return OtherUpdaters(root.folder, root.folder / STATE)


def files(root: DebianRoot) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(root.folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in root.folder.rglob("*")
        if path.is_file()
    }


def test_taking_over_makes_one_file_and_giving_back_removes_it(root: DebianRoot) -> None:
    before = files(root)
    others(root).hold(wanted=True)
    others(root).hold(wanted=True)
    held = others(root).at_work(), others(root).taken(), AptPlatform(root.folder).updaters()
    during = files(root)
    others(root).hold(wanted=False)
    others(root).hold(wanted=False)

    assert held == ((), BOTH, ())
    assert during.keys() - before.keys() == {f"{STATE}/{MARK}"}
    assert files(root) == before
    assert (others(root).at_work(), others(root).taken()) == (BOTH, ())


def test_without_the_package_nobody_is_held_and_it_says_so(root: DebianRoot) -> None:
    others(root).hold(wanted=True)
    shutil.rmtree(root.folder / UNITS)

    assert (others(root).at_work(), others(root).taken()) == (BOTH, ())


def test_an_administrators_own_file_of_that_name_counts_before_the_packages(
    root: DebianRoot,
) -> None:
    (root.folder / "etc/systemd/system" / DAILY).parent.mkdir()
    (root.folder / "etc/systemd/system" / DAILY).symlink_to("/dev/null")
    others(root).hold(wanted=True)

    assert others(root).at_work() == ("unattended-upgrades",)
    assert others(root).taken() == ("dnf-automatic",)


@pytest.mark.parametrize(
    ("name", "is_held"),
    [
        ("etc/systemd/system/apt-daily-upgrade.service.d/90-mine.conf", False),
        ("run/systemd/system/apt-daily-.service.d/90-mine.conf", False),
        ("etc/systemd/system/service.d/90-mine.conf", False),
        ("etc/systemd/system/apt-daily-upgrade.service.d/10-mine.conf", True),
        ("etc/systemd/system/apt-daily-upgrade.service.d/90-mine", True),
    ],
)
def test_a_file_that_takes_all_conditions_back_lets_it_run(
    root: DebianRoot, name: str, is_held: bool
) -> None:
    root.write(name, "[Unit]\nConditionACPower =\n")
    others(root).hold(wanted=True)

    assert ("unattended-upgrades" in others(root).taken()) is is_held
    assert ("unattended-upgrades" in others(root).at_work()) is not is_held


def test_what_packagekit_prepared_is_left_to_who_asked_for_it(root: DebianRoot) -> None:
    (root.folder / "system-update").symlink_to("/var/cache/PackageKit/prepared-update")
    others(root).hold(wanted=True)

    assert others(root).at_work() == ("packagekit",)


def test_an_agent_with_another_folder_holds_nobody(root: DebianRoot) -> None:
    elsewhere = root.folder / "srv"
    elsewhere.mkdir(exist_ok=True)
    OtherUpdaters(root.folder, elsewhere).hold(wanted=True)

    assert others(root).at_work() == BOTH


def test_a_mark_that_cannot_be_made_is_said(root: DebianRoot) -> None:
    with pytest.raises(TakeoverFailed):
        OtherUpdaters(root.folder, root.folder / "nowhere").hold(wanted=True)
