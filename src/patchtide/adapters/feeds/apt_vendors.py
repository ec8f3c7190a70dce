"""Which vendor speaks for which operating system. Origin and codename are what a suite claims.

apt believes every source for every package; a catalog that goes to all machines must not. Suites
signed by the same key are one vendor's, and so are those whose sources name the same keys. Where
several vendors claim one operating system, the one whose keyring comes with the distribution has
the word.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from patchtide.adapters.feeds.apt_lists import IndexFile
from patchtide.adapters.feeds.apt_release import Release, SuiteKind
from patchtide.adapters.feeds.apt_sources import Source
from patchtide.adapters.feeds.apt_updates import OFFERS, slug
from patchtide.adapters.feeds.errors import FeedDisputed

KEYRINGS = Path("/usr/share/keyrings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A verified suite and its indices."""

    release: Release
    files: Sequence[IndexFile]
    source: Source
    keys: frozenset[str]
    """Of those who have signed it."""

    @property
    def name(self) -> str:
        return f"{self.release.origin} {self.files[0].suite}"

    @property
    def path(self) -> Path:
        return self.files[0].release


def keyring_of(keyrings: Path, os_id: str) -> Path:
    """Return where a distribution keeps the keys of its own archive."""
    return keyrings / f"{os_id}-archive-keyring.gpg"


def heard(
    suites: Iterable[Suite], is_official: Callable[[str, Suite], bool]
) -> Iterator[tuple[Sequence[Suite], Sequence[Suite]]]:
    """Yield, for every operating system, the suites that speak for it, and those that do not.

    Raises:
        FeedDisputed: nobody can say which.
    """
    claims: dict[str, list[Suite]] = defaultdict(list)
    for suite in suites:
        claims[slug(suite.release.origin)].append(suite)
    for os_id, claimants in claims.items():
        chosen = _chosen(os_id, claimants, is_official)
        yield chosen, [suite for suite in claimants if suite not in chosen]


def _chosen(
    os_id: str, claimants: Sequence[Suite], is_official: Callable[[str, Suite], bool]
) -> Sequence[Suite]:
    vendors = _vendors(claimants)
    offering = [vendor for vendor in vendors if _offered(vendor)]
    if len(vendors) == 1 or not offering:
        return claimants
    official = [suite for suite in claimants if is_official(os_id, suite)]
    others = [suite for suite in claimants if suite not in official]
    # Only who offers all that the others do can do without them.
    if official and _offered(others) <= _offered(official):
        return official
    if not official and len(offering) == 1:
        return offering[0]
    names = ", ".join(suite.source.where for suite in claimants)
    raise FeedDisputed(f"several vendors speak for {os_id}: {names}")


def _vendors(suites: Iterable[Suite]) -> Sequence[Sequence[Suite]]:
    vendors: list[list[Suite]] = []
    for suite in suites:
        alike = [vendor for vendor in vendors if any(_is_alike(suite, x) for x in vendor)]
        vendors = [vendor for vendor in vendors if vendor not in alike]
        vendors.append([*(x for vendor in alike for x in vendor), suite])
    return vendors


def _is_alike(one: Suite, other: Suite) -> bool:
    named = _named(one.source)
    return bool(one.keys & other.keys) or (bool(named) and named == _named(other.source))


def _named(source: Source) -> frozenset[str]:
    """Return the keys that a source names, wherever they lie."""
    paths = {key: Path(key) for key in source.signed_by if key.startswith("/")}
    here = {key: path.read_bytes() for key, path in paths.items() if path.is_file()}
    return frozenset(
        sha256(here[key]).hexdigest() if key in here else key for key in source.signed_by
    )


def _offered(suites: Collection[Suite]) -> set[SuiteKind]:
    return {suite.release.kind for suite in suites if suite.release.kind in OFFERS}


def by_release(suites: Iterable[Suite]) -> Iterator[Sequence[Suite]]:
    """Yield the suites that belong to one release and have something to offer."""
    groups: dict[tuple[str, str], list[Suite]] = defaultdict(list)
    for suite in suites:
        groups[slug(suite.release.origin), suite.release.codename].append(suite)
    for group in groups.values():
        if _offered(group):
            yield group
