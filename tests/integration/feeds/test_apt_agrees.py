"""apt is the judge: what it would upgrade on a machine is what a scan here requires.

apt is shown the suites with updates alone, for an update stays required where a release itself
has moved past it (see `apt_updates`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from patchtide.adapters.feeds.apt import AptFeed
from patchtide.adapters.platforms.commands import run
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.facts import Facts, by_name
from patchtide.domain.applicability.scan import evaluate_shard
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.domain.catalog.updates import UpdateNumber
from tests.simulator.apt_repository import (
    AptRepository,
    SigningKey,
    apt_folder,
    needs_apt,
    tool,
)

pytestmark = needs_apt
MACHINES = 210
SECURITY, UPDATES = "bookworm-security", "bookworm-updates"
VERSIONS = ("1.0~rc1-1", "1.0-1", "1.0-1+deb12u1", "1.0-1+deb12u10", "1.10-1", "1:0.9-1")
SOURCES: Mapping[str, Sequence[str]] = {
    "toy": ("toy", "libtoy1", "toy-data"),
    "tool": ("tool",),
    "lib": ("lib1", "lib-dev"),
    "kit": ("kit", "kit-doc"),
}
_UPGRADED = re.compile(r"^Inst (\S+) \[[^]]+\] \((\S+) ", re.MULTILINE)
Machine = Mapping[str, str]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[AptRepository]:
    """Each source in some version in one of the suites or in both."""
    dice = random.Random(20260302)
    with SigningKey("vendor") as key:
        made = AptRepository(folder=tmp_path / "archive", key=key)
        for source, names in SOURCES.items():
            for suite in dice.choice(((SECURITY,), (UPDATES,), (SECURITY, UPDATES))):
                version = dice.choice(VERSIONS[2:])
                for name in names[: dice.randrange(1, len(names) + 1)]:
                    made.add(suite, name, version, source=f"{source} ({version})")
        made.publish(SECURITY, label="Debian-Security")
        made.publish(UPDATES)
        yield made


def machine(dice: random.Random) -> Machine:
    names = [name for some in SOURCES.values() for name in some]
    return {name: dice.choice(VERSIONS) for name in names if dice.random() < 0.6}


def upgraded_by_apt(folder: Path, etc: Path, machines: Sequence[Machine]) -> list[set[str]]:
    """Return `package version` of each upgrade that apt plans, for each machine."""
    status = folder / "status"
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    status.touch()
    settings = {
        "Dir::Etc": etc, "Dir::State": folder / "state", "Dir::State::status": status,
        "Dir::Cache": folder / "cache", "Dir::Cache::pkgcache": "", "Dir::Cache::srcpkgcache": "",
        "APT::Architecture": "amd64", "APT::Sandbox::User": "root", "Debug::NoLocking": "true",
    }  # fmt: skip
    command = ["apt-get", *(f"-o{name}={value}" for name, value in settings.items())]
    tool(*command, "update")
    found = []
    for each in machines:
        status.write_text("".join(_stanza(*row) for row in sorted(each.items())))
        said = tool(*command, "--simulate", "dist-upgrade").decode()
        found.append({f"{name} {version}" for name, version in _UPGRADED.findall(said)})
    return found


def _stanza(name: str, version: str) -> str:
    return (
        f"Package: {name}\nStatus: install ok installed\nMaintainer: T <t@invalid>\n"
        f"Architecture: all\nVersion: {version}\nDescription: a toy\n\n"
    )


def test_what_apt_upgrades_on_some_hundred_machines_is_what_is_required(
    tmp_path: Path, archive: AptRepository
) -> None:
    dice = random.Random(1)
    machines = [machine(dice) for _ in range(MACHINES)]
    keyring = archive.key.keyring(tmp_path / "vendor.gpg")
    lines = [f"deb [signed-by={keyring}] {archive.uri} {s} main" for s in (SECURITY, UPDATES)]
    etc = apt_folder(tmp_path / "etc", *lines)
    feed = AptFeed(tmp_path / "feed", run=run, etc=etc, keyrings=tmp_path)
    feed.fetch()
    updates = feed.read(now=datetime.now(UTC)).shards["debian-12"]
    leaves = [
        replace(update.leaves[0], number=UpdateNumber(number))
        for number, update in enumerate(updates, 1)
    ]

    judged = upgraded_by_apt(tmp_path / "judge", etc, machines)

    for each, planned in zip(machines, judged, strict=True):
        rows = [(name, version, "all") for name, version in each.items()]
        facts = Facts(
            os_id="debian", os_version="12", architecture="amd64",
            packages={PackageFormat.DEB: by_name(rows)},
        )  # fmt: skip
        states = evaluate_shard(leaves, facts).states
        required = {leaf.number for leaf in leaves if states[leaf.number] is LeafState.REQUIRED}
        # An update is needed where apt upgrades one of its packages to it.
        needed = {
            leaf.number
            for leaf in leaves
            if any(f"{file.name} {file.version}" in planned for file in leaf.files)
        }
        assert required == needed
    assert any(not planned for planned in judged) and max(map(len, judged)) > 4
