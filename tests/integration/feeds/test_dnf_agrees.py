"""dnf is the judge: what it lists as lacking on a machine is what a scan here requires."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from patchtide.adapters.feeds.rpm import RpmFeed
from patchtide.adapters.platforms.commands import run
from patchtide.adapters.platforms.dnf import DnfPlatform
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.facts import Facts, by_name
from patchtide.domain.applicability.scan import evaluate_shard
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.domain.catalog.updates import UpdateNumber
from tests.simulator.apt_repository import SigningKey
from tests.simulator.rpm_repository import (
    Rpm,
    RpmMachine,
    RpmRepository,
    RpmSystem,
    Told,
    needs_rpm,
    required_by_dnf,
)

HAS_DNF = not subprocess.run(
    ["/usr/bin/python3", "-Ic", "import dnf, rpm"], capture_output=True, check=False
).returncode
pytestmark = [needs_rpm, pytest.mark.skipif(not HAS_DNF, reason="needs python3-dnf, python3-rpm")]

MACHINES, KEPT = 220, 30
VERSIONS = (
    "1.0~rc1-1.el9",
    "1.0-1.el9",
    "1.0-10.el9",
    "1.0^git1-1.el9",
    "1.10-1.el9",
    "1:0.9-1.el9",
)
PLAIN = tuple(f"toy{number}" for number in range(8))
BOTH = ("lib0", "lib1")
NOARCH = ("data0", "data1")
KERNELS = ("kernel-core", "kernel-modules")
STREAMS = (("nodejs", "18", "node"), ("nodejs", "20", "node"), ("php", "8.1", "php-cli"))
SIDE_BY_SIDE = ("installonlypkg(kernel)",)


class Universe:
    """All packages there are, the advisories about them, and machines; from one seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.packages: dict[tuple[str, str], list[Rpm]] = {}
        for name in PLAIN:
            self._add(name, "x86_64")
        for name in BOTH:
            self._add(name, "x86_64")
            self._add(name, "i686")
        for name in NOARCH:
            self._add(name, "noarch")
        for name in KERNELS:
            self._add(name, "x86_64", provides=SIDE_BY_SIDE)
        self.modular = {
            (module, stream): [
                Rpm(name, f"{stream}.{minor}-1.module", module=f"{module}:{stream}:1:c0ffee")
                for minor in range(3)
            ]
            for module, stream, name in STREAMS
        }
        self.gone = [Rpm("gone", version) for version in VERSIONS[:3]]

    def _add(self, name: str, architecture: str, **more: tuple[str, ...]) -> None:
        self.packages[name, architecture] = [
            Rpm(name, version, architecture, **more) for version in VERSIONS
        ]

    @property
    def all(self) -> list[Rpm]:
        groups = (*self.packages.values(), *self.modular.values())
        return [package for group in groups for package in group]

    def old(self) -> list[Rpm]:
        """Return what no repository offers any more: the oldest of each, and one whole package."""
        groups = (*self.packages.values(), *self.modular.values())
        return [*(group[0] for group in groups), *self.gone]

    def advisories(self) -> Iterator[Told]:
        keys = sorted(self.packages)
        for number in range(40):
            chosen = self.dice.sample(keys, self.dice.choice((1, 1, 2, 4)))
            packages = tuple(self.dice.choice(self.packages[key]) for key in chosen)
            yield Told(id=f"TOY-{number}", packages=packages)
        streams = sorted(self.modular)
        for number in range(10):
            chosen = self.dice.sample(streams, self.dice.choice((1, 2)))
            modular = tuple((*key, (self.dice.choice(self.modular[key]),)) for key in chosen)
            plain = (self.dice.choice(self.packages["toy0", "x86_64"]),) if number % 3 == 0 else ()
            yield Told(id=f"MOD-{number}", packages=plain, modular=modular)
        yield Told(id="GONE-1", packages=(self.gone[2],))

    def machine(self) -> RpmMachine:
        installed = []
        for (name, _), group in sorted(self.packages.items()):
            if self.dice.random() < 0.5:
                beside = self.dice.choice((1, 1, 2, 3)) if name in KERNELS else 1
                installed += self.dice.sample(group, beside)
        by_module: dict[str, list[str]] = {}
        for module, stream, _ in STREAMS:
            by_module.setdefault(module, []).append(stream)
        modules = []
        for module, streams in by_module.items():
            if self.dice.random() < 0.6:
                modules.append((module, self.dice.choice(streams)))
            if self.dice.random() < 0.7:
                # Mostly, and not always, of the stream that is followed.
                stream = dict(modules).get(module, streams[0])
                stream = self.dice.choice(streams) if self.dice.random() < 0.2 else stream
                installed.append(self.dice.choice(self.modular[module, stream]))
        if self.dice.random() < 0.3:
            installed.append(self.dice.choice(self.gone))
        return RpmMachine(packages=tuple(installed), modules=tuple(modules))


