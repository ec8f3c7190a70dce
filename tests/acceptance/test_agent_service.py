"""The agent's package on a booted machine: its service, in its sandbox, against a real server."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.host import Host
from tests.lab.laboratory import lab, needs_lab
from tests.simulator.agent_package import INSTALLER

pytestmark = [*needs_lab, pytest.mark.timeout(600)]

UNIT = "patchtide-agent.service"
URL = "https://127.0.0.1:8540"
SITE = """
set -eu
systemd-run --quiet --unit=site --setenv=PYTHONDONTWRITEBYTECODE=1 \
    /usr/local/bin/patchtide serve --home /srv/site --host 127.0.0.1 --port 8540 --names 127.0.0.1
until [ -e /srv/site/bootstrap-code ] && ss -ltn | grep -q 8540; do sleep 0.2; done
export PATCHTIDE_URL=https://127.0.0.1:8540 PATCHTIDE_CA=/srv/site/keys/site-ca.pem
patchtide site bootstrap --code "$(cat /srv/site/bootstrap-code)" --json > /srv/admin.json
"""
ASK = """
export PATCHTIDE_URL=https://127.0.0.1:8540 PATCHTIDE_CA=/srv/site/keys/site-ca.pem
export PATCHTIDE_TOKEN=$(sed 's/.*"token":"\\([^"]*\\)".*/\\1/' /srv/admin.json)
exec patchtide "$@" --json
"""


def ask(host: Host, *words: str) -> Any:
    return json.loads(host.run("sh", "-c", ASK, "sh", *words))


def until(condition: Any, within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def host(package: Path) -> Iterator[Host]:
    """A machine with the agent installed and enrolled, at a server of its own."""
    with lab() as here:
        machine = here.host(
            "agent", binds={str(package.parent): "/media", str(INSTALLER.parent): "/mnt"}
        )
        machine.run("sh", "-c", SITE)
        token = ask(machine, "tokens", "create")["token"]
        options = ("--from", "/media", "--server", URL, "--token-file", "-")
        machine.run("/mnt/install-agent", *options, said=f"{token}\n")
        until(lambda: machine_at_server(machine)["seen_at"])
        yield machine


def machine_at_server(host: Host) -> Any:
    [found] = ask(host, "machines", "list")["items"]
    return found


def main_process(host: Host) -> str:
    return host.run("systemctl", "show", "--value", "--property=MainPID", UNIT).strip()


def is_active(host: Host) -> bool:
    return host.attempt("systemctl", "is-active", UNIT).stdout == "active\n"


def test_it_reports_as_a_user_of_its_own_without_any_right(host: Host) -> None:
    until(lambda: machine_at_server(host)["reported_at"])
    status = host.run("cat", f"/proc/{main_process(host)}/status")
    rights = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    user = host.run("id", "--user", "patchtide-agent").strip()

    assert set(rights["Uid"].split()) == {user} != {"0"}
    assert (rights["CapEff"], rights["CapBnd"]) == ("0" * 16, "0" * 16)
    assert (rights["NoNewPrivs"], rights["Seccomp"]) == ("1", "2")
    assert host.run("patchtide", "agent", "doctor").endswith("nothing is wrong\n")


def test_none_of_its_processes_listens(host: Host) -> None:
    group = host.run("systemctl", "show", "--value", "--property=ControlGroup", UNIT).strip()
    own = host.run("cat", f"/sys/fs/cgroup/systemd{group}/cgroup.procs").split()
    listening = re.findall(r"pid=(\d+)", host.run("ss", "--listening", "--tcp", "--udp", "-np"))

    assert main_process(host) in own
    assert listening and not set(own) & set(listening)


def test_reload_means_check_in_now(host: Host) -> None:
    before = machine_at_server(host)["seen_at"]
    process = main_process(host)

    host.run("systemctl", "reload", UNIT)

    until(lambda: machine_at_server(host)["seen_at"] > before)
    assert main_process(host) == process


def test_a_repair_starts_a_service_that_was_disabled(host: Host) -> None:
    host.run("systemctl", "disable", "--now", UNIT)
    before = host.attempt("patchtide", "agent", "doctor").stdout

    said = host.run("patchtide", "agent", "doctor", "--repair")

    assert "its service is disabled" in before
    assert f"{UNIT} was enabled and started" in said and said.endswith("nothing is wrong\n")
    assert host.run("systemctl", "is-enabled", UNIT) == "enabled\n" and is_active(host)


def test_installing_it_again_starts_it_anew_with_the_same_identity(host: Host) -> None:
    before, process = machine_at_server(host), main_process(host)

    host.run("sh", "-c", "dpkg --install /media/*.deb")
    host.run("systemctl", "reload", UNIT)

    until(lambda: machine_at_server(host)["seen_at"] > before["seen_at"])
    assert main_process(host) != process
    assert machine_at_server(host)["id"] == before["id"]


DAILY, OTHER = "apt-daily-upgrade.service", "unattended-upgrades"
HELD = "/var/lib/patchtide/agent/others-held"
LISTED = ("find", "/etc/systemd", "/etc/apt", "-printf", "%p %T@ %l\\n")
UPGRADES = """
set -eu
# What the real one would install is another story's matter; here it counts whether it is run.
printf '#!/bin/sh\\necho ran >> /srv/upgrades\\n' > /usr/bin/unattended-upgrade
chmod 755 /usr/bin/unattended-upgrade
echo 'APT::Periodic::Unattended-Upgrade "always";' > /etc/apt/apt.conf.d/20auto-upgrades
systemctl unmask apt-daily-upgrade.timer
systemctl enable apt-daily-upgrade.timer
"""


def runs(host: Host) -> int:
    """Have systemd start the daily upgrade; return how often the tool was run by now."""
    host.run("systemctl", "start", DAILY)
    return len(host.attempt("cat", "/srv/upgrades").stdout.split())


def test_unattended_upgrades_is_held_back_for_as_long_as_the_site_wants_it(host: Host) -> None:
    def comes_to(faults: list[str], taken: list[str]) -> None:
        """It is told by the check-in after the one at which the machine heard of it."""
        host.run("systemctl", "reload", UNIT)
        machine = machine_at_server(host)["id"]
        until(
            lambda: (
                [ask(host, "machines", "show", machine)[n] for n in ("faults", "taken_over")]
                == [faults, taken]
            )
        )

    def wants(*words: str, mark: bool) -> None:
        ask(host, "settings", "set-agents", *words)
        host.run("systemctl", "reload", UNIT)
        until(lambda: (host.attempt("test", "-e", HELD).returncode == 0) is mark)

    host.run("sh", "-c", UPGRADES)
    before = host.run(*LISTED)
    comes_to([OTHER], [])
    at_first = runs(host)
    wants("--updaters", "take-over", mark=True)
    held = runs(host)
    comes_to([], [OTHER])
    wants(mark=False)

    assert (at_first, held, runs(host)) == (1, 1, 2)
    assert host.run(*LISTED) == before


SOON = """
mkdir -p /run/systemd/system/patchtide-agent.service.d
printf '[Service]\\nRestartSec=500ms\\n' > /run/systemd/system/patchtide-agent.service.d/soon.conf
systemctl daemon-reload
"""


def test_it_comes_back_after_a_sudden_end_and_when_its_folder_is_free_again(host: Host) -> None:
    def is_back(than: str) -> bool:
        return is_active(host) and main_process(host) != than

    host.run("sh", "-c", SOON)
    first = main_process(host)
    host.run("systemctl", "kill", "--signal=KILL", UNIT)
    until(lambda: is_back(first))
    second = main_process(host)

    locked = "systemctl kill --signal=KILL $1; exec flock /var/lib/patchtide/agent/lock sleep 4"
    host.run("sh", "-c", locked, "sh", UNIT)
    until(lambda: is_back(second))


def test_it_comes_up_with_the_machine(host: Host) -> None:
    host.restart()

    until(lambda: is_active(host))
