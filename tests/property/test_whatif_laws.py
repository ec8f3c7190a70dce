"""A question to the whole fleet comes to what each of its machines would come to by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.facts import Facts
from patchtide.domain.applicability.scan import evaluate_shard
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.server.whatif_run import WhatIfRun
from patchtide.wire.inventory import facts_list, package_list
from tests.property.test_question_laws import leaves, question
from tests.property.test_rule_laws import full_facts


@dataclass(frozen=True)
class Told:
    """A machine: its facts, which lists it has told, and the shards that it follows."""

    facts: Facts
    kinds: frozenset[str]
    followed: frozenset[str]

    @property
    def known(self) -> Facts:
        """Return what the server can know of it."""
        if "facts" not in self.kinds:
            return Facts()
        return self.facts if "packages" in self.kinds else replace(self.facts, packages={})

    def bodies(self) -> Mapping[str, bytes]:
        rows = [
            (name, instance.version, instance.architecture)
            for packages in self.facts.packages.values()
            for name, instances in packages.items()
            for instance in sorted(instances, key=lambda i: (i.version, i.architecture))
        ]
        made = {"facts": facts_list(self.facts), "packages": package_list(rows)}
        return {kind: made[kind] for kind in self.kinds}


class ToldFleet:
    """What a run asks of a fleet and its store."""

    def __init__(self, machines: Sequence[Told]) -> None:
        self.store = self
        self._bodies: dict[bytes, bytes] = {}
        self._held: list[tuple[int, str, bytes]] = []
        for client, machine in enumerate(machines, 1):
            for kind, body in machine.bodies().items():
                digest = sha256(body).digest()
                self._bodies[digest] = body
                self._held.append((client, kind, digest))
        self._view = SimpleNamespace(
            active=range(1, len(machines) + 1),
            members={
                client: SimpleNamespace(states=SimpleNamespace(shards=dict.fromkeys(m.followed, 1)))
                for client, m in enumerate(machines, 1)
            },
        )

    def ask(self, question: Callable[[Any], Any]) -> Any:
        return question(self._view)

    def inventory_holders(
        self, kind: str, *, after: int = 0, limit: int = 2
    ) -> Sequence[tuple[int, bytes]]:
        held = [(client, digest) for client, of, digest in self._held if of == kind]
        return [one for one in held if one[0] > after][:limit]

    def inventory_bodies(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return {digest: self._bodies[digest] for digest in digests}


machines = st.builds(
    Told,
    st.builds(
        lambda facts, kind: replace(facts, packages={kind: facts.packages[kind]}),
        full_facts,
        st.sampled_from(PackageFormat),
    ),
    st.sampled_from([("facts", "packages"), ("facts",), ("packages",), ()]).map(frozenset),
    st.sets(st.sampled_from(["shard-1", "shard-2", "shard-3"])).map(frozenset),
)


@given(leaves, st.lists(machines, min_size=1, max_size=6))
def test_asked_at_once_machines_stand_as_each_alone(some: list[Any], fleet: list[Told]) -> None:
    run = WhatIfRun(ToldFleet(fleet), question(some))  # type: ignore[arg-type]

    run.work()
    found = run.found()

    assert found.is_complete and found.evaluated == found.of == len(fleet)
    for client, machine in enumerate(fleet, 1):
        heard = [x for x in some if x.number == 0 or f"shard-{x.number}" in machine.followed]
        alone = evaluate_shard(heard, machine.known).states[some[0].number]
        assert client in found.by_state[alone]
    assert bool(found.lacking) <= bool(found.by_state[LeafState.UNKNOWN])