class Here:
    """A repository, and what a scan says of machines that follow it."""

    def __init__(self, folder: Path, key: SigningKey) -> None:
        self.folder = folder
        self.repository = RpmRepository(folder=folder / "repository", key=key)

    def leaves(self) -> tuple[list[Leaf], dict[UpdateNumber, str]]:
        self.repository.publish()
        system = RpmSystem(root=self.folder / "root")
        system.source("base", self.repository.uri, self.repository.key)
        feed = RpmFeed(self.folder / "feed", run=run, root=system.root)
        now = datetime.now(UTC)
        feed.fetch(now=now)
        leaves, names = [], {}
        for number, update in enumerate(feed.read(now=now).shards["toylinux-9"], 1):
            (leaf,) = update.leaves
            leaves.append(replace(leaf, number=UpdateNumber(number)))
            names[UpdateNumber(number)] = update.details.advisories[0]
        return leaves, names


def facts(machine: RpmMachine) -> Facts:
    rows = [(p.name, p.evr, p.architecture) for p in machine.packages]
    return Facts(
        os_id="toylinux",
        os_version="9.4",
        architecture="x86_64",
        modules=dict(machine.modules),
        packages={PackageFormat.RPM: by_name(rows)},
    )


def as_made(machine: RpmMachine) -> tuple[dict[str, str], set[tuple[str, str, str]]]:
    made = facts(machine)
    return dict(made.modules or {}), rows(made)


def as_seen(root: Path) -> tuple[dict[str, str], set[tuple[str, str, str]]]:
    """Return what the agent's platform finds of the same machine."""
    seen = DnfPlatform(root).facts()
    return dict(seen.modules or {}), rows(seen)


def rows(said: Facts) -> set[tuple[str, str, str]]:
    packages = said.packages[PackageFormat.RPM].items()
    return {(name, one.version, one.architecture) for name, some in packages for one in some}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with SigningKey("vendor") as key:
        yield Here(tmp_path, key)


def test_what_dnf_lists_for_some_hundred_machines_is_what_is_required(here: Here) -> None:
    universe = Universe(20260302)
    here.repository.add(*universe.all, *universe.gone)
    here.repository.withdraw(*universe.old())
    here.repository.advisories = list(universe.advisories())
    here.repository.modules = [(*key, group[1:]) for key, group in universe.modular.items()]
    leaves, names = here.leaves()
    machines = [universe.machine() for _ in range(MACHINES)]

    judged = required_by_dnf(here.folder / "judge", here.repository, machines, kept=KEPT)

    for number, machine in enumerate(machines[:KEPT]):
        assert as_seen(here.folder / f"judge/root-{number}") == as_made(machine)
    found = []
    for machine in machines:
        states = evaluate_shard(leaves, facts(machine)).states
        assert LeafState.UNKNOWN not in states.values()
        found.append(sorted(names[n] for n, s in states.items() if s is LeafState.REQUIRED))
    assert found == judged
    counts = [len(some) for some in judged]
    assert min(counts) < 5 and max(counts) > 20


def test_a_package_that_becomes_one_of_an_architecture_is_required_before_dnf_lists_it(
    here: Here,
) -> None:
    """dnf lists an advisory within one architecture only; a scan sees the older package."""
    was, shifted = Rpm("toy", "1-1", "noarch"), Rpm("toy", "2-1", "x86_64")
    here.repository.add(was, shifted)
    here.repository.withdraw(was)
    here.repository.advisories = [Told(id="TOY-1", packages=(shifted,))]
    (leaf,), _ = here.leaves()
    machine = RpmMachine(packages=(was,))

    judged = required_by_dnf(here.folder / "judge", here.repository, [machine])

    assert judged == [[]]
    assert list(evaluate_shard([leaf], facts(machine)).states.values()) == [LeafState.REQUIRED]
