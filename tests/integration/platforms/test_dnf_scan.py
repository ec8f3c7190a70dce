"""dnf on a root of its own is the judge: the agent's scan there requires what dnf lists there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from patchtide.adapters.feeds.rpm import RpmFeed
from patchtide.adapters.platforms.commands import run
from patchtide.adapters.platforms.dnf import DnfPlatform
from patchtide.adapters.platforms.machines import platform_at
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.scan import evaluate_shard
from patchtide.domain.catalog.details import Classification
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.wire.leaves import encode_leaf, read_leaves
from tests.simulator.apt_repository import SigningKey
from tests.simulator.dnf_host import DnfHost, needs_dnf_host
from tests.simulator.rpm_repository import Rpm, RpmRepository, RpmSystem, Told, needs_rpm

pytestmark = [needs_rpm, needs_dnf_host]

SIDE_BY_SIDE = ("installonlypkg(kernel)",)
OLD, NEW, NEWEST = "1.0-1.el9", "1.0-2.el9", "1:0.1-1.el9"


def kernel(evr: str) -> Rpm:
    return Rpm("kernel-core", evr, provides=SIDE_BY_SIDE)


def node(stream: str, minor: int) -> Rpm:
    evr = f"{stream}.{minor}-1.module"
    return Rpm("node", evr, module=f"nodejs:{stream}:1:c0ffee")


class Site:
    """A repository as it grows, the feed that reads it, and a machine."""

    def __init__(self, folder: Path, key: SigningKey) -> None:
        self.system = RpmSystem(root=folder / "root")
        self.repository = RpmRepository(folder=folder / "repository", key=key)
        self.system.source("base", self.repository.uri, key)
        self.host = DnfHost(root=self.system.root, repository=self.repository)
        self.feed = RpmFeed(folder / "feed", run=run, root=self.system.root)

    def publish(self) -> None:
        self.repository.publish()
        self.feed.fetch(now=datetime.now(UTC))

    def required(self) -> dict[str, Classification]:
        """Return what the agent's scan of the machine requires, by its shard as it arrives."""
        platform = platform_at(self.system.root)
        assert isinstance(platform, DnfPlatform)
        updates = self.feed.read(now=datetime.now(UTC)).shards[platform.shards[0]]
        numbered = {UpdateNumber(at): update for at, update in enumerate(updates, 1)}
        sent = [replace(u.leaves[0], number=number) for number, u in numbered.items()]
        leaves, wrong = read_leaves(map(encode_leaf, sent))
        states = evaluate_shard(leaves, platform.facts()).states
        assert not wrong and LeafState.UNKNOWN not in states.values()
        found = [numbered[n].details for n, s in states.items() if s is LeafState.REQUIRED]
        return {details.advisories[0]: details.classification for details in found}

    def agrees(self) -> bool:
        required = self.required()
        security = {id for id, kind in required.items() if kind is Classification.SECURITY}
        return (set(required), security) == (
            self.host.listed("--updates"),
            self.host.listed("--updates", "--security"),
        )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with SigningKey("vendor") as key:
        yield Site(tmp_path, key)


def test_the_scan_of_a_machine_requires_what_dnf_lists_until_all_is_installed(site: Site) -> None:
    repository, host = site.repository, site.host
    plain = {name: [Rpm(name, evr) for evr in (OLD, NEW, NEWEST)] for name in ("toyd", "toylib")}
    tzdata = [Rpm("toydata", evr, "noarch") for evr in (OLD, NEW)]
    kernels = [kernel(evr) for evr in (OLD, NEW)]
    nodes = {stream: [node(stream, minor) for minor in (0, 1)] for stream in ("18", "20")}
    first = [plain["toyd"][0], plain["toylib"][0], tzdata[0], kernels[0]]
    repository.add(*first, *(group[0] for group in nodes.values()), Rpm("other", OLD))
    repository.modules = [("nodejs", stream, group[:1]) for stream, group in nodes.items()]
    site.publish()
    host.follow("nodejs:18")
    host.install("toyd", "toylib", "toydata", "kernel-core", "node")
    before = site.required()

    repository.add(*plain["toyd"][1:], *plain["toylib"][1:], tzdata[1], kernels[1])
    repository.add(*(group[1] for group in nodes.values()), Rpm("other", NEW))
    repository.modules = [("nodejs", stream, group) for stream, group in nodes.items()]
    repository.advisories = [
        Told(id="TOY-1", packages=(plain["toyd"][1],)),
        Told(id="TOY-2", packages=(plain["toyd"][2], plain["toylib"][1])),
        Told(id="TOY-3", packages=(plain["toylib"][2],), kind="bugfix"),
        Told(id="TOY-4", packages=(tzdata[1],), kind="enhancement"),
        Told(id="TOY-5", packages=(kernels[1],)),
        Told(id="TOY-6", packages=(Rpm("other", NEW),)),
        Told(id="TOY-7", modular=(("nodejs", "18", (nodes["18"][1],)),)),
        Told(id="TOY-8", modular=(("nodejs", "20", (nodes["20"][1],)),)),
    ]
    site.publish()

    assert before == {}
    assert set(site.required()) == {f"TOY-{n}" for n in (1, 2, 3, 4, 5, 7)}
    assert site.agrees()
    host.upgrade("--advisory=TOY-1", "--advisory=TOY-5")
    assert "TOY-5" not in site.required() and site.agrees()
    host.upgrade()
    assert site.required() == {} and site.agrees()


def test_a_stream_is_followed_once_something_was_installed_from_its_vendors_default(
    site: Site,
) -> None:
    repository, host = site.repository, site.host
    nodes = [node("18", minor) for minor in (0, 1)]
    repository.add(nodes[0])
    repository.modules = [("nodejs", "18", nodes[:1])]
    repository.default_streams = {"nodejs": "18"}
    site.publish()
    host.install("node")
    repository.add(nodes[1])
    repository.modules = [("nodejs", "18", nodes)]
    repository.advisories = [Told(id="TOY-1", modular=(("nodejs", "18", (nodes[1],)),))]
    site.publish()

    assert set(site.required()) == {"TOY-1"}
    assert site.agrees()
