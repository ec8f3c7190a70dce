"""A whole site in one command: the truth about a machine, and the same again from what is there."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.up.conftest import a_system, an_archive
from tests.integration.up.site import Ended, Up
from tests.simulator.apt_repository import SigningKey, needs_apt, tool
from tests.simulator.debian_root import DebianRoot

pytestmark = [needs_apt, pytest.mark.timeout(600)]
COUNTS = {"required": 1, "installed": 1, "not_required": 1, "unknown": 0}


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    found = {str(path): path.lstat() for path in sorted(folder.rglob("*"))}
    return {name: (there.st_mtime_ns, there.st_size) for name, there in found.items()}


def machines(home: Path) -> int:
    with sqlite3.connect(home / "patchtide.db") as database:
        return int(database.execute("SELECT count(*) FROM client").fetchone()[0])


def version_here(package: str) -> set[str]:
    """What dpkg itself says, of every architecture."""
    return set(tool("dpkg-query", "-W", "-f", "${Version}\n", package).decode().split())


@pytest.mark.skipif(not Path("/etc/debian_version").exists(), reason="needs a Debian machine")
def test_of_this_machine_it_says_what_its_own_tools_say(tmp_path: Path) -> None:
    told = Up(tmp_path / "home").run("--json").document

    counts, packages = told["counts"], [p for u in told["required"] for p in u["packages"]]
    assert counts["required"] == len(told["required"]) and counts["unknown"] == 0
    assert sum(counts.values()) > 100
    for package in packages:
        assert package["installed"] in version_here(package["name"])
        tool("dpkg", "--compare-versions", package["installed"], "lt", package["fixed"])


@dataclass(frozen=True)
class Story:
    """What was said of one home, run after run, and what was changed in the system meanwhile."""

    first: Ended
    again: Ended
    mended: Ended
    elsewhere: Ended
    home: Path
    changed: bool


@pytest.fixture(scope="module")
def story(key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("story")
    system = a_system(folder / "root", an_archive(folder / "archive", key))
    before = everything(system.folder)
    up = Up(folder / "home", system.folder)
    first, again = up.run(), up.run("--json")
    changed = everything(system.folder) != before
    system.put_package("toy", "1.0-1+deb12u1")
    mended = up.run()
    elsewhere = Up(up.home, system.folder).run("--json")
    return Story(first, again, mended, elsewhere, up.home, changed)


def test_from_an_empty_folder_to_how_the_machine_stands(story: Story) -> None:
    told = story.again.document

    assert told["counts"] == COUNTS
    [update] = told["required"]
    assert update["title"] == "toy 1.0-1+deb12u1" and update["severity"] == "important"
    assert update["packages"] == [{"name": "toy", "installed": "1.0-1", "fixed": "1.0-1+deb12u1"}]
    assert update["cves"] == ["CVE-2026-12345", "CVE-2026-12346"]
    assert told["machine"]["system"] == "Debian GNU/Linux 12 (bookworm)"
    assert not story.changed


def test_people_get_a_table_and_are_told_of_each_step(story: Story) -> None:
    words = [line.split() for line in story.first.out.splitlines()]
    assert ["installed", "required", "not", "required", "unknown"] in words
    assert ["1", "1", "1", "0"] in words
    assert any(line[:2] == ["toy", "important"] and "→" in line for line in words)
    assert "CVE-2026-12345 CVE-2026-12346" in story.first.out
    steps = [line.split(" ...")[0] for line in story.first.err.splitlines() if line.endswith("...")]
    assert steps[:4] == [
        "Server: keys, database, first administrator",
        "Catalog of this machine's apt sources",
        "Agent of this machine, report-only",
        "Scan of this machine",
    ]


def test_a_machine_that_has_everything_is_told_so(story: Story) -> None:
    assert "Nothing is required" in story.mended.out


def test_again_at_whatever_port_it_is_the_same_machine_and_sees_what_has_changed(
    story: Story,
) -> None:
    now = story.elsewhere.document

    assert now["counts"] == {**COUNTS, "required": 0, "installed": 2}
    assert now["machine"]["id"] == story.again.document["machine"]["id"]
    assert machines(story.home) == 1


def test_what_lies_in_the_home_is_its_owners_alone(story: Story) -> None:
    there = (story.home, *story.home.iterdir())

    assert len(there) > 1
    assert [path for path in there if path.stat().st_mode & 0o077] == []


def test_until_it_is_told_to_end_a_link_signs_an_administrator_in_who_is_not_disabled(
    up: Up,
) -> None:
    def way_in() -> str:
        with up.going_on() as process:
            assert up.answers()
            [line] = [line for line in up.said if line.startswith("Sign in")]
            [who] = [line for line in up.said if "within ten minutes" in line]
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
            assert process.returncode == 0 and not up.answers()
        return f"{line.partition('#')[0].rpartition('/')[2]} {who.split()[-1]}"

    def has(what: str) -> None:
        with sqlite3.connect(up.home / "patchtide.db") as database:
            database.execute(f"UPDATE user_account SET {what}")

    first = way_in()
    has("password_hash = 'chosen'")
    second = way_in()
    has("disabled_at = 1")

    assert (first, second, way_in()) == ("welcome admin", "enter admin", "welcome admin2")


def test_a_link_is_shown_on_a_terminal_only_and_elsewhere_how_to_make_one(up: Up) -> None:
    with up.going_on_unseen():
        told = "".join(up.said)

    assert "#" not in told
    assert f"{up.home}/administrator-token: patchtide users create NAME" in told


def test_killed_it_leaves_nothing_running_and_the_next_run_goes_on(up: Up) -> None:
    with up.going_on() as process:
        process.kill()
        assert up.is_quiet_within(20)

    assert up.run("--json").document["counts"] == COUNTS
    assert machines(up.home) == 1


@pytest.mark.parametrize("sight", ["patchtide.db", "administrator-token", "agent/identity"])
def test_killed_at_any_moment_of_its_first_run_the_next_one_finishes_it(up: Up, sight: str) -> None:
    process = up.start()
    end = time.monotonic() + 60
    while not (up.home / sight).exists() and time.monotonic() < end:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert up.is_quiet_within(20)

    assert up.run("--json").document["counts"] == COUNTS
    assert machines(up.home) == 1


def test_without_a_machine_id_the_home_gives_one(up: Up, system: DebianRoot) -> None:
    system.write("etc/machine-id", "uninitialized\n")
    (system.folder / "etc/machine-id").write_text("")

    assert up.run().status == 0
    assert (up.home / "machine-id").is_file()
