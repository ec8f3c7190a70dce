"""Which of apt's sources bring anything that the site has chosen; the others are not fetched.

What a suite is for stands in its signed Release file, which is small: that is fetched first. Where
it cannot be had or verified, the source is kept, and apt says what is wrong with it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from patchtide.adapters.feeds.apt_release import Release, SuiteKind
from patchtide.adapters.feeds.apt_sources import Source, source_in_line, without_account
from patchtide.adapters.feeds.apt_updates import OFFERS, feed_of, platform_of, product_of, slug
from patchtide.adapters.feeds.deb822 import stanzas
from patchtide.domain.catalog.details import Classification
from patchtide.domain.catalog.selection import Selection, may_bring

_SUITES = re.compile(r"^Suites:.*(?:\n[ \t].*)*", re.MULTILINE | re.IGNORECASE)
_BLANK = re.compile(r"\n(?:[ \t]*\n)+")
_BROUGHT: Mapping[SuiteKind, frozenset[Classification]] = {
    SuiteKind.SECURITY: frozenset({Classification.SECURITY}),
    # What is fixed in a security suite may be newer here, and is a security update then.
    SuiteKind.UPDATES: frozenset({Classification.SECURITY, Classification.GENERAL}),
}

Peek = Callable[[Source], Release | None]
Place = tuple[str, str]
"""Address and suite of a source, as they are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowed:
    """`wanted` are the sources to fetch; of the shards left out nothing is chosen."""

    wanted: frozenset[Place]
    shards: tuple[str, ...] = ()
    products: tuple[str, ...] = ()


def narrowed(sources: Sequence[Source], selection: Selection, peek: Peek) -> Narrowed:
    """Return which sources may bring what is chosen, and the releases of which nothing is."""
    wanted: set[Place] = set()
    groups: dict[tuple[str, str], list[tuple[Source, Release]]] = defaultdict(list)
    for source in sources:
        release = peek(source)
        if release is None:
            wanted.add((source.uri, source.suite))
        elif release.is_automatic:
            groups[slug(release.origin), release.codename].append((source, release))
    left: dict[str, str] = {}
    offering = {slug(r.origin) for g in groups.values() for _, r in g if r.kind in OFFERS}
    for (origin, _), group in groups.items():
        # What others have is for a platform, which only the distribution's own suites tell.
        kept = (
            {(source.uri, source.suite) for source, _ in group}
            if origin not in offering
            else set(_of_use(group, selection))
        )
        wanted |= kept
        platform = platform_of(release for _, release in group)
        if platform is not None and not kept and any(r.kind in OFFERS for _, r in group):
            left[platform.shard] = product_of(group[0][1], platform)
    return Narrowed(
        wanted=frozenset(wanted), shards=tuple(left), products=tuple(dict.fromkeys(left.values()))
    )


def _of_use(group: Sequence[tuple[Source, Release]], selection: Selection) -> Iterator[Place]:
    """Yield what brings something; the release itself only beside that, to compare with."""
    platform = platform_of(release for _, release in group)
    bring = [
        (source.uri, source.suite)
        for source, release in group
        if release.kind in OFFERS
        and (
            platform is None
            or may_bring(
                selection,
                feed=feed_of(release),
                product=product_of(release, platform),
                classifications=_BROUGHT[release.kind],
            )
        )
    ]
    yield from bring
    if bring:
        yield from ((s.uri, s.suite) for s, r in group if r.kind is SuiteKind.RELEASE)


def narrowed_text(name: str, text: str, wanted: Collection[Place]) -> str:
    """Return a file of sources with those alone that are wanted, all their options as they were."""
    if name.endswith(".sources"):
        return "\n\n".join(_stanzas(text, wanted)) + "\n"
    lines = (line for line in text.split("\n") if source_in_line(line) in wanted)
    return "".join(f"{line}\n" for line in lines)


def _stanzas(text: str, wanted: Collection[Place]) -> Iterator[str]:
    for block in _BLANK.split(text.strip("\n")):
        said = next(stanzas(block), {})
        uris = without_account(said.get("uris", "")).split()
        suites = said.get("suites", "").split()
        kept = [suite for suite in suites if any((uri, suite) in wanted for uri in uris)]
        if kept:
            yield block if kept == suites else _SUITES.sub(f"Suites: {' '.join(kept)}", block, 1)
