"""The laboratory itself: its hosts are what stories take them for, and nothing outlives it."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import cgroups
from tests.lab.commands import ROOT, LabError, module
from tests.lab.host import Host
from tests.lab.laboratory import WATCHES, Lab, lab, needs_lab
from tests.lab.slow_line import Quality

pytestmark = [*needs_lab, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def here() -> Iterator[Lab]:
    with lab() as made:
        yield made


@pytest.fixture(scope="module")
def hosts(here: Lab) -> tuple[Host, Host]:
    return here.host("one"), here.host("two")


def reaches(one: Host, other: Host, *, within_s: int = 1) -> bool:
    ping = ("ping", "-c", "1", "-W", str(within_s), other.line.address)
    return one.attempt(*ping).returncode == 0


def test_a_host_is_a_system_of_its_own_with_security_updates_pending(
    hosts: tuple[Host, Host],
) -> None:
    one, two = hosts

    planned = one.run("apt-get", "--simulate", "dist-upgrade")

    assert "Debian-Security" in planned
    assert one.run("systemctl", "is-system-running") == "running\n"
    assert one.run("hostname") == "one\n"
    assert one.machine_id != two.machine_id and one.boot_id != two.boot_id


def test_its_archives_answer_without_any_other_network(hosts: tuple[Host, Host]) -> None:
    one, _ = hosts

    one.run("apt-get", "update", "-o", "APT::Update::Error-Mode=any")
    one.run("apt-get", "install", "--yes", "--only-upgrade", "libexpat1")

    installed = one.run("dpkg-query", "--show", "--showformat=${Version}", "libexpat1")
    assert installed in one.run("apt-cache", "madison", "libexpat1").splitlines()[0]
    assert one.attempt("curl", "--silent", "--max-time", "2", "http://192.0.2.1/").returncode != 0


@pytest.mark.parametrize("how", ["restart", "power cut", "power button"])
def test_a_host_comes_back_as_the_same_machine_in_a_new_boot(
    hosts: tuple[Host, Host], how: str
) -> None:
    _, two = hosts
    before = (two.machine_id, two.boot_id)
    two.run("sh", "-c", f"echo '{how}' > /var/lib/kept")

    if how == "restart":
        two.restart()
    else:
        two.power_cut() if how == "power cut" else two.stop()
        two.start()

    assert two.machine_id == before[0]
    assert two.boot_id != before[1]
    assert two.run("cat", "/var/lib/kept") == f"{how}\n"


def test_a_line_is_cut_and_mended(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    one.cut()
    assert not reaches(two, one)

    one.mend()
    assert reaches(two, one, within_s=5)


def test_a_line_is_slow_then_dead_then_good(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    one.worsen(Quality(delay_ms=100))
    started = time.monotonic()
    assert reaches(one, two, within_s=5)
    assert time.monotonic() - started > 0.2

    one.worsen(Quality(loss_percent=100))
    assert not reaches(one, two)

    one.mend()
    assert reaches(one, two, within_s=5)


def test_hosts_of_the_same_name_in_two_laboratories_do_not_disturb_each_other(
    hosts: tuple[Host, Host],
) -> None:
    one, _ = hosts
    with lab() as elsewhere:
        other = elsewhere.host("one")

        assert other.run("systemctl", "is-system-running", "--wait") == "running\n"
        assert other.machine_id != one.machine_id

    one.restart()
    assert one.run("systemctl", "is-system-running", "--wait") == "running\n"


@pytest.fixture
def watches_used_up() -> Iterator[None]:
    """Others watch files from as many places as Debian allows to all processes of a user."""
    before = WATCHES.read_text()
    WATCHES.write_text("128\n")
    taken = []
    while (watch := ctypes.CDLL(None).inotify_init()) >= 0:
        taken.append(watch)
    yield
    for watch in taken:
        os.close(watch)
    WATCHES.write_text(before)


@pytest.mark.usefixtures("watches_used_up")
def test_a_host_comes_up_where_all_watches_are_used_up(here: Lab) -> None:
    host = here.host("three")

    assert host.run("systemctl", "is-system-running", "--wait") == "running\n"


def test_what_keeps_a_host_from_coming_is_said(
    here: Lab, hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = hosts
    one.await_boot(1)
    lost = here.host("lost")
    os.kill(lost.keeper, signal.SIGKILL)
    with pytest.raises(LabError, match="its keeper ended: status -9, no word"):
        lost.await_boot(2)

    monkeypatch.setattr("tests.lab.host.SILENCE_LIMIT_S", 2)
    with pytest.raises(LabError, match=r"(?s)gets nowhere.* silent for 2 s.* systemd:S .*Reached"):
        one.await_boot(one.boots + 1)


@pytest.mark.parametrize("killed", ["the test", "the host's keeper with it"])
def test_nothing_outlives_a_test_that_is_killed(killed: str) -> None:
    process = subprocess.Popen(
        module("victim"),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
        umask=0o077,
        preexec_fn=functools.partial(os.close, 0),
    )
    with process:
        assert process.stdout is not None
        left = [Path(f"/proc/{pid}") for pid in process.stdout.readline().split()]
        assert len(left) > 3 and all(path.exists() for path in left)
        if killed != "the test":
            os.kill(int(left[0].name), signal.SIGKILL)
        os.kill(process.pid, signal.SIGKILL)

    until = time.monotonic() + 20
    while any(path.exists() for path in left) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [path.name for path in left if path.exists()]
    assert "patchtide-lab" not in Path("/proc/mounts").read_text()
    cgroups.sweep()
    groups = [top / cgroups.PARENT for top in cgroups.hierarchies()]
    assert not [path for group in groups for path in group.glob(f"{process.pid}-*")]
