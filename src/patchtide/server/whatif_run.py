"""Rules that are not published, held against what all machines have told.

Few machines are like no other: most have the lists of many. So a list is read once however many
have it, cut down to what the rules name, and what is left is evaluated once for all that share it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec import structs
from pyroaring import BitMap

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.facts import Facts, Packages
from patchtide.domain.applicability.questions import Question, lacking
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.stored_facts import FACTS, PACKAGES, readable_facts, readable_packages
from patchtide.wire.inventory import FactsV1, facts_of
from patchtide.wire.messages import encode

T = TypeVar("T")
BODIES = 32
"""Lists of packages that are in memory at a time; one has some seventy kilobytes."""
SMALL_BODIES = 1_000
BUDGET_S = 120.0
IDLE_S = 30.0
"""A run that nobody has asked about for so long ends."""
NEVER_TOLD = "the machine has told none of its {}"


@dataclass(slots=True, kw_only=True)
class Found:
    """Machines by the state that the rules come to; those not in it yet are not evaluated."""

    of: int = 0
    by_state: dict[LeafState, BitMap] = field(
        default_factory=lambda: {state: BitMap() for state in LeafState}
    )
    lacking: Counter[str] = field(default_factory=Counter)
    """What made it unknown -> on how many machines."""
    cases: int = 0
    """How many different sets of facts there were."""
    is_complete: bool = False
    stopped: str = ""

    @property
    def evaluated(self) -> int:
        return sum(map(len, self.by_state.values()))


@dataclass(frozen=True, slots=True)
class _Case:
    state: LeafState
    lacking: tuple[str, ...]


_Key = tuple[bytes | None, frozenset[str]]
"""A machine's list of facts, and which of the shards in question it follows."""


