"""What a machine of the demonstration has and lacks at a moment.

Machines of one kind that are equally far have the very same sets and packages, so these are made
once for all of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from patchtide.domain.catalog.details import UpdateDetails
from patchtide.entry.server.demo.lots import chance
from patchtide.entry.server.demo.machines import Person
from patchtide.entry.server.demo.releases import version_of
from patchtide.entry.server.demo.systems import BY_PRODUCT, SOURCES, SYSTEMS, Source, System
from patchtide.wire.inventory import package_list
from patchtide.wire.sets import encode_set, state_digest

QUICKER = 100
"""What is released while somebody looks is installed so many times sooner."""
_HELD_S = 120 * 86_400


@dataclass(frozen=True, slots=True)
class Known:
    """A published update: when it was released, of which source, by which number."""

    at: float
    number: int
    source: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a machine reports, and the packages that it has then."""

    required: bytes
    installed: bytes
    unknown: bytes
    digest: bytes
    packages: bytes
    packages_digest: bytes


@dataclass(frozen=True, slots=True)
class _Kind:
    system: str
    role: str
    variant: int


class Stock:
    """All that is published, by kind of machine. `begun_at`: when somebody began to look."""

    def __init__(
        self, known: Iterable[tuple[UpdateDetails, int]], *, lineage: bytes, begun_at: float
    ) -> None:
        self.lineage = lineage
        self._begun_at = begun_at
        self._published: Mapping[str, list[Known]] = defaultdict(list)
        for details, number in known:
            self._add(details, number)
        self._kinds: dict[_Kind, _Shelf] = {}

    def add(self, details: UpdateDetails, number: int) -> None:
        self._add(details, number)
        self._kinds.clear()

    def _add(self, details: UpdateDetails, number: int) -> None:
        system = BY_PRODUCT.get(details.product, SYSTEMS[0])
        released = details.released.timestamp() if details.released else 0.0
        if details.packages:
            package = details.packages[0]
            known = Known(released, number, package.name, package.version)
            self._published[system.shard].append(known)

    def of_source(self, system: System, source: Source) -> int:
        """Return how many of its versions are published."""
        name = source.named(system.format)
        return sum(known.source == name for known in self._published[system.shard])

    def standing(self, person: Person, *, at: float) -> Standing:
        """Return how such a machine stands at that moment."""
        kind = _Kind(person.system.shard, person.role, person.variant)
        shelf = self._kinds.get(kind)
        if shelf is None:
            shelf = self._kinds[kind] = self._shelf(person)
        return shelf.standing(person, at=at)

    def _shelf(self, person: Person) -> _Shelf:
        format = person.system.format
        sources = {
            source.named(format): source
            for source in SOURCES
            if source.is_on(person.role) and _has(person, source)
        }
        published = sorted(
            (known for known in self._published[person.system.shard] if known.source in sources),
            key=lambda known: known.at,
        )
        return _Shelf(
            person.system, sources, published, lineage=self.lineage, begun_at=self._begun_at
        )


def _has(person: Person, source: Source) -> bool:
    is_special = bool(source.roles)
    return is_special or chance("has", person.role, person.variant, source.name) < 0.92


class _Shelf:
    def __init__(
        self,
        system: System,
        sources: Mapping[str, Source],
        published: Sequence[Known],
        *,
        lineage: bytes,
        begun_at: float,
    ) -> None:
        self._system = system
        self._sources = sources
        self._published = published
        self._times = [known.at for known in published]
        self.lineage = lineage
        self._live = bisect_right(self._times, begun_at)
        self._made: dict[tuple[object, ...], Standing] = {}

    @cached_property
    def _holdable(self) -> Sequence[str]:
        return tuple(self._sources)

    def standing(self, person: Person, *, at: float) -> Standing:
        out = bisect_right(self._times, at)
        until = min(bisect_right(self._times, at - person.lag_s), self._live)
        live = bisect_right(self._times, at - person.lag_s / QUICKER, lo=self._live)
        held = ""
        if person.held:
            held = self._holdable[int(person.lag_s) % len(self._holdable)]
        key = (out, until, live, held, person.blind)
        if key not in self._made:
            self._made[key] = self._make(out, until, live, held=held, blind=person.blind, at=at)
        return self._made[key]

    def _make(
        self, out: int, until: int, live: int, *, held: str, blind: bool, at: float
    ) -> Standing:
        required: list[int] = []
        installed: list[int] = []
        unknown: list[int] = []
        newest: dict[str, str] = {}
        for place, known in enumerate(self._published[:out]):
            lacks = until <= place < self._live or place >= live
            if lacks or (known.source == held and known.at > at - _HELD_S):
                (unknown if blind and place >= out - 3 else required).append(known.number)
            else:
                installed.append(known.number)
                newest[known.source] = known.version
        sets = [encode_set(sorted(numbers)) for numbers in (required, installed, unknown)]
        packages = self._packages(newest)
        return Standing(
            required=sets[0],
            installed=sets[1],
            unknown=sets[2],
            digest=state_digest(
                lineage=self.lineage, required=sets[0], installed=sets[1], unknown=sets[2]
            ),
            packages=packages,
            packages_digest=sha256(packages).digest(),
        )

    def _packages(self, newest: Mapping[str, str]) -> bytes:
        rows, architecture = [], self._system.architecture
        for name, source in self._sources.items():
            version = newest.get(name, version_of(self._system, source, -1))
            rows += [(name, version, architecture), (f"{name}-common", version, architecture)]
        return package_list(rows)
