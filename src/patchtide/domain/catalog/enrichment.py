"""What others say of an update joins what its feed tells: texts, CVEs, severity. Never a rule.

An advice belongs to an update that names it (`RHSA-2026:1`), or that brings a package to the
version which the advice calls fixed; one about a vulnerability belongs to all updates that name
its CVE. A vendor's own word is kept: others only fill what is empty and add
to lists. The order in which advices come does not matter, and joining them twice is joining once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from patchtide.domain.catalog.details import FeedUpdate, Severity, UpdateDetails

MAX_TEXT = 60_000
MAX_CVES = 1_000
MAX_ID = 200
_MAX_ADVISORIES = 100
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")
_ORDER = (Severity.NONE, Severity.LOW, Severity.MODERATE, Severity.IMPORTANT, Severity.CRITICAL)


@dataclass(frozen=True, slots=True, order=True)
class Fix:
    """A package, and the version from which on it is not affected."""

    shard: str
    """Of the operating system: debian-12."""
    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One document about an advisory or about a vulnerability."""

    ids: frozenset[str]
    """Its own, and those that others have given the same thing."""
    cves: frozenset[str] = frozenset()
    severity: Severity = Severity.NONE
    text: str = ""
    fixes: frozenset[Fix] = frozenset()

    @property
    def is_about_a_vulnerability(self) -> bool:
        """Say whether it tells of a CVE itself, and of no vendor's fix."""
        return not self.fixes and any(_CVE.fullmatch(each) for each in self.ids)


Shards = Mapping[str, Sequence[FeedUpdate]]
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Enriched:
    shards: Mapping[str, tuple[FeedUpdate, ...]]
    joined: int
    """How many updates something was said of."""


def enriched(shards: Shards, advices: Iterable[Advice]) -> Enriched:
    """Return the updates with what the advices say; their leaves are the same ones."""
    index = _Index(shards)
    own: dict[Place, set[Advice]] = defaultdict(set)
    near: dict[Place, set[Advice]] = defaultdict(set)
    for advice in advices:
        for place in index.named(advice):
            own[place].add(advice)
        for place in index.vulnerable(advice):
            near[place].add(advice)
    found = {
        shard: tuple(
            _with(update, own.get((shard, at), ()), near.get((shard, at), ()))
            for at, update in enumerate(updates)
        )
        for shard, updates in shards.items()
    }
    return Enriched(found, len(own.keys() | near.keys()))


class _Index:
    """Where what an advice may name is among the updates."""

    def __init__(self, shards: Shards) -> None:
        self._by_id: dict[str, list[Place]] = defaultdict(list)
        self._by_cve: dict[str, list[Place]] = defaultdict(list)
        self._by_fix: dict[Fix, list[Place]] = defaultdict(list)
        for shard, updates in shards.items():
            for at, update in enumerate(updates):
                self._add(shard, at, update.details)

    def _add(self, shard: str, at: int, details: UpdateDetails) -> None:
        for name in details.advisories:
            self._by_id[name].append((shard, at))
        for cve in details.cves or ():
            self._by_cve[cve].append((shard, at))
        fixed = {(package.name, package.version) for package in details.packages}
        # An update of a source package is named for it, and advisories name sources too.
        *_, name, version = ("", *details.vendor_id.split("/"))
        for each in {*fixed, (name, version)}:
            self._by_fix[Fix(shard, *each)].append((shard, at))

    def named(self, advice: Advice) -> Iterator[Place]:
        for name in advice.ids:
            yield from self._by_id.get(name, ())
        for fix in advice.fixes:
            yield from self._by_fix.get(fix, ())

    def vulnerable(self, advice: Advice) -> Iterator[Place]:
        if advice.is_about_a_vulnerability:
            for cve in advice.ids:
                yield from self._by_cve.get(cve, ())


def _with(update: FeedUpdate, own: Iterable[Advice], near: Iterable[Advice]) -> FeedUpdate:
    mine, others = sorted(own, key=_key), sorted(near, key=_key)
    if not mine and not others:
        return update
    details = update.details
    cves = {*(details.cves or ()), *(cve for advice in mine for cve in advice.cves)}
    names = {n for a in mine for n in a.ids if not _CVE.search(n)} - {*details.advisories}
    changed = replace(
        details,
        description=_described(details.description, [a.text for a in mine or others]),
        severity=_severity(details.severity, (*mine, *others)),
        cves=tuple(sorted(cves)[:MAX_CVES]) if cves or mine else details.cves,
        advisories=(*details.advisories, *sorted(names)[:_MAX_ADVISORIES]),
    )
    return replace(update, details=changed)


def _key(advice: Advice) -> tuple[list[str], str, str]:
    return sorted(advice.ids), advice.text, advice.severity.value


def _described(said: str, texts: Iterable[str]) -> str:
    for text in texts:
        added = f"{said}\n\n{text}" if said else text
        if text and text not in said and len(added) <= MAX_TEXT:
            said = added
    return said


def _severity(said: Severity, advices: Iterable[Advice]) -> Severity:
    if said is not Severity.NONE:
        return said
    return max((a.severity for a in advices), key=_ORDER.index, default=Severity.NONE)