class WhatIfRun:
    """One question asked of all machines. While `work` blocks there is what it found so far."""

    def __init__(self, fleet: Fleet, question: Question, *, budget_s: float = BUDGET_S) -> None:
        self._fleet = fleet
        self._question = question
        self._budget_s = budget_s
        self._lock = threading.Lock()
        self._found = Found()
        self._asked_at = time.monotonic()
        self._is_stopped = False
        self._facts: dict[bytes, FactsV1 | None] = {}
        self._alike: dict[bytes, FactsV1] = {}
        self._cases: dict[object, _Case] = {}

    def found(self) -> Found:
        """Return what is known by now; that somebody asks keeps the run going."""
        self._asked_at = time.monotonic()
        with self._lock:
            found = self._found
            return Found(
                of=found.of,
                by_state={state: BitMap(numbers) for state, numbers in found.by_state.items()},
                lacking=Counter(found.lacking),
                cases=found.cases,
                is_complete=found.is_complete,
                stopped=found.stopped,
            )

    def stop(self) -> None:
        self._is_stopped = True

    def work(self) -> None:
        ends = time.monotonic() + self._budget_s
        for alike in self._machines():
            self._evaluate(alike)
            if stopped := self._why_stop(ends):
                with self._lock:
                    self._found.stopped = stopped
                return
            time.sleep(0)  # the loop that serves machines comes first
        with self._lock:
            self._found.is_complete = True

    def _why_stop(self, ends: float) -> str:
        now = time.monotonic()
        if now > ends:
            return "it took too long"
        is_idle = now > self._asked_at + IDLE_S
        return "nobody asked any more" if is_idle or self._is_stopped else ""

    def _machines(self) -> Iterator[Mapping[bytes | None, Mapping[_Key, Sequence[int]]]]:
        """Yield machines by their list of packages, some lists at a time, and then by the rest."""
        followed = self._fleet.ask(lambda view: _followed(view, self._question.shards))
        facts = self._held(FACTS)
        packages = self._held(PACKAGES) if self._question.packages else {}
        with self._lock:
            self._found.of = len(followed)
        alike: dict[bytes | None, dict[_Key, list[int]]] = defaultdict(lambda: defaultdict(list))
        for client, shards in followed.items():
            alike[packages.get(client)][facts.get(client), shards].append(client)
        self._read_facts(set(facts.values()))
        if None in alike:
            yield {None: alike.pop(None)}
        for part in _parts(sorted(digest for digest in alike if digest is not None), BODIES):
            yield {digest: alike[digest] for digest in part}

    def _held(self, kind: str) -> Mapping[int, bytes]:
        """Return who has which body; equal digests are one object."""
        digests: dict[bytes, bytes] = {}
        found: dict[int, bytes] = {}
        page = self._fleet.store.inventory_holders(kind)
        while page:
            found.update((client, digests.setdefault(digest, digest)) for client, digest in page)
            page = self._fleet.store.inventory_holders(kind, after=page[-1][0])
        return found

    def _read_facts(self, digests: set[bytes]) -> None:
        for part in _parts(sorted(digests), SMALL_BODIES):
            bodies = self._fleet.store.inventory_bodies(part)
            for digest in part:
                self._facts[digest] = self._narrowed(readable_facts(bodies.get(digest)))

    def _narrowed(self, said: FactsV1 | None) -> FactsV1 | None:
        """Return no more than is asked for, and of equal ones the same object."""
        if said is None:
            return None
        asked = self._question
        kept = structs.replace(
            said,
            language=said.language if "language" in asked.usual else None,
            kernel=said.kernel if "kernel" in asked.usual else None,
            modules=said.modules if said.modules is None or asked.modules else {},
            answers=tuple(a for a in said.answers if (a.fact, a.keys) in asked.asked),
        )
        return self._alike.setdefault(encode(kept), kept)

    def _evaluate(self, alike: Mapping[bytes | None, Mapping[_Key, Sequence[int]]]) -> None:
        digests = [digest for digest in alike if digest is not None]
        bodies = self._fleet.store.inventory_bodies(digests)
        for digest, machines in alike.items():
            body = None if digest is None else bodies.get(digest)
            packages = readable_packages(body, named=self._question.packages)
            for (facts, shards), clients in machines.items():
                self._put(self._case(facts, packages, shards), clients)

    def _case(
        self, digest: bytes | None, packages: Packages | None, shards: frozenset[str]
    ) -> _Case:
        said = None if digest is None else self._facts[digest]
        facts = self._question.narrowed(Facts() if said is None else facts_of(said, packages))
        key = (_key(facts), said is None, packages is None, shards)
        known = self._cases.get(key)
        if known is None:
            known = self._cases[key] = self._made(facts, said, packages, shards)
        return known

    def _made(
        self,
        facts: Facts,
        said: FactsV1 | None,
        packages: Packages | None,
        shards: frozenset[str],
    ) -> _Case:
        found = self._question.standing(facts, followed=shards)
        if found.state is not LeafState.UNKNOWN:
            return _Case(found.state, ())
        if said is None:
            return _Case(found.state, (NEVER_TOLD.format(FACTS),))
        if packages is None and self._question.packages:
            return _Case(found.state, (NEVER_TOLD.format(PACKAGES),))
        return _Case(found.state, tuple(dict.fromkeys(lacking(found))))

    def _put(self, case: _Case, clients: Sequence[int]) -> None:
        with self._lock:
            self._found.by_state[case.state].update(clients)
            self._found.lacking.update(dict.fromkeys(case.lacking, len(clients)))
            self._found.cases = len(self._cases)


def _followed(view: View, shards: frozenset[str]) -> Mapping[int, frozenset[str]]:
    members = view.members
    return {
        number: shards.intersection(members[number].states.shards) if shards else shards
        for number in view.active
    }


def _key(facts: Facts) -> tuple[object, ...]:
    """Return what is equal for equal facts, and for no others."""
    packages = {kind: tuple(sorted(named.items())) for kind, named in facts.packages.items()}
    return (
        facts.os_id,
        facts.os_version,
        facts.architecture,
        facts.language,
        facts.kernel,
        None if facts.modules is None else frozenset(facts.modules.items()),
        frozenset(packages.items()),
        frozenset(facts.answers.items()),
    )


def _parts(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
