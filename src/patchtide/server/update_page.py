"""One update: its text, its rules, and what it has to do with others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.details import Classification, UpdateDetails
from patchtide.domain.catalog.installers import Installer
from patchtide.domain.catalog.judged import Acceptance
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rule_text import lines
from patchtide.domain.catalog.rules import Rule
from patchtide.domain.catalog.updates import Restart
from patchtide.domain.catalog.updates import UpdateId as CatalogId
from patchtide.server.context import Call
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import Counted, KnownUpdate
from patchtide.server.ports.catalog import StoredLeaf
from patchtide.server.table import Input, Output
from patchtide.server.update_decisions import ShownRating, rating_of
from patchtide.server.updates import Update, UpdateId, shown
from patchtide.wire.leaves import entry, read_leaves


class OneUpdate(Input, kw_only=True, frozen=True):
    update: UpdateId


class RuleLine(Output, kw_only=True, frozen=True):
    depth: int
    text: str


class ShownFile(Output, kw_only=True, frozen=True):
    name: str
    version: str
    sha256: str
    size_bytes: int
    sources: tuple[str, ...]
    """Where its vendor offers it."""


class ShownInstaller(Output, kw_only=True, frozen=True):
    kind: str
    program: str
    """The file that is run; empty: the package's own tool installs it."""
    arguments: tuple[str, ...]
    """Each as the program gets it: no shell splits or expands them."""
    success_codes: tuple[int, ...]
    restart_codes: tuple[int, ...]


class ShownLeaf(Output, kw_only=True, frozen=True):
    """A variant of the update, for one platform."""

    shard: str
    revision: int
    origin: str
    restart: str
    exclusive: bool
    files: tuple[ShownFile, ...]
    installer: ShownInstaller | None
    """Of a custom update; null: its platform installs it from its vendor's archive."""
    prerequisite: tuple[RuleLine, ...]
    """When it is looked at on a machine at all."""
    applicable: tuple[RuleLine, ...]
    """When the machine is one that it is for."""
    installed: tuple[RuleLine, ...]
    """When it is there already."""


class NamedUpdate(Output, kw_only=True, frozen=True):
    id: UUID
    title: str


class ShownUpdate(Update, kw_only=True, frozen=True):
    description: str
    vendor: str
    feed: str
    revision: int
    """Rises whenever its vendor describes it otherwise."""
    revised: datetime | None
    advisories: tuple[str, ...]
    products: tuple[str, ...]
    languages: tuple[str, ...]
    """None: it is for all."""
    architectures: tuple[str, ...]
    """None: it is for all."""
    restart: str
    """Whether installing needs a restart: the most that any of its leaves says."""
    max_run_s: int
    """How long an installation may take."""
    exclusive: bool
    """It has to be installed alone."""
    can_uninstall: bool
    terms: str
    """The licence terms that have to be accepted for the site; empty: there are none."""
    terms_sha256: str
    accepted_at: datetime | None
    """When somebody accepted the terms, and who."""
    accepted_by: str
    rating: ShownRating
    expired_at: datetime | None
    """Since when its vendor stands by it no more; it is offered nowhere then."""
    supersedes: tuple[NamedUpdate, ...]
    superseded_by: tuple[NamedUpdate, ...]
    """Where one of these applies, or what supersedes them, this one is not required."""
    members: tuple[NamedUpdate, ...]
    """It is a bundle of these."""
    leaves: tuple[ShownLeaf, ...]


Places = Mapping[bytes, tuple[str, ...]]
"""A file's digest -> where its vendor offers it."""
_RESTARTS = tuple(restart.value for restart in Restart)


async def show(call: Call, principal: Principal, asked: OneUpdate) -> ShownUpdate:
    return await call.read_fleet(lambda: _shown(call, asked.update))


