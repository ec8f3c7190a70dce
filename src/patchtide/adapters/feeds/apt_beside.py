"""Archives beside the distribution's own: what they have newer of what only they have.

Such an archive does not say for which operating system it is, so it is for the one that its
codename is of, or else the only one there. A catalog goes to all machines: who signs a toy has no
word on what the distribution itself offers, which has to be at hand to know what that is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from patchtide.adapters.feeds.apt_release import SuiteKind
from patchtide.adapters.feeds.apt_updates import OFFERS, Index, Platform, slug
from patchtide.adapters.feeds.apt_vendors import Suite

Told = tuple[str, Platform]
"""The codename of a release, and what it is."""


def of_use(suites: Collection[Suite]) -> Iterator[Suite]:
    """Yield what apt installs from unasked; what a distribution keeps aside is not of that."""
    offering = {slug(suite.release.origin) for suite in suites if suite.release.kind in OFFERS}
    for suite in suites:
        aside = suite.release.kind is SuiteKind.ASIDE
        if suite.release.is_automatic and not (aside and slug(suite.release.origin) in offering):
            yield suite


def beside(suites: Iterable[Suite], told: Collection[Told], platform: Platform) -> list[Suite]:
    """Return the suites of others for one of the platforms that are told of."""
    own = {each.os_id for _, each in told}
    return [
        suite
        for suite in suites
        if slug(suite.release.origin) not in own
        and suite.release.kind not in OFFERS
        and _platform(suite, told) == platform
    ]


def _platform(suite: Suite, told: Collection[Told]) -> Platform | None:
    named = {platform for codename, platform in told if codename == suite.release.codename}
    found = named or {platform for _, platform in told}
    return found.pop() if len(found) == 1 else None


def as_updates(indices: Iterable[Index], taken: Collection[str]) -> Iterator[Index]:
    """Yield what is in the indices and not taken, as a suite of updates would have it."""
    for index in indices:
        packages = tuple(package for package in index.packages if package.name not in taken)
        release = replace(index.release, kind=SuiteKind.UPDATES)
        yield replace(index, release=release, packages=packages)
