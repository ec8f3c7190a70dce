"""What the agent asks of its trust in the signed repository, and how that may refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from patchtide.domain.errors import NotFound, PatchtideError


class TrustRefused(PatchtideError):
    """The repository's metadata is not what its keys' owners would have published."""

    code = "trust-refused"


class MetadataExpired(TrustRefused):
    """The newest metadata offered is too old: somebody holds newer ones back, or a clock is off."""

    code = "metadata-expired"


class RollbackRefused(TrustRefused):
    """The metadata is older than what this machine has already accepted."""

    code = "rollback-refused"


class PackageRollbackRefused(TrustRefused):
    """The package is older than one this machine has had, and no valid order asks for that."""

    code = "package-rollback-refused"


class ClockBehind(TrustRefused):
    """The machine's clock is behind a time that has certainly passed."""

    code = "clock-behind"


class RepositoryUnreachable(PatchtideError):
    """The repository could not be read; nothing is known to be wrong with it."""

    code = "repository-unreachable"


class TrustStoreFailed(PatchtideError):
    """What the machine trusts could not be stored durably."""

    code = "trust-store-failed"


class TargetAbsent(NotFound):
    """The repository says that there is no such file."""

    code = "target-absent"


class SearchLimit(TrustRefused):
    """The file was not found among the roles that may be searched; it may exist."""

    code = "target-search-limit"


@dataclass(frozen=True, slots=True)
class TrustEvent:
    """Something that the administrator must hear of, though it was survived."""

    code: str
    detail: str = ""


Compare = Callable[[str, str], int]
"""Negative: the first version is lower, by the rules of its package system."""


class Trust(Protocol):
    def refresh(self, now: float, *, root_version: int = 0) -> tuple[TrustEvent, ...]:
        """Take the newest metadata. `root_version`: the newest root the server told of.

        Raises:
            TrustRefused, RepositoryUnreachable, TrustStoreFailed
        """
        ...

    def take_events(self) -> tuple[TrustEvent, ...]:
        """Return events not told yet, after a refresh that was refused."""
        ...

    def read_target(self, path: str, max_size: int) -> bytes:
        """Return a file of the repository as refreshed, verified.

        Raises:
            TargetAbsent, SearchLimit, TrustRefused, RepositoryUnreachable
        """
        ...

    def raise_floor(self, role: str, version: int) -> None:
        """Take no lower version of the role from now on, because the server says so.

        A rotation of keys by the root takes it back, so that a server which lied can be
        recovered from; hence not before a refresh, and never the root itself.

        Raises:
            TrustRefused
        """
        ...

    def trust_seen(self) -> Mapping[str, bytes]: ...

    def check_package(
        self, name: str, version: str, compare: Compare, *, order: bytes = b"", now: float
    ) -> None:
        """Raises PackageRollbackRefused. An `order` to go back is used up by this."""
        ...
