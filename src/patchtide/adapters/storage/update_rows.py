"""What people read of updates: what lists show in one column, long texts in another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, delete, insert, select

from patchtide.adapters.storage.catalog_tables import (
    catalog_update,
    licence_acceptance,
    update_rating,
)
from patchtide.adapters.storage.rows import instant
from patchtide.adapters.storage.tables import setting
from patchtide.domain.catalog.details import FileSource, UpdateDetails
from patchtide.domain.catalog.judged import Acceptance, Judged
from patchtide.domain.catalog.risk import Rating
from patchtide.domain.catalog.updates import UpdateId
from patchtide.domain.schedules.scanning import ScanRule
from patchtide.server.kept_agent_settings import AGENTS, read_agents, scan_rule_of
from patchtide.server.kept_targets import TARGETS, read_targets

PART = 500
"""Both databases bound how many values a statement may have."""


class _Texts(msgspec.Struct, frozen=True, array_like=True):
    description: str
    licence: str
    sources: tuple[FileSource, ...]


_rating = msgspec.msgpack.Decoder(Rating)
_document = msgspec.msgpack.Decoder(UpdateDetails)
_texts = msgspec.msgpack.Decoder(_Texts)
_encode = msgspec.msgpack.Encoder().encode
_NO_TEXTS = _Texts("", "", ())


def listed(connection: Connection) -> Sequence[UpdateDetails]:
    """Return what lists show of all updates."""
    found = connection.execute(select(catalog_update.c.document)).scalars()
    return [_document.decode(document) for document in found]


def details(connection: Connection, updates: Sequence[UUID] | None) -> Sequence[UpdateDetails]:
    """Return all that is known of these, or of all."""
    columns = select(catalog_update.c.document, catalog_update.c.texts)
    if updates is None:
        return [_whole(row) for row in connection.execute(columns)]
    keys = [update.bytes for update in updates]
    found = (columns.where(catalog_update.c.update_id.in_(part)) for part in _parts(keys))
    return [_whole(row) for part in found for row in connection.execute(part)]


def expired(connection: Connection, *, by: datetime) -> Sequence[UUID]:
    found = select(catalog_update.c.update_id).where(catalog_update.c.expired_at <= by.timestamp())
    return [UUID(bytes=one) for one in connection.execute(found).scalars()]


def put(connection: Connection, updates: Sequence[UpdateDetails]) -> None:
    """Keep what people read of these updates; what was there of them before is replaced."""
    for part in _parts(updates):
        keys = [one.update.bytes for one in part]
        connection.execute(delete(catalog_update).where(catalog_update.c.update_id.in_(keys)))
        connection.execute(insert(catalog_update), [_row(one) for one in part])


def lock(connection: Connection, updates: Sequence[UUID], *, against_removal: bool = False) -> None:
    """Hold these, or only keep others from removing them, until the transaction ends."""
    # On SQLite nobody else writes meanwhile anyway, and no row is locked.
    for part in _parts(sorted(update.bytes for update in updates)):
        rows = select(catalog_update.c.update_id).where(catalog_update.c.update_id.in_(part))
        ordered = rows.order_by(catalog_update.c.update_id)
        locked = ordered.with_for_update(read=against_removal, key_share=against_removal)
        connection.execute(locked).all()


def forget(connection: Connection, updates: Sequence[UUID], *, expired_by: datetime) -> int:
    """Remove those that had expired by then; return how many."""
    gone = 0
    for part in _parts([update.bytes for update in updates]):
        found = delete(catalog_update).where(
            catalog_update.c.update_id.in_(part),
            catalog_update.c.expired_at <= expired_by.timestamp(),
        )
        gone += connection.execute(found).rowcount
    return gone


def judged(connection: Connection) -> Judged:
    ratings = connection.execute(select(update_rating)).all()
    licences = connection.execute(select(licence_acceptance)).all()
    targets = connection.execute(select(setting.c.value).where(setting.c.name == TARGETS)).scalar()
    return Judged(
        ratings={UpdateId(UUID(bytes=x.update_id)): _rating.decode(x.document) for x in ratings},
        licences={x.digest: Acceptance(by=x.accepted_by, at=instant(x.at)) for x in licences},
        targets=read_targets(targets),
    )


def scan_rule(connection: Connection) -> ScanRule:
    found = select(setting.c.value).where(setting.c.name == AGENTS)
    return scan_rule_of(read_agents(connection.execute(found).scalar()))


def rate(connection: Connection, one: UUID, rating: Rating | None) -> None:
    named = update_rating.c.update_id == one.bytes
    connection.execute(delete(update_rating).where(named))
    if rating is not None:
        row = {"update_id": one.bytes, "document": _encode(rating)}
        connection.execute(insert(update_rating).values(row))


def accept_licence(connection: Connection, digest: bytes, accepted: Acceptance) -> bool:
    """Return whether it was not accepted before."""
    known = select(licence_acceptance.c.digest).where(licence_acceptance.c.digest == digest)
    if connection.execute(known).first() is not None:
        return False
    row = {"digest": digest, "at": accepted.at.timestamp(), "accepted_by": accepted.by}
    connection.execute(insert(licence_acceptance).values(row))
    return True


def _row(one: UpdateDetails) -> dict[str, object]:
    texts = _Texts(one.description, one.licence, one.sources)
    listed = replace(one, description="", licence="", sources=())
    return {
        "update_id": one.update.bytes,
        "document": _encode(listed),
        "texts": None if texts == _NO_TEXTS else _encode(texts),
        "expired_at": None if one.expired_at is None else one.expired_at.timestamp(),
    }


def _whole(row: Any) -> UpdateDetails:
    listed = _document.decode(row.document)
    if row.texts is None:
        return listed
    texts = _texts.decode(row.texts)
    return replace(
        listed, description=texts.description, licence=texts.licence, sources=texts.sources
    )


def _parts(values: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), PART):
        yield list(values[start : start + PART])
