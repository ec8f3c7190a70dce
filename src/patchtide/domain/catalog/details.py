"""What people read of an update. Machines evaluate leaves; none of this reaches them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

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


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateDetails:
    """An update as its vendor describes it.

    `cves` is None while they are not known: an update that names none has an empty tuple.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedUpdate:
    """An update as a feed tells of it: its leaves have neither numbers nor revisions yet."""

    details: UpdateDetails
    leaves: tuple[Leaf, ...]
