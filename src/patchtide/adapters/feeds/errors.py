"""Why a feed could not be read."""

from __future__ import annotations

from patchtide.domain.errors import PatchtideError, Refused, Unavailable
from patchtide.server.ports.feed import Step


class FeedUnreachable(Unavailable):
    """The feed cannot be fetched now."""

    code = "feed-unreachable"

    def __init__(self, message: str | None = None, *, step: Step | None = None) -> None:
        self.step = step
        """Where a connection failed, if it was one that did."""
        super().__init__(message)


class FeedNotSigned(Refused):
    """The feed is not signed by a key that its source names."""

    code = "feed-not-signed"


class FeedDamaged(Refused):
    """The feed is not what its vendor signed."""

    code = "feed-damaged"


class FeedExpired(Refused):
    """The feed is older than its vendor allows."""

    code = "feed-expired"


class FeedDisputed(Refused):
    """Several vendors speak for one operating system."""

    code = "feed-disputed"


class FeedTooBig(Refused):
    """The feed is bigger than can be read."""

    code = "feed-too-big"


class SpoolNotWritten(Unavailable):
    """What the feed tells could not be written down."""

    code = "spool-not-written"


class NoFeed(PatchtideError):
    """No source of updates is configured here."""

    code = "no-feed"
