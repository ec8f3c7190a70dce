"""Three booted Debian hosts, a real server, Debian's own security archive.

One agent is installed from its package and works in its service's sandbox; the others enrol, scan
and report by the command that people run. The server's catalog comes from its own host's apt
sources. What is required is held against what apt itself says on each host.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab.host import Host
from tests.lab.laboratory import Lab, lab, needs_lab
from tests.lab.site import Site
from tests.simulator.agent_package import INSTALLER

pytestmark = [*needs_lab, pytest.mark.timeout(600)]

PLANNED = re.compile(r"^Inst (\S+) \[\S+\] \((\S+) ([^)\[]*)", re.MULTILINE)
SHOWN = re.compile(r"^(Package|Source|Version): (\S+)(?: \((\S+)\))?$", re.MULTILINE)
ONCE = ("patchtide", "agent", "once")
SERVER_NOT_REACHED = 3
UNIT = "patchtide-agent"
# Without the package's sandbox, whose own /proc has no boot id but that of this machine's kernel.
SERVICE = """\
[Service]
ExecStart=/usr/local/bin/patchtide agent run
ExecReload=/bin/sh -c "kill -HUP $MAINPID"
Restart=always
[Install]
WantedBy=multi-user.target
"""


class Fleet:
    """The site, and three machines that have enrolled and told everything there is to tell."""

    def __init__(self, here: Lab, package: Path) -> None:
        self.site = Site(here)
        media = {str(package.parent): "/media", str(INSTALLER.parent): "/mnt"}
        self.half = here.host("half", binds=media)
        self.web, self.aged = here.host("web"), here.host("aged")
        self.hosts = (self.web, self.half, self.aged)
        self.site.open()
        self.half.run("apt-get", "install", "--yes", "openssl", "libssl3", "libexpat1")
        self.set_back = here.image.aged.read_text().split()
        older = [f"{name}/bookworm-security" for name in self.set_back]
        self.aged.run("apt-get", "install", "--yes", "--allow-downgrades", *older)
        assert self.site.await_catalog()["state"] == "done"
        self._enrol()
        self._ids = self.ids()

    def _enrol(self) -> None:
        token = self.site.ask("tokens", "create", "--uses", "3")["token"]
        options = ("--server", self.site.url, "--token-file", "-")
        self.half.run("rm", "/usr/local/bin/patchtide")  # it has the package's own
        self.half.run("/mnt/install-agent", "--from", "/media", *options, said=f"{token}\n")
        for host in (self.web, self.aged):
            host.run("patchtide", "agent", "enrol", *options, said=f"{token}\n")
        for host in self.hosts:
            self.settle(host)

    def settle(self, host: Host) -> list[dict[str, Any]]:
        """Let the agent work until there is nothing left to tell; return what it told."""
        told: list[dict[str, Any]] = []
        quiet = 0
        while quiet < 2:  # what a scan finds of the inventory is named at the next check-in
            heard = self.ring(host) if host is self.half else self.once(host)
            news = [said for said in heard if said["message"] != "check-in"]
            quiet = 0 if news else quiet + 1
            told += news
        return told

    def once(self, host: Host) -> Sequence[dict[str, Any]]:
        host.run(*ONCE)
        return self.site.heard()

    def ring(self, host: Host) -> list[dict[str, Any]]:
        """Have the agent that runs there check in; return what was heard until then."""
        eventually(lambda: self._is_running(host))
        host.run("systemctl", "reload", UNIT)
        heard: list[dict[str, Any]] = []

        def has_checked_in() -> bool:
            heard.extend(self.site.heard())
            return any(said["message"] == "check-in" for said in heard)

        eventually(has_checked_in)
        return heard

    def _is_running(self, host: Host) -> bool:
        said = host.run("patchtide", "agent", "status", "--json")
        return bool(json.loads(said)["running"])

    def ids(self) -> dict[str, str]:
        """Return each machine's id by its name, as the server has them now."""
        return {m["name"]: m["id"] for m in self.site.ask("machines", "list")["items"]}

    def titles(self, host: Host, state: str) -> set[str]:
        """Return the updates that are in this state there; none may be unknown."""
        asked = ("machines", "updates", self._ids[host.name], "--state", state, "--limit", "500")
        said = self.site.ask(*asked)
        assert said["counts"]["unknown"] == 0, said["doubt"]
        return {update["title"] for update in said["items"]}


