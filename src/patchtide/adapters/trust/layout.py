"""The shape of the signed repository: which roles there are, what each may sign, how long."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

Signable = Metadata[Any]

ROOT, TARGETS, SNAPSHOT, TIMESTAMP = Root.type, Targets.type, Snapshot.type, Timestamp.type
FEEDS, PUBLISHER, AGENT = "feeds", "publisher", "agent"
TOP_LEVEL = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)
DELEGATED = (FEEDS, PUBLISHER, AGENT)
DELEGATING = {ROOT: TOP_LEVEL, TARGETS: DELEGATED}
OFFLINE = (ROOT, TARGETS, PUBLISHER, AGENT)
"""Roles whose keys belong elsewhere; on a small site they may start out on the server."""
LIFE = {
    ROOT: timedelta(days=365),
    TARGETS: timedelta(days=365),
    PUBLISHER: timedelta(days=365),
    AGENT: timedelta(days=365),
    FEEDS: timedelta(days=30),
    SNAPSHOT: timedelta(days=30),
    TIMESTAMP: timedelta(days=7),
}
SIGNED_AT = "x-patchtide-signed-at"
"""Field of the timestamp, epoch seconds: agents keep it as a floor for their clock."""

_COMPACT = JSONSerializer(compact=True)


def paths_of(role: str) -> list[str]:
    """Return what a delegated role may sign: <role>/<group>/<name>, nothing deeper."""
    return [f"{role}/*/*"]


def to_bytes(metadata: Signable) -> bytes:
    return metadata.to_bytes(_COMPACT)


def no_delegations() -> Delegations:
    roles = {
        role: DelegatedRole(role, [], 1, terminating=True, paths=paths_of(role))
        for role in DELEGATED
    }
    return Delegations(keys={}, roles=roles)


def meta_file(metadata: Signable) -> MetaFile:
    return MetaFile.from_data(metadata.signed.version, to_bytes(metadata), ["sha256"])


def half_over(metadata: Signable, role: str, now: datetime) -> bool:
    return bool(metadata.signed.expires - now < LIFE[role] / 2)
