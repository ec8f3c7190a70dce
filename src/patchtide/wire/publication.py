"""What a publisher wants to publish: updates with their leaves, and those that he takes back.

A client makes it, a server of the same site reads it. It is a file like any other: brought by its
digest, kept, and named in the audit by it. Leaves are in their wire form, without numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Raw, Struct

from patchtide.domain.catalog.custom import KIND
from patchtide.domain.catalog.details import (
    Classification,
    FeedUpdate,
    FixedPackage,
    Severity,
    UpdateDetails,
)
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.synchronisation import FIRST, UNNUMBERED
from patchtide.domain.catalog.updates import Origin, UpdateId, update_id
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.wire.leaves import decode_leaf, entry, leaf_document
from patchtide.wire.messages import Text, Uuid, decode, encode

MAX_BYTES = 64 << 20
MAX_UPDATES = 10_000
MAX_LEAVES = 64
"""Of an update: one an architecture."""
Words = Annotated[tuple[Text, ...], Meta(max_length=256)]
Long = Annotated[str, Meta(max_length=100_000)]


class FixedPackageV1(Struct, frozen=True, array_like=True):
    name: Text
    version: Text
    architecture: Text


class PublishedUpdateV1(Struct, kw_only=True, frozen=True, omit_defaults=True):
    id: Text
    title: Text
    description: Long = ""
    vendor: Text
    classification: Classification
    severity: Severity = Severity.NONE
    products: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=256)]
    cves: Words = ()
    packages: Annotated[tuple[FixedPackageV1, ...], Meta(max_length=2_000)] = ()
    languages: Words = ()
    architectures: Words = ()
    supersedes: Annotated[tuple[Uuid, ...], Meta(max_length=256)] = ()
    run_time_s: Annotated[int, Meta(ge=0, le=86_400)] = 0
    """0: as long as its classification says."""
    licence: Long = ""
    leaves: Annotated[tuple[Raw, ...], Meta(min_length=1, max_length=MAX_LEAVES)]


class PublicationV1(Struct, kw_only=True, frozen=True, tag_field="t", tag="publication1"):
    updates: Annotated[tuple[PublishedUpdateV1, ...], Meta(max_length=MAX_UPDATES)] = ()
    expired: Annotated[tuple[Uuid, ...], Meta(max_length=MAX_UPDATES)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a publication asks for."""

    updates: tuple[FeedUpdate, ...]
    expired: tuple[UpdateId, ...]


def write_publication(updates: Sequence[FeedUpdate], expired: Iterable[UpdateId] = ()) -> bytes:
    """Return the document; equal input makes equal documents."""
    made = tuple(map(_published, sorted(updates, key=lambda one: one.details.vendor_id)))
    return encode(PublicationV1(updates=made, expired=tuple(sorted(x.bytes for x in expired))))


def read_publication(data: bytes) -> Wanted:
    """Return what it asks for: custom updates alone, each vouched for by the publisher.

    Raises:
        InvalidDocument: with every mistake, each at its update.
    """
    document = decode(data, PublicationV1)
    problems: list[Problem] = []
    updates: dict[UpdateId, FeedUpdate] = {}
    for said in document.updates:
        found = _update(said)
        flaws = list(_flaws(found))
        if found.details.update in updates:
            flaws.append("is there twice")
        problems += [Problem(said.id, flaw) for flaw in flaws]
        updates[found.details.update] = found
    expired = tuple(UpdateId(UUID(bytes=one)) for one in document.expired)
    both = "is published and expired at once"
    problems += [Problem(str(one), both) for one in expired if one in updates]
    if problems:
        raise InvalidDocument(problems)
    return Wanted(updates=tuple(updates.values()), expired=expired)


def _flaws(update: FeedUpdate) -> Iterator[str]:
    for leaf in update.leaves:
        if leaf.update != update.details.update:
            yield "has a leaf of another update"
        if leaf.origin != Origin(KIND):
            yield f"is vouched for by {leaf.origin.text!r}, and not by the publisher"
        if leaf.installer is None or not leaf.files:
            yield "has a leaf without an installer or without files"


def _published(update: FeedUpdate) -> PublishedUpdateV1:
    details = update.details
    run_time = details.max_run_time
    return PublishedUpdateV1(
        id=details.vendor_id,
        title=details.title,
        description=details.description,
        vendor=details.vendor,
        classification=details.classification,
        severity=details.severity,
        products=details.products,
        cves=details.cves or (),
        packages=tuple(FixedPackageV1(p.name, p.version, p.architecture) for p in details.packages),
        languages=details.languages,
        architectures=details.architectures,
        supersedes=tuple(one.bytes for one in details.supersedes),
        run_time_s=int(run_time.total_seconds()) if run_time else 0,
        licence=details.licence,
        leaves=tuple(Raw(leaf_document(leaf)) for leaf in update.leaves),
    )


def _update(said: PublishedUpdateV1) -> FeedUpdate:
    details = UpdateDetails(
        update=update_id(KIND, said.id),
        vendor_id=said.id,
        title=said.title,
        description=said.description,
        feed=KIND,
        vendor=said.vendor,
        product=said.products[0],
        also_for=said.products[1:],
        classification=said.classification,
        severity=said.severity,
        cves=said.cves,
        packages=tuple(FixedPackage(p.name, p.version, p.architecture) for p in said.packages),
        languages=said.languages,
        architectures=said.architectures,
        supersedes=tuple(UpdateId(UUID(bytes=one)) for one in said.supersedes),
        max_run_time=timedelta(seconds=said.run_time_s) if said.run_time_s else None,
        licence=said.licence,
    )
    return FeedUpdate(details=details, leaves=tuple(map(_leaf, said.leaves)))


def _leaf(document: Raw) -> Leaf:
    return decode_leaf(entry(UNNUMBERED, FIRST, bytes(document)))