@pytest.fixture(scope="module")
def fleet(package: Path) -> Iterator[Fleet]:
    with lab() as here:
        yield Fleet(here, package)


def planned(host: Host, archive: str) -> dict[str, str]:
    """Return the packages that apt would upgrade from there, each with its new version."""
    said = host.run("apt-get", "--simulate", "dist-upgrade")
    found = PLANNED.findall(said)
    return {name: version for name, version, where in found if archive in where}


def what_apt_says(host: Host) -> set[str]:
    """Return the security updates that apt says are missing, by source package and version."""
    upgrades = planned(host, "Debian-Security:")
    if not upgrades:
        return set()
    shown = host.run("apt-cache", "show", *(f"{n}={v}" for n, v in upgrades.items()))
    return {title_of(stanza) for stanza in shown.strip().split("\n\n")}


def title_of(stanza: str) -> str:
    fields = {key: (value, version) for key, value, version in SHOWN.findall(stanza)}
    source, version = fields.get("Source", (fields["Package"][0], ""))
    return f"{source} {version or fields['Version'][0]}"


def eventually(happens: Callable[[], bool], *, within_s: float = 30) -> None:
    until = time.monotonic() + within_s
    while not happens():
        assert time.monotonic() < until, "it does not happen"
        time.sleep(0.2)


def test_each_required_list_is_what_apt_itself_says(fleet: Fleet) -> None:
    said = {host.name: what_apt_says(host) for host in fleet.hosts}

    assert {host.name: fleet.titles(host, "required") for host in fleet.hosts} == said
    assert all(said.values()) and said["half"] < said["web"]
    user = fleet.half.run("systemctl", "show", "--value", "--property=User", UNIT)
    assert user == "patchtide-agent\n"


def test_an_older_version_in_the_security_suite_is_no_fix(fleet: Fleet) -> None:
    pending = planned(fleet.aged, "Debian:")
    required = fleet.titles(fleet.aged, "required")

    assert sorted(pending) == sorted(fleet.set_back)
    assert not {title.split()[0] for title in required} & set(fleet.set_back)


def test_after_an_upgrade_only_the_difference_is_told(fleet: Fleet) -> None:
    missing = what_apt_says(fleet.web)

    fleet.web.run("apt-get", "dist-upgrade", "--yes")
    told = fleet.settle(fleet.web)

    (report,) = [message for message in told if message["message"] == "report"]
    assert report["form"] == "difference"
    assert (report["installed"], report["required"], report["gone"]) == (len(missing), 0, 0)
    assert [m["kind"] for m in told if m["message"] == "inventory"] == ["packages"]
    assert fleet.titles(fleet.web, "required") == what_apt_says(fleet.web) == set()
    assert missing <= fleet.titles(fleet.web, "installed")


def test_a_restarted_machine_is_the_same_one_and_says_nothing_twice(fleet: Fleet) -> None:
    host, ids, boot = fleet.web, fleet.ids(), fleet.web.boot_id
    host.run("tee", f"/etc/systemd/system/{UNIT}.service", said=SERVICE)
    host.run("systemctl", "enable", UNIT)
    fleet.settle(host)  # a service that starts with the machine is worth telling

    host.restart()
    heard = fleet.ring(host) + fleet.ring(host)

    assert host.boot_id != boot
    assert {(message["message"], message["boot_id"]) for message in heard} == {
        ("check-in", host.boot_id)
    }
    assert len({message["client"] for message in heard}) == 1
    assert fleet.ids() == ids
    assert fleet.titles(host, "required") == what_apt_says(host)


def test_what_a_cut_line_held_up_is_told_once(fleet: Fleet) -> None:
    host = fleet.aged
    host.run("apt-get", "install", "--yes", "--only-upgrade", "libexpat1")
    host.cut()
    failed = host.attempt(*ONCE)
    during = fleet.site.heard()
    host.mend()

    told = fleet.settle(host)

    assert (failed.returncode, during) == (SERVER_NOT_REACHED, [])
    (report,) = [message for message in told if message["message"] == "report"]
    assert (report["form"], report["installed"]) == ("difference", 1)
    assert fleet.titles(host, "required") == what_apt_says(host)
