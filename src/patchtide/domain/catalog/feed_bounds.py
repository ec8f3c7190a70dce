"""What a feed may tell of. What people publish a feed does not, however it came to say so."""

from __future__ import annotations

from patchtide.domain.catalog.custom import KIND
from patchtide.domain.catalog.details import FeedUpdate

UNTRUE = "a leaf of it is of another update"
FORGED = "it says that others than a feed vouch for it"
INSTALLS = "it brings an installer, which is for people to sign"
NUMBERED = "a rule of it names other leaves by numbers of their site"


def out_of_bounds(update: FeedUpdate) -> str | None:
    """Return why no feed may tell of such an update; None: it may."""
    leaves, details = update.leaves, update.details
    if any(leaf.update != details.update for leaf in leaves):
        return UNTRUE
    if details.feed == KIND or any(leaf.origin.feed is None for leaf in leaves):
        return FORGED
    if any(leaf.installer is not None for leaf in leaves):
        return INSTALLS
    return NUMBERED if any(leaf.depends_on() for leaf in leaves) else None
