"""Why a site does not come up; each says what to do."""

from __future__ import annotations

from patchtide.domain.errors import PatchtideError


class HomeNotUsable(PatchtideError):
    """The home folder cannot be used."""

    code = "home-not-usable"


class DiskFull(PatchtideError):
    """There is not enough room where the home folder lies."""

    code = "disk-full"


class PortTaken(PatchtideError):
    """Somebody else listens on this port."""

    code = "port-taken"


class AlreadyUp(PatchtideError):
    """This home is up already."""

    code = "already-up"


class PartEnded(PatchtideError):
    """A process of the site ended."""

    code = "part-ended"


class NotFinished(PatchtideError):
    """The site is up, and something is missing before it can say how this machine stands."""

    code = "not-finished"
