"""Two nodes on one PostgreSQL behind a balancer: whichever answers, it is one site.

They begin at the same moment on an empty home that they share, take reports side by side, and
one is killed in the midst of it; later both are replaced one after the other. Nothing that was
acknowledged is lost, and both count the same.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from patchtide.entry.simulator.fleet import Fleet, Plan
from tests.simulator.balancer import Balancer
from tests.simulator.databases import Postgres
from tests.simulator.living import live, told
from tests.simulator.processes import wait_for
from tests.simulator.site_process import SiteProcess, site

MACHINES = 60


class Nodes:
    """The nodes of one site; each comes and goes by itself."""

    def __init__(self, home: Path, database: str, balancer: Balancer) -> None:
        self._home, self._database, self._balancer = home, database, balancer
        self._stacks: dict[SiteProcess, contextlib.ExitStack] = {}

    def begun(self) -> SiteProcess:
        stack = contextlib.ExitStack()
        node = stack.enter_context(
            site(
                self._home,
                self._database,
                burst="1000",
                names=f"localhost:{self._balancer.port}",
                balancers="127.0.0.1",
            )
        )
        self._stacks[node] = stack
        self._balancer.nodes = [*self._balancer.nodes, node.port]
        return node

    def end(self, node: SiteProcess, how: Callable[[SiteProcess], object] = lambda _: None) -> None:
        how(node)
        self._balancer.nodes = [port for port in self._balancer.nodes if port != node.port]
        self._stacks.pop(node).close()

    def end_all(self) -> None:
        for node in list(self._stacks):
            self.end(node)


@pytest.fixture
def balancer() -> Iterator[Balancer]:
    made = Balancer([])
    with made.served():
        yield made


@pytest.fixture
def nodes(balancer: Balancer, postgres_server: Postgres, tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path / "home", postgres_server.create(), balancer)
    try:
        yield made
    finally:
        made.end_all()


def a_fleet(balancer: Balancer, node: SiteProcess, folder: Path) -> Fleet:
    token = node.tell(f"token {MACHINES}")["token"]
    url = f"https://localhost:{balancer.port}"
    fleet = Fleet(Plan(url=url, token=token, machines=MACHINES, hours=0, threads=4), folder)
    assert max(fleet.enrol()) == MACHINES
    return fleet


def counts(node: SiteProcess) -> dict[str, Any]:
    return node.tell("view")


def agree(*nodes: SiteProcess) -> dict[str, Any]:
    """Return what both count, once each has followed: they look every second."""
    wait_for(lambda: len({repr(counts(node)) for node in nodes}) == 1)
    return counts(nodes[0])


@pytest.mark.timeout(300)
def test_machines_do_not_notice_which_node_answers_nor_that_one_is_killed(
    nodes: Nodes, balancer: Balancer, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as both:
        one, other = (begun.result() for begun in [both.submit(nodes.begun) for _ in range(2)])
    one.tell("publish 300")
    fleet = a_fleet(balancer, one, tmp_path)
    live(fleet, 0.5)

    assert min(balancer.taken[node.port] for node in (one, other)) > 0
    assert one.tell("states")["digests"] == told(fleet)
    first = agree(one, other)
    assert (first["machines"], first["updates"], first["unknown"]) == (MACHINES, 300, 0)

    one.tell("revise 40")
    taken = fleet.tally.counts["report: Taken"]
    living = threading.Thread(target=live, args=(fleet, 1.5))
    living.start()
    wait_for(lambda: fleet.tally.counts["report: Taken"] > taken or not living.is_alive())
    nodes.end(one, SiteProcess.kill)
    living.join()

    live(fleet, 1.5)  # whoever met a node that was gone comes again
    after = other.tell("states")
    assert after["digests"] == told(fleet)
    assert after["audit"] == "None"
    assert len(set(after["changes"])) == MACHINES

    third = nodes.begun()
    nodes.end(other)
    third.tell("token 1")  # decides, though it has begun while another one ended
    live(fleet, 1.5)
    assert third.tell("states")["digests"] == told(fleet)
    assert agree(third)["machines"] == MACHINES
