"""The one tree of errors. Each class has a stable code that API, console and log all show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


class PatchtideError(Exception):
    """Something went wrong in Patchtide."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class NotFound(PatchtideError):
    """There is no such thing."""

    code = "not-found"


class StaleRevision(PatchtideError):
    """Somebody else changed this meanwhile; read it again."""

    code = "stale-revision"


class WrongState(PatchtideError):
    """The thing is not in a state in which this can be done."""

    code = "wrong-state"


class Refused(PatchtideError):
    """This is not allowed."""

    code = "refused"


class CursorLost(PatchtideError):
    """What was read up to here no longer leads on: read everything again."""

    code = "cursor-lost"


class Unauthenticated(PatchtideError):
    """The request carries no valid credential."""

    code = "unauthenticated"


class TooMuch(PatchtideError):
    """This is more than is accepted at once; try again later."""

    code = "too-much"


class Unavailable(PatchtideError):
    """The service cannot do this now; try again later."""

    code = "unavailable"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in an input: where it stands and what is wrong."""

    where: str
    what: str


class InvalidDocument(PatchtideError):
    """The document cannot be used."""

    code = "invalid-document"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.where}: {p.what}" for p in self.problems))
