"""`patchtide agent doctor` and `status`: what is wrong here, and what to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from patchtide.adapters.agentstate.identity import open_identity
from patchtide.adapters.platforms.own_service import DISABLED, UNIT, standing
from patchtide.adapters.platforms.taken_over import STATE
from patchtide.adapters.transport.probe import certificate_end
from patchtide.adapters.transport.site_ca import find_ca
from patchtide.agent.ports.web import TransferFailed, TransferUntrusted
from tests.simulator.agent_command import MACHINE_ID, Agent, a_leaf
from tests.simulator.debian_root import DebianRoot
from tests.simulator.rpm_repository import Rpm, needs_rpm
from tests.simulator.rpm_root import RpmRoot
from tests.simulator.site_server import Site, running

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg") is None, reason="needs dpkg")


def examined(agent: Agent) -> dict[str, dict[str, Any]]:
    return {check["check"]: check for check in json.loads(agent.doctor("--json").stdout)["checks"]}


def wrong(agent: Agent) -> dict[str, str]:
    return {
        name: check["said"] for name, check in examined(agent).items() if check["level"] == "wrong"
    }


def test_an_agent_at_work_has_nothing_wrong(loop: subprocess.Popen[str], enrolled: Agent) -> None:
    done = enrolled.doctor()

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("nothing is wrong\n")
    assert loop.poll() is None


def test_what_is_wrong_comes_with_its_cure_and_exit_code_1(enrolled: Agent, site: Site) -> None:
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"))
    enrolled.once()

    done = enrolled.doctor()

    assert done.returncode == 1
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    at = rows.index("WRONG agent no agent is at work here")
    assert rows[at + 1] == "to do: systemctl enable --now patchtide-agent.service"
    assert (
        rows[-1]
        == f"1 of {sum(not r.startswith('to do') for r in rows[:-2])} checks found something wrong"
    )


def test_a_machine_that_was_never_enrolled_is_told_how(agent: Agent) -> None:
    before = sorted(agent.folder.rglob("*"))

    found = examined(agent)

    assert found["enrolment"]["level"] == found["state"]["level"] == "wrong"
    assert "patchtide agent enrol" in found["enrolment"]["cure"]
    assert "server" not in found and sorted(agent.folder.rglob("*")) == before


def test_a_server_that_is_gone_is_wrong_and_so_is_what_hangs_on_it(
    agent: Agent, tmp_path: Path
) -> None:
    with running(tmp_path / "site") as site:
        agent.enrol(site)
    agent.once()

    found = wrong(agent)

    assert found["server"].startswith("transfer-failed")
    assert found["check-in"].startswith("1 in a row failed")
    assert "none" in found["report"] and "no signed metadata" in found["trust"]


def test_a_report_without_its_acknowledgement_is_wrong(enrolled: Agent, site: Site) -> None:
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"))
    site.next_answers.extend([(204, b"", {}), (503, b"", {"Retry-After": "1"})])
    enrolled.once()

    assert "waits" in wrong(enrolled)["report"]


def test_a_state_that_others_may_read_is_wrong(enrolled: Agent) -> None:
    (enrolled.state / "identity" / "key").chmod(0o640)

    assert "identity/key" in wrong(enrolled)["state"]


def test_a_copied_disk_is_told_and_its_key_is_left_alone(enrolled: Agent) -> None:
    key = (enrolled.state / "identity" / "key").read_bytes()
    enrolled.machine_id.write_text("f" * 32)

    assert "another machine's" in wrong(enrolled)["enrolment"]
    assert (enrolled.state / "identity" / "key").read_bytes() == key
    assert open_identity(enrolled.state / "identity", machine_id=MACHINE_ID).enrolment()


def test_expired_metadata_is_wrong(enrolled: Agent, site: Site) -> None:
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"))
    enrolled.once()
    path = enrolled.state / "trust" / "metadata" / "timestamp.json"
    document = json.loads(path.read_bytes())
    document["signed"]["expires"] = "2026-01-01T00:00:00Z"
    path.write_text(json.dumps(document))

    assert "timestamp has expired" in wrong(enrolled)["trust"]


def test_the_certificate_counts_only_from_the_sites_own_authority(
    site: Site, tmp_path: Path
) -> None:
    ca = find_ca(site.url, bytes.fromhex(site.keys.ca_digest))
    with running(tmp_path / "other") as other, pytest.raises(TransferUntrusted):
        certificate_end(other.url, ca)
    with pytest.raises(TransferFailed):
        certificate_end(other.url, ca)

    assert certificate_end(site.url, ca) > datetime.now(UTC).timestamp()


@pytest.fixture
def root(agent: Agent, tmp_path: Path) -> DebianRoot:
    made = DebianRoot(tmp_path / "root")
    made.put_package("dpkg", "1.21.22")
    agent.platform = f"apt:{made.folder}"
    return made


@needs_dpkg
def test_a_half_installed_package_is_named(agent: Agent, root: DebianRoot) -> None:
    root.put_package("toy", "2", status="install ok half-configured", more="Config-Version: 1\n")

    assert wrong(agent)["dpkg"] == "half installed: toy"


@needs_dpkg
def test_an_interrupted_dpkg_is_told_of(agent: Agent, root: DebianRoot) -> None:
    root.write("var/lib/dpkg/updates/0001", "Package: toy\n")

    assert "while it worked" in wrong(agent)["dpkg"]


@needs_rpm
def test_an_rpm_database_is_looked_at_and_a_damaged_one_is_told_of(
    agent: Agent, tmp_path: Path
) -> None:
    made = RpmRoot(tmp_path / "el9")
    made.put(Rpm("rpm", "4-1"))
    agent.platform = f"auto:{made.folder}"
    before = examined(agent)
    (made.database / "rpmdb.sqlite").write_bytes(b"no database")

    assert before["rpm"]["level"] == "fine" and "dpkg" not in before
    assert "command-failed: rpm: error" in wrong(agent)["rpm"]


@needs_dpkg
def test_old_lists_and_a_pending_restart_are_only_notes(agent: Agent, root: DebianRoot) -> None:
    root.restart()
    root.write("var/lib/apt/lists/some_Packages", "")
    root.write("var/lib/apt/lists/partial/.keep", "")
    old = (datetime.now(UTC) - timedelta(days=30)).timestamp()
    os.utime(root.folder / "var/lib/apt/lists/partial", (old, old))
    root.write("run/reboot-required", "")

    found = examined(agent)

    assert (found["apt"]["level"], found["restart"]["level"]) == ("note", "note")
    assert "30 days ago" in found["apt"]["said"]
    assert found["dpkg"]["level"] == "fine"


def test_status_counts_what_the_server_has_of_this_machine(enrolled: Agent, site: Site) -> None:
    began = datetime.now(UTC).timestamp()
    leaves = [a_leaf(1, "openssl", "3.0.2"), a_leaf(2, "curl", "7.0"), a_leaf(3, "curl", "7.1")]
    site.publish("custom", *leaves)
    enrolled.once()

    status: dict[str, Any] = enrolled.status()

    assert status["reported"] == {"required": 1, "installed": 2, "unknown": 0}
    for name in ("last_answer", "last_scan", "last_report"):
        assert began - 1 <= status[name] <= datetime.now(UTC).timestamp()


@needs_dpkg
def test_status_of_a_debian_machine_says_that_it_is_only_looked_at(
    enrolled: Agent, root: DebianRoot
) -> None:
    status = enrolled.status()

    assert status["mode"] == "report-only"
    assert status["shards"] == {"debian-12": 0, "custom": 0}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
@pytest.mark.parametrize("command", ["status", "doctor", "explain"])
def test_somebody_who_may_not_look_is_told_who_may(enrolled: Agent, command: str) -> None:
    folder = enrolled.folder / "deep"
    folder.mkdir(mode=0o700)
    moved = shutil.move(enrolled.state, folder / "state")
    asked = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    enrolled.state = Path(moved)

    done = enrolled.run([*asked, *enrolled.command(command, *["x"] * (command == "explain"))])

    assert done.returncode == 1
    assert "only root may" in done.stderr and "Traceback" not in done.stderr


def test_a_repair_closes_what_is_open_and_follows_no_link(enrolled: Agent, tmp_path: Path) -> None:
    outside, linked = tmp_path / "outside", tmp_path / "twice"
    for path in (outside, linked):
        path.write_text("x")
        path.chmod(0o644)
    key, folder = enrolled.state / "identity" / "key", enrolled.state / "trust"
    folder.mkdir(exist_ok=True)
    before = key.read_bytes()
    key.chmod(0o640)
    folder.chmod(0o755)
    (enrolled.state / "link").symlink_to(outside)
    (folder / "second").hardlink_to(linked)
    os.mkfifo(folder / "pipe", 0o600)
    others = folder / "planted"
    others.write_text("x")
    others.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(others, 65534, 65534)

    looked = json.loads(enrolled.doctor("--json").stdout)
    untouched = key.stat().st_mode & 0o777
    done = json.loads(enrolled.doctor("--json", "--repair").stdout)

    [said] = done["repaired"]
    assert (looked["repaired"], untouched, said["check"]) == ([], 0o640, "state")
    assert str(key) in said["said"] and str(folder) in said["said"]
    assert key.stat().st_mode & 0o777 == 0o600
    if os.geteuid() == 0:  # nobody is made the owner of what somebody else put there
        assert (others.stat().st_mode & 0o777, others.stat().st_uid) == (0o644, 65534)
    assert (folder.stat().st_mode & 0o777, key.read_bytes()) == (0o700, before)
    assert [path.stat().st_mode & 0o777 for path in (outside, linked)] == [0o644, 0o644]
    left = next(one for one in done["checks"] if one["check"] == "state")
    assert left["level"] == "wrong" and str(folder / "second") in left["said"]
    (folder / "second").unlink()
    others.unlink()
    assert "state" not in wrong(enrolled)


@needs_dpkg
def test_a_service_that_is_disabled_is_told_and_started_only_on_the_system_that_runs(
    agent: Agent, root: DebianRoot
) -> None:
    agent.state = root.folder / STATE
    agent.state.mkdir(parents=True, mode=0o700)
    without = examined(agent)
    root.write(f"usr/lib/systemd/system/{UNIT}", "[Service]\n")
    done = json.loads(agent.doctor("--json", "--repair").stdout)
    told = standing(root.folder, agent.state)
    root.write(f"etc/systemd/system/multi-user.target.wants/{UNIT}", "")
    enabled = examined(agent)
    (root.folder / "etc/systemd/system" / UNIT).symlink_to("/dev/null")
    masked = examined(agent)
    elsewhere = standing(root.folder, agent.folder)

    assert "service" not in without and told == DISABLED and elsewhere == ""
    [said] = done["repaired"]
    assert said["check"] == "agent" and "is not the system that runs" in said["said"]
    assert enabled["service"]["level"] == "fine"
    assert masked["service"]["level"] == "wrong" and "unmask" in masked["service"]["cure"]


def test_of_a_service_that_nobody_can_look_at_nothing_is_said(tmp_path: Path) -> None:
    unit = tmp_path / "usr/lib/systemd/system" / UNIT
    unit.parent.mkdir(parents=True)
    unit.touch()
    seen = standing(tmp_path, tmp_path / STATE)
    (tmp_path / "usr/local").symlink_to("/home/local")  # people's own, which is not looked into

    assert (seen, standing(tmp_path, tmp_path / STATE)) == (DISABLED, "")
