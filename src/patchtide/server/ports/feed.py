"""Where updates come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.catalog.selection import Selection


class Step(StrEnum):
    """How far a connection came before it failed."""

    NAME = "name"
    CONNECTION = "connection"
    PROXY = "proxy"
    TLS = "tls"
    ANSWER = "answer"
    ACCOUNT = "account"
    STATUS = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """An address of a feed that was asked; `step` is where that failed, None where it did not."""

    address: str
    step: Step | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedHead:
    """What a feed says of all that it tells."""

    as_of: Mapping[str, datetime]
    """Suite -> when its vendor signed it."""
    stamp: bytes
    """Equal stamps, equal content."""
    note: str = ""
    """What a person should know of how it was come by; empty: all is as it should be."""
    is_whole: bool = True
    """No: something that it should tell of is not here, so what it does not name may well be."""
    failed: tuple[str, ...] = ()
    """Of several feeds those that could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be fetched; where nothing is named, all."""

    feeds: frozenset[str] = frozenset()
    """Of several feeds only these; the others are as they were fetched the last time."""
    selection: Selection = field(default_factory=dict)
    """What of them will be taken; the rest may stay where it is."""
    judge: Callable[[FeedHead], None] = lambda _: None
    """Raises Refused for what must not be taken. Of several feeds each is judged by itself; one
    that is not to be fetched and would be refused as it is here is fetched too."""


ALL = Wanted()


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorFile:
    """A document of a vendor's, as it was verified; `read` brings its bytes when they are asked."""

    key: str
    sha256: bytes
    read: Callable[[], bytes] = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorIndex:
    """What a vendor signed, and the lists of packages that it names."""

    kind: str
    name: str
    signed: VendorFile
    lists: tuple[VendorFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedContent(FeedHead):
    """Everything that a feed tells of, at one moment."""

    shards: Mapping[str, tuple[FeedUpdate, ...]]
    """Shard -> the updates whose leaves belong in it."""
    vendors: Mapping[str, tuple[VendorIndex, ...]] = field(default_factory=dict)
    """Shard -> what machines can verify those updates by themselves with."""


class UpdateFeed(Protocol):
    def fetch(self, wanted: Wanted = ALL) -> None:
        """Bring the feed here.

        Raises:
            Unavailable, Refused: with one reason.
        """
        ...

    def head(self) -> FeedHead:
        """Say what the last `fetch` has found, at a small part of the cost of reading it.

        Raises:
            Refused: as `read`.
        """
        ...

    def read(self, *, now: datetime) -> FeedContent:
        """Verify what is here, and say what it tells.

        Raises:
            Refused: it is not signed, changed, or too old; nothing of it counts then.
        """
        ...

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        """Return updates of the last `read` with what takes longer to learn: CVEs, severity.

        One of which nothing can be learnt now comes back as it was, its CVEs None.
        """
        ...


class FeedConnections(Protocol):
    def try_all(self) -> Sequence[Tried]:
        """Ask every address that the feed is fetched from, and keep nothing of it.

        Raises:
            WrongState: they are being tried already.
            Unavailable, Refused: nobody knows which addresses they are.
        """
        ...
