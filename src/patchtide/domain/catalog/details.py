"""What people read of an update. Machines evaluate leaves; none of this reaches them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType

from patchtide.domain.catalog.installers import RUN_TIME
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.updates import UpdateId


class Classification(StrEnum):
    """What kind of change an update is."""

    CRITICAL = "critical"
    SECURITY = "security"
    DEFINITION = "definition"
    SERVICE_PACK = "service-pack"
    ROLLUP = "rollup"
    FEATURE_PACK = "feature-pack"
    TOOL = "tool"
    DRIVER = "driver"
    GENERAL = "general-update"
    APPLICATION = "application"


class Severity(StrEnum):
    """How bad it is to be without the update, by its vendor's own words."""

    CRITICAL = "critical"
    IMPORTANT = "important"
    MODERATE = "moderate"
    LOW = "low"
    NONE = "none"
    """The vendor says nothing. Not that it is harmless."""


@dataclass(frozen=True, slots=True)
class FixedPackage:
    """A package, and the version from which on it holds the fix."""

    name: str
    version: str
    architecture: str


class UpdateState(StrEnum):
    """Whether an update is offered at all."""

    PUBLISHED = "published"
    EXPIRED = "expired"
    """Its vendor names it no more, or took it back: shown for a while, offered nowhere."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """Where a vendor offers a file; which file it is, its digest says."""

    sha256: bytes
    address: str


RUN_TIMES: Mapping[Classification, timedelta] = MappingProxyType(
    {
        Classification.DEFINITION: timedelta(minutes=10),
        Classification.SERVICE_PACK: timedelta(minutes=120),
        Classification.FEATURE_PACK: timedelta(minutes=120),
        Classification.ROLLUP: timedelta(minutes=60),
        Classification.APPLICATION: timedelta(minutes=60),
    }
)
"""How long an installation may take if nobody says otherwise; all other kinds: `RUN_TIME`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateDetails:
    """An update as its vendor describes it.

    `cves` is None while they are not known: an update that names none has an empty tuple. What a
    feed does not know it leaves out; `revision` is counted by the server and not by feeds.
    """

    update: UpdateId
    vendor_id: str
    title: str
    description: str = ""
    feed: str
    vendor: str
    product: str
    classification: Classification
    severity: Severity = Severity.NONE
    cves: tuple[str, ...] | None = None
    packages: tuple[FixedPackage, ...] = ()
    released: datetime | None = None
    """None: the vendor does not say."""
    revised: datetime | None = None
    """When the vendor changed it last; None: it says nothing of that."""
    revision: int = 1
    """Rises whenever its vendor describes it otherwise."""
    advisories: tuple[str, ...] = ()
    """What its vendor and others call it: an advisory, a KB article."""
    also_for: tuple[str, ...] = ()
    """Products that it is for besides `product`."""
    languages: tuple[str, ...] = ()
    """As BCP 47 writes them; none: it is for all."""
    architectures: tuple[str, ...] = ()
    """As their platform names them; none: it is for all."""
    supersedes: tuple[UpdateId, ...] = ()
    """Those that it takes the place of, by its vendor's own word."""
    members: tuple[UpdateId, ...] = ()
    """It is a bundle of these: installed together, and counted as one."""
    max_run_time: timedelta | None = None
    """After which an installation counts as failed; None: `run_time` says by its kind."""
    can_uninstall: bool = False
    licence: str = ""
    """The terms that somebody has to accept for the site before it can be deployed."""
    licence_digest: bytes = b""
    """SHA-256 of the terms: it stands for them where the text itself is not read."""
    sources: tuple[FileSource, ...] = ()
    """Where its leaves' files come from; one that is named twice can be had at two places."""
    expired_at: datetime | None = None
    """Since when its vendor stands by it no more; None: it does."""

    def __post_init__(self) -> None:
        if self.licence and not self.licence_digest:
            digest = sha256(self.licence.encode()).digest()
            object.__setattr__(self, "licence_digest", digest)

    @property
    def state(self) -> UpdateState:
        return UpdateState.PUBLISHED if self.expired_at is None else UpdateState.EXPIRED

    @property
    def products(self) -> tuple[str, ...]:
        return (self.product, *self.also_for)

    @property
    def run_time(self) -> timedelta:
        """Return how long an installation may take."""
        return self.max_run_time or RUN_TIMES.get(self.classification, RUN_TIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedUpdate:
    """An update as a feed tells of it: its leaves have neither numbers nor revisions yet."""

    details: UpdateDetails
    leaves: tuple[Leaf, ...]
