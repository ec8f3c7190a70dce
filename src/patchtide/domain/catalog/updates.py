"""What identifies an update, and the leaf: the variant of an update that machines evaluate.

Numbers belong to a lineage, are allotted once and survive revisions. The UUID is derived from
the feed's kind and the vendor's own id, so two sites that read the same feed agree on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import NewType
from uuid import UUID

UpdateId = NewType("UpdateId", UUID)
UpdateNumber = NewType("UpdateNumber", int)
"""32 bits: 0 to 4,294,967,295."""
Revision = NewType("Revision", int)
"""32 bits, from 1; only rises."""
LineageId = NewType("LineageId", bytes)
"""128 bits: which numbering the numbers belong to."""

_FEED = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def update_id(feed_kind: str, vendor_id: str) -> UpdateId:
    """Return the UUID (RFC 9562, version 8) of a vendor's update, the same at every site."""
    digest = sha256(b"patchtide-update-1\0" + feed_kind.encode() + b"\0" + vendor_id.encode())
    bits = int.from_bytes(digest.digest()[:16])
    bits = bits & ~(0xF << 76) | 8 << 76
    bits = bits & ~(0x3 << 62) | 2 << 62
    return UpdateId(UUID(int=bits))


class Verification(StrEnum):
    """What the machine itself must verify before it installs a leaf's content."""

    VENDOR_SIGNATURE = "vendor-signature"
    PUBLISHER_ROLE = "publisher-role"
    AGENT_ROLE = "agent-role"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who vouches for a leaf's content: `feed:<name>`, `publisher` or `agent`.

    A text that is none of these (a newer version's) is kept and verified by nothing, so such a
    leaf is evaluated and reported, and never installed.
    """

    text: str

    @property
    def feed(self) -> str | None:
        kind, _, name = self.text.partition(":")
        return name if kind == "feed" and _FEED.fullmatch(name) else None

    @property
    def verification(self) -> Verification:
        if self.feed is not None:
            return Verification.VENDOR_SIGNATURE
        known = {"publisher": Verification.PUBLISHER_ROLE, "agent": Verification.AGENT_ROLE}
        return known.get(self.text, Verification.REFUSE)


class Restart(StrEnum):
    """Whether installing needs a restart."""

    NEVER = "never"
    MAY = "may"
    ALWAYS = "always"


class Evaluator(StrEnum):
    """What decides a leaf's state: its rules, or a platform's own program with its payload."""

    RULES = "rules"
    WINDOWS = "windows"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafFile:
    """A file of a leaf's content: a package in one version, known by its digest and length."""

    name: str
    version: str
    sha256: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PackageFloor:
    """The lowest version of a package that the machine accepts once it has installed this leaf.

    Not once it has seen it: what is deployed stays deployed when something newer is published, and
    a feed's key, which is online, could otherwise end a package's updates with one high number.
    """

    name: str
    version: str
