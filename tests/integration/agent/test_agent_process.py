"""The agent as it is run: real processes, real TLS, against a site in this process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from patchtide.adapters.agentstate.identity import open_identity
from patchtide.adapters.transport.site_ca import find_ca
from patchtide.agent.enrolment import EnrolmentFailed
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import Comparison, Not, PackageFormat, PackageInstalled
from patchtide.wire.sets import decode_set, unpack
from tests.simulator.agent_command import MACHINE_ID, Agent, a_leaf, environment
from tests.simulator.debian_root import DebianRoot
from tests.simulator.processes import children, wait_for
from tests.simulator.rpm_repository import Rpm, needs_rpm
from tests.simulator.rpm_root import RpmRoot
from tests.simulator.site_server import CLIENT, SECRET, Site, jump, running

IDLE_LIMIT_KB = 45 * 1024


def numbers(packed: bytes) -> list[int]:
    return decode_set(unpack(packed)) if packed else []


def an_rpm_leaf(number: int, name: str, fixed: str) -> Leaf:
    here = PackageInstalled(PackageFormat.RPM, name, architecture="x86_64")
    older = replace(here, comparison=Comparison.LESS, version=fixed)
    return replace(a_leaf(number, name, fixed), applicable=here, installed=Not(older))


def test_a_machine_enrols_fetches_the_catalog_and_reports(enrolled: Agent, site: Site) -> None:
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"), a_leaf(2, "curl", "7.0"))

    done = enrolled.once()

    assert done.returncode == 0, done.stderr
    [report] = site.reports
    assert report.full is not None
    assert numbers(report.full.required) == [1]
    assert numbers(report.full.installed) == [2]
    assert report.shards == {"custom": 1}


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="needs dpkg")
def test_a_debian_system_follows_its_release_and_reports_nothing_twice(
    enrolled: Agent, site: Site, tmp_path: Path
) -> None:
    root = DebianRoot(tmp_path / "root")
    for name, version in {"dpkg": "1.21.22", "openssl": "3.0.1", "curl": "8.0"}.items():
        root.put_package(name, version)
    enrolled.platform = f"apt:{root.folder}"
    site.publish("debian-12", a_leaf(1, "openssl", "3.0.2"), a_leaf(2, "curl", "7.0"))

    done = enrolled.once()
    enrolled.once()

    assert done.returncode == 0, done.stderr
    [report] = site.reports
    assert report.full is not None and report.shards == {"debian-12": 1}
    assert numbers(report.full.required) == [1]
    assert numbers(report.full.installed) == [2]


@needs_rpm
def test_a_system_of_rpm_packages_is_found_out_and_reports_by_its_own_shard(
    enrolled: Agent, site: Site, tmp_path: Path
) -> None:
    root = RpmRoot(tmp_path / "root")
    root.put(Rpm("openssl", "3.0.1-9.el9"), Rpm("curl", "8.0-1.el9"))
    enrolled.platform = f"auto:{root.folder}"
    site.publish(
        "toylinux-9", an_rpm_leaf(1, "openssl", "3.0.1-10.el9"), an_rpm_leaf(2, "curl", "7-1")
    )

    done = enrolled.once()

    assert done.returncode == 0, done.stderr
    [report] = site.reports
    assert report.full is not None and report.shards == {"toylinux-9": 1}
    assert numbers(report.full.required) == [1]
    assert numbers(report.full.installed) == [2]


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="needs dpkg")
def test_once_looks_at_the_machine_again_and_tells_what_is_different(
    enrolled: Agent, site: Site, tmp_path: Path
) -> None:
    root = DebianRoot(tmp_path / "root")
    for name, version in {"dpkg": "1.21.22", "openssl": "3.0.1"}.items():
        root.put_package(name, version)
    enrolled.platform = f"apt:{root.folder}"
    site.publish("debian-12", a_leaf(1, "openssl", "3.0.2"))
    enrolled.once()
    root.put_package("openssl", "3.0.2")

    done = enrolled.once()

    assert done.returncode == 0, done.stderr
    told = site.reports[-1].changes or site.reports[-1].full
    assert len(site.reports) == 2 and told is not None
    assert numbers(told.installed) == [1]


def test_what_changes_is_told_as_a_difference_over_a_delta(enrolled: Agent, site: Site) -> None:
    many = [a_leaf(n, "curl", "9.0") for n in range(10, 600, 3)]
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"), *many)
    enrolled.once()
    site.fetched.clear()
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"), a_leaf(2, "curl", "7.0"), *many)

    enrolled.once()

    changes = site.reports[-1].changes
    assert changes is not None
    assert numbers(changes.installed) == [2]
    assert numbers(changes.required) == []
    assert sum(path.startswith("/content/") for path in site.fetched) == 1


def test_nothing_new_sends_one_small_message(enrolled: Agent, site: Site) -> None:
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"))
    enrolled.once()
    site.fetched.clear()

    enrolled.once()

    assert len(site.check_ins) == 2 and len(site.reports) == 1
    assert site.fetched == []
    assert site.check_ins[1].counter > site.reports[0].counter


def test_what_changed_on_the_machine_is_told_when_a_person_asks(
    enrolled: Agent, site: Site
) -> None:
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"))
    enrolled.once()
    enrolled.set_packages(openssl="3.0.2", curl="8.0")

    enrolled.once()

    changes = site.reports[-1].changes or site.reports[-1].full
    assert changes is not None and numbers(changes.installed) == [1]


def test_whoever_asks_hears_that_the_server_was_not_reached(agent: Agent, tmp_path: Path) -> None:
    with running(tmp_path / "site") as gone:
        assert agent.enrol(gone).returncode == 0

    done = agent.once()

    assert done.returncode == 3 and "unreachable" in done.stderr


def test_a_lost_acknowledgement_is_followed_by_the_same_message(
    enrolled: Agent, site: Site
) -> None:
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"))
    site.next_answers.extend([(204, b"", {}), (503, b"", {"Retry-After": "1"})])
    enrolled.once()

    enrolled.once()

    first, second = site.reports
    assert first == second


def test_a_restored_machine_jumps_and_tells_everything(enrolled: Agent, site: Site) -> None:
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"))
    enrolled.once()
    site.next_answers.append(jump(50_000))

    enrolled.once()

    report = site.reports[-1]
    assert report.restored and report.full is not None
    assert report.counter >= 50_000
    assert [event.code for event in report.events] == ["restored"]


@pytest.mark.parametrize("answer", [(204, b"", {}), (202, b"", {})], ids=["check-in", "report"])
def test_an_unsigned_answer_is_not_believed(
    enrolled: Agent, site: Site, answer: tuple[int, bytes, dict[str, str]]
) -> None:
    site.signs = False
    site.next_answers.append(answer)

    enrolled.once()

    assert site.reports == []
    assert enrolled.status()["failures"] == 1


def test_what_an_answer_without_a_body_says_is_signed_too(enrolled: Agent, site: Site) -> None:
    # The site signs that it knows of no root; somebody on the way says that there is one.
    site.next_answers.append((204, b"", {"Patchtide-Root": "1"}))

    enrolled.once()

    assert site.reports == []
    assert enrolled.status()["failures"] == 1


def test_the_token_is_nowhere_on_the_disk(enrolled: Agent) -> None:
    files = [path for path in enrolled.state.rglob("*") if path.is_file()]

    assert files
    assert not any(SECRET.encode() in path.read_bytes() for path in files)


def test_the_state_is_its_owners_alone(enrolled: Agent, site: Site) -> None:
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"))
    enrolled.once()

    modes = {path: path.stat().st_mode & 0o077 for path in enrolled.state.rglob("*")}

    assert enrolled.state.stat().st_mode & 0o777 == 0o700
    assert {str(path) for path, open_to in modes.items() if open_to} == set()


def test_a_ca_other_than_the_tokens_is_not_spoken_to(agent: Agent, site: Site) -> None:
    done = agent.enrol(site, token=site.token[:-64] + "0" * 64)

    assert done.returncode == 1
    assert site.public_key == b""


def test_the_ca_is_found_without_a_byte_of_http(site: Site) -> None:
    found = find_ca(site.url, bytes.fromhex(site.keys.ca_digest))

    assert ssl.DER_cert_to_PEM_cert(found).strip() == site.keys.ca_certificate.read_text().strip()
    with pytest.raises(EnrolmentFailed):
        find_ca("https://127.0.0.1:1", bytes(32))


def test_a_copied_disk_gets_a_key_of_its_own_and_must_enrol(enrolled: Agent, site: Site) -> None:
    identity = enrolled.state / "identity"
    before = open_identity(identity, machine_id=MACHINE_ID).public_key
    other = "f" * 32
    enrolled.machine_id.write_text(other)

    done = enrolled.once()

    assert done.returncode == 1 and "enrol" in done.stderr
    assert open_identity(identity, machine_id=other).public_key != before
    assert site.check_ins == []


def test_a_lost_journal_is_rebuilt_and_the_identity_stays(enrolled: Agent, site: Site) -> None:
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"))
    enrolled.once()
    (enrolled.state / "journal.db").write_bytes(b"garbage" * 1000)
    site.next_answers.append(jump(10_000))

    done = enrolled.once()

    assert done.returncode == 0, done.stderr
    report = site.reports[-1]
    assert report.full is not None and numbers(report.full.required) == [1]
    assert "state-lost" in [event.code for event in report.events]


def test_status_says_who_the_machine_is_and_what_it_has(enrolled: Agent, site: Site) -> None:
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"))
    enrolled.once()

    status = enrolled.status()

    assert status["enrolment"] == {
        "client": str(UUID(bytes=CLIENT)),
        "server": site.url,
        "site": "main",
    }
    assert status["shards"] == {"custom": 1}
    assert (status["phase"], status["running"], status["pending"]) == ("Idle", False, None)


def test_the_idle_loop_is_small_and_knows_neither_tls_nor_tuf(
    loop: subprocess.Popen[str],
) -> None:
    status = Path(f"/proc/{loop.pid}/status").read_text()
    mapped = Path(f"/proc/{loop.pid}/maps").read_text()

    resident_kb = int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]
    assert resident_kb < IDLE_LIMIT_KB
    for library in ("libssl", "_ssl", "sqlite", "cryptography", "msgspec"):
        assert library not in mapped


def test_the_agent_listens_on_no_port(loop: subprocess.Popen[str]) -> None:
    listening = "0A"
    inodes = {
        fields[9]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{loop.pid}/net/{table}").read_text().splitlines()[1:]
        if (fields := line.split())[3] == listening
    }
    own = {os.readlink(path) for path in Path(f"/proc/{loop.pid}/fd").iterdir()}

    assert own.isdisjoint(f"socket:[{inode}]" for inode in inodes)


def test_a_second_agent_ends_with_a_word_and_changes_nothing(
    loop: subprocess.Popen[str], enrolled: Agent, site: Site
) -> None:
    told = len(site.check_ins)

    second = enrolled.run(enrolled.working("run"))

    assert second.returncode == 0
    assert "already at work" in second.stderr
    assert len(site.check_ins) == told and loop.poll() is None


def test_a_ring_checks_in_and_a_stop_ends_cleanly(loop: subprocess.Popen[str], site: Site) -> None:
    told = len(site.check_ins)
    loop.send_signal(signal.SIGHUP)
    wait_for(lambda: len(site.check_ins) > told and not children(loop.pid))

    loop.terminate()

    assert loop.wait(10) == 0


def test_the_agent_at_work_comes_for_its_policy_or_scans_when_somebody_asks(
    loop: subprocess.Popen[str], enrolled: Agent, site: Site
) -> None:
    told = len(site.check_ins), len(site.reports)
    policy = enrolled.run(enrolled.working("get-policy"))
    after_policy = len(site.check_ins), len(site.reports)
    enrolled.set_packages(openssl="3.0.2", curl="8.0")
    scan = enrolled.run(enrolled.working("scan"))
    wait_for(lambda: len(site.reports) > told[1])

    assert (policy.returncode, scan.returncode) == (0, 0), policy.stderr + scan.stderr
    assert after_policy == (told[0] + 1, told[1])
    changes = site.reports[-1].changes or site.reports[-1].full
    assert changes is not None and numbers(changes.installed) == [1]
    assert loop.poll() is None


def test_an_agent_that_has_just_begun_is_not_ended_by_who_asks(enrolled: Agent, site: Site) -> None:
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"))
    with subprocess.Popen(enrolled.working("run"), env=environment()) as process:
        asked = enrolled.run(enrolled.working("scan"))
        still = process.poll()
        process.kill()

    assert (asked.returncode, still) == (0, None), asked.stderr


def test_without_an_agent_at_work_policy_and_scan_are_done_at_once(
    enrolled: Agent, site: Site
) -> None:
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"))
    scan = enrolled.run(enrolled.working("scan"))
    policy = enrolled.run(enrolled.working("get-policy"))

    assert (scan.returncode, policy.returncode) == (0, 0), scan.stderr + policy.stderr
    assert (len(site.check_ins), len(site.reports)) == (2, 1)


@pytest.mark.parametrize("platform", ["", "windows", "apt:", "dnf:", "simulated:"])
def test_a_platform_that_there_is_not_is_misuse(agent: Agent, platform: str) -> None:
    done = agent.run(agent.command("run", "--platform", platform))

    assert done.returncode == 2
    assert "no such platform" in done.stderr


@pytest.mark.parametrize(
    "command", ["run", "once", "get-policy", "scan", "enrol", "status", "explain", "doctor"]
)
def test_help_has_examples(agent: Agent, command: str) -> None:
    done = agent.run([sys.executable, "-m", "patchtide.entry.agent", command, "--help"])

    assert done.returncode == 0
    assert "examples:" in done.stdout


def test_what_lies_in_the_folder_it_is_started_in_is_not_run(
    enrolled: Agent, site: Site, tmp_path: Path
) -> None:
    planted = tmp_path / "anywhere/patchtide/__init__.py"
    planted.parent.mkdir(parents=True)
    planted.write_text("raise SystemExit('planted')\n")
    command = enrolled.working("once")

    done = subprocess.run(
        [command[0], "-P", *command[1:]],
        cwd=planted.parents[1],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert len(site.check_ins) == 1
