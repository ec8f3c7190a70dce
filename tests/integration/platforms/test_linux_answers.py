"""Facts that rules ask for, on a root of their own: there, not there, and nobody's to say."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

from patchtide.adapters.platforms import linux_answers
from patchtide.adapters.platforms.linux import System
from patchtide.adapters.platforms.linux_answers import answers
from patchtide.domain.applicability.evaluation import Verdict, evaluate
from patchtide.domain.applicability.facts import Asked, Facts, asked_by
from patchtide.domain.catalog.rule_parser import parse_rule
from tests.simulator.debian_root import DebianRoot

WHEN = 1_774_981_800
"""2026-03-31T18:30:00Z."""
UNITS, WANTS = "usr/lib/systemd/system", "etc/systemd/system/multi-user.target.wants"
GROUPS = "sys/fs/cgroup"


@pytest.fixture
def root(tmp_path: Path) -> DebianRoot:
    made = DebianRoot(tmp_path / "root")
    toy = made.write("usr/bin/toy", "toy\n")
    os.utime(toy, (WHEN, WHEN))
    made.write("home/anna/letter", "dear")
    for name, target in {
        "bin": "usr/bin",
        "usr/bin/toy-1": "toy",
        "etc/absolute": "/usr/bin/toy",
        "etc/upwards": "../../../../../../../usr/bin/toy",
        "etc/dangling": "/nowhere",
        "etc/circle": "circle",
        "etc/out": "/usr/bin/env",
        "etc/far": str(tmp_path / "outside"),
        "etc/letter": "/home/anna/letter",
    }.items():
        (made.folder / name).symlink_to(target)
    return made


def verdict(root: DebianRoot, text: str) -> Verdict:
    rule = parse_rule(text)
    found = answers(asked_by(rule), root=root.folder, system=System(root.folder))
    return evaluate(rule, Facts(answers=found))


FILES: dict[str, Verdict] = {
    "file /usr/bin/toy exists": True,
    "file /usr/bin/none exists": False,
    "file /usr/bin/toy/none exists": False,
    "file /usr/bin exists": True,
    "file /bin/toy exists": True,
    "file /usr/bin/toy-1 size = 4": True,
    "file /etc/absolute size = 4": True,
    "file /etc/upwards size = 4": True,
    "file /../../usr/bin/toy size = 4": True,
    "file /etc/dangling exists": False,
    "file /etc/circle exists": None,
    "file /etc/out exists": False,
    "file /etc/far exists": None,
    "file /home/anna/letter exists": None,
    "file /etc/letter exists": None,
    "file /etc/letter sha256 != " + "0" * 64: None,
    "file /tmp/x exists": None,
    "file /usr/bin size > 0": False,
    "file /usr/bin/none size != 4": False,
    "file /usr/bin/toy modified = 2026-03-31T18:30:00Z": True,
    f"file /usr/bin/toy sha256 = {sha256(b'toy' + bytes([10])).hexdigest()}": True,
    f"file /etc/absolute sha256 = {'0' * 64}": False,
    f"file /usr/bin sha256 != {'0' * 64}": False,
    r'file "C:\toy.exe" exists': None,
    "file toy exists": None,
    "file /usr/bin/toy version > 1": None,
    r'registry "HKLM\Toy" "Edition" exists': None,
    r'file "/usr/bin/\u{0}" exists': None,
    f"file /{'a' * 250}/{'b' * 4} exists": False,
}


@pytest.mark.parametrize(("text", "expected"), FILES.items(), ids=FILES)
def test_a_file_is_there_or_not_or_nobodys_to_say(
    root: DebianRoot, text: str, expected: Verdict
) -> None:
    assert verdict(root, text) is expected


def test_no_more_is_hashed_than_is_allowed(
    root: DebianRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.write("etc/a", "a" * 10)
    root.write("etc/b", "b" * 11)
    root.write("etc/c", "c" * 10)
    root.write("etc/d", "d" * 10)
    monkeypatch.setattr(linux_answers, "HASHED_FILE_BYTES", 10)
    monkeypatch.setattr(linux_answers, "HASHED_BYTES", 25)

    asked = {Asked("file.sha256", (f"/etc/{name}",)) for name in "abcd"}
    found = answers(asked, root=root.folder, system=System(root.folder))

    assert sorted(key.keys[0] for key in found) == ["/etc/a", "/etc/c"]


def test_a_pipe_is_not_read(root: DebianRoot) -> None:
    os.mkfifo(root.folder / "etc/pipe")

    assert verdict(root, "file /etc/pipe exists") is True
    assert verdict(root, f"file /etc/pipe sha256 != {'0' * 64}") is False


def test_no_handle_is_left_open(root: DebianRoot) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for text in FILES:
        verdict(root, text)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.fixture
def booted(root: DebianRoot) -> DebianRoot:
    for name in ("ssh", "cron", "getty@", "held"):
        root.write(f"{UNITS}/{name}.service", "")
    root.write(f"{UNITS}/backup.timer", "")
    (root.folder / "etc/systemd/system").mkdir(parents=True)
    (root.folder / WANTS).mkdir()
    for name in ("ssh.service", "held.service", "backup.timer"):
        (root.folder / WANTS / name).symlink_to(f"/{UNITS}/{name}")
    (root.folder / "etc/systemd/system/sshd.service").symlink_to(f"/{UNITS}/ssh.service")
    (root.folder / "etc/systemd/system/held.service").symlink_to("/dev/null")
    root.write(f"{GROUPS}/init.scope/cgroup.events", "populated 1\nfrozen 0\n")
    running = ("system.slice/ssh", "system.slice/system-getty.slice/getty@tty1")
    for name in running:
        root.write(f"{GROUPS}/{name}.service/cgroup.events", "populated 1\nfrozen 0\n")
    root.write(f"{GROUPS}/system.slice/cron.service/cgroup.events", "populated 0\nfrozen 0\n")
    return root


SERVICES: dict[str, tuple[Verdict, Verdict, Verdict]] = {
    "ssh": (True, True, True),
    "ssh.service": (True, True, True),
    "sshd": (True, True, True),
    "cron": (True, False, False),
    "getty@tty1": (True, False, True),
    "backup.timer": (True, True, False),
    "held": (True, False, False),
    "nginx": (False, False, False),
    "../../etc/passwd": (False, False, False),
    "*": (False, False, False),
}


@pytest.mark.parametrize(("name", "expected"), SERVICES.items(), ids=SERVICES)
def test_a_service_is_installed_enabled_and_running_each_for_itself(
    booted: DebianRoot, name: str, expected: tuple[Verdict, ...]
) -> None:
    said = ("installed", "enabled", "running")

    assert tuple(verdict(booted, f'service "{name}" {word}') for word in said) == expected


def test_what_never_was_started_does_not_say_what_runs(root: DebianRoot) -> None:
    root.write(f"{UNITS}/ssh.service", "")

    assert verdict(root, "service ssh installed") is True
    assert verdict(root, "service ssh running") is None


def test_results_are_the_first_lines_of_files_that_the_machines_owner_writes(
    root: DebianRoot,
) -> None:
    folder = "etc/patchtide/facts.d"
    assert verdict(root, "query rack exists") is None
    root.write(f"{folder}/rack", " B7 \nsecond line\n")
    root.write(f"{folder}/disks", "12")
    root.write(f"{folder}/empty", "")
    root.write(f"{folder}/long", "x" * 5000)
    (root.folder / folder / "binary").write_bytes(b"\xff\n")

    told: dict[str, Verdict] = {
        "query rack text = B7": True,
        "query rack number > 1": None,
        "query disks number >= 12": True,
        "query empty exists": True,
        "query empty text != B7": False,
        "query none exists": False,
        'query "../rack" exists': False,
        "query long exists": None,
        "query binary text = x": None,
        "query binary exists": True,
    }
    assert {text: verdict(root, text) for text in told} == told


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("LANG=de_CH.UTF-8\n", "de-CH"),
        ('LANG="en_GB"\nLC_TIME=de_DE\n', "en-GB"),
        ("LANG=sr_RS@latin\n", "sr-RS"),
        ("LANG=C.UTF-8\n", "en"),
        ("# LANG=de\n", None),
        ("", None),
    ],
)
def test_the_language_is_that_of_the_systems_locale(
    root: DebianRoot, locale: str, language: str | None
) -> None:
    root.write("etc/default/locale", locale)

    assert System(root.folder).language() == language