def _shown(call: Call, update: UUID) -> ShownUpdate:
    fleet = call.context.fleet
    found, others = fleet.ask(lambda view: _with_others(view, view.update(update)))
    told = next(iter(fleet.store.update_details([update])), None)
    listed, details = shown(found), told or _untold(found.update)
    places = _places(details)
    stored = (leaf for one in (update, *others.parts) for leaf in fleet.store.leaves_of(one))
    leaves = tuple(_leaves(found.update, stored, places))
    return ShownUpdate(
        **{name: getattr(listed, name) for name in Update.__struct_fields__},
        description=details.description,
        vendor=details.vendor,
        feed=details.feed,
        revision=details.revision,
        revised=details.revised,
        advisories=details.advisories,
        products=tuple(filter(None, details.products)),
        languages=details.languages,
        architectures=details.architectures,
        restart=max((leaf.restart for leaf in leaves), key=_RESTARTS.index, default=_RESTARTS[0]),
        max_run_s=round(details.run_time.total_seconds()),
        exclusive=any(leaf.exclusive for leaf in leaves),
        can_uninstall=details.can_uninstall,
        terms=details.licence,
        terms_sha256=details.licence_digest.hex(),
        accepted_at=others.acceptance.at if others.acceptance else None,
        accepted_by=others.acceptance.by if others.acceptance else "",
        rating=others.rating,
        expired_at=details.expired_at,
        supersedes=others.supersedes,
        superseded_by=others.superseded_by,
        members=others.members,
        leaves=leaves,
    )


@dataclass(frozen=True, slots=True)
class _Others:
    supersedes: tuple[NamedUpdate, ...]
    superseded_by: tuple[NamedUpdate, ...]
    members: tuple[NamedUpdate, ...]
    parts: frozenset[UUID]
    """Of a bundle, also those of its members."""
    acceptance: Acceptance | None
    rating: ShownRating


def _with_others(view: View, update: KnownUpdate) -> tuple[Counted, _Others]:
    members = update.details.members if update.details else ()
    others = _Others(
        _named(view.known(update.supersedes)),
        _named(view.successors(update)),
        _named(view.known(members)),
        view.catalog.bundles.get(update.id, frozenset()),
        view.judged.acceptance(update.details) if update.details else None,
        rating_of(view, update),
    )
    return view.counted(update), others


def _named(updates: Iterable[KnownUpdate]) -> tuple[NamedUpdate, ...]:
    return tuple(
        NamedUpdate(id=x.id, title=x.title) for x in sorted(updates, key=lambda x: x.order[1:])
    )


def _untold(update: KnownUpdate) -> UpdateDetails:
    """Return what is shown of an update that no feed tells anything of."""
    return UpdateDetails(
        update=CatalogId(update.id),
        vendor_id="",
        title=update.title,
        feed="",
        vendor="",
        product="",
        classification=Classification.GENERAL,
    )


def _places(details: UpdateDetails) -> Places:
    found: dict[bytes, tuple[str, ...]] = {}
    for source in details.sources:
        found[source.sha256] = (*found.get(source.sha256, ()), source.address)
    return found


def _leaves(
    update: KnownUpdate, stored: Iterable[StoredLeaf], places: Places
) -> Iterable[ShownLeaf]:
    """Yield the leaves in the revision that is published."""
    by_place = {(leaf.number, leaf.entered_serial): leaf for leaf in stored}
    for placed in update.leaves:
        kept = by_place.get((placed.number, placed.entered))
        if kept is not None:
            [leaf], _ = read_leaves([entry(kept.number, kept.revision, kept.document)])
            yield _leaf(leaf, placed.shard, places)


def _leaf(leaf: Leaf, shard: str, places: Places) -> ShownLeaf:
    return ShownLeaf(
        shard=shard,
        revision=leaf.revision,
        origin=leaf.origin.text,
        restart=leaf.restart.value,
        exclusive=leaf.exclusive,
        files=tuple(
            ShownFile(
                name=f.name,
                version=f.version,
                sha256=f.sha256.hex(),
                size_bytes=f.size_bytes,
                sources=places.get(f.sha256, ()),
            )
            for f in leaf.files
        ),
        installer=_installer(leaf.installer),
        prerequisite=_worded(leaf.prerequisite),
        applicable=_worded(leaf.applicable),
        installed=_worded(leaf.installed),
    )


def _installer(installer: Installer | None) -> ShownInstaller | None:
    if installer is None:
        return None
    return ShownInstaller(
        kind=installer.kind.value,
        program=installer.program,
        arguments=installer.arguments,
        success_codes=tuple(sorted(installer.success_codes)),
        restart_codes=tuple(sorted(installer.restart_codes)),
    )


def _worded(rule: Rule) -> tuple[RuleLine, ...]:
    return tuple(RuleLine(depth=line.depth, text=line.text) for line in lines(rule))
