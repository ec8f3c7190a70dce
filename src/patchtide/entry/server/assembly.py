"""The use cases of one server over its adapters, put together; nothing runs yet."""

from __future__ import annotations

from dataclasses import dataclass

from patchtide.adapters.authenticators.webauthn import WebAuthn
from patchtide.adapters.content.files import FileContentStore
from patchtide.adapters.http.arrivals import ArrivalLimits
from patchtide.adapters.http.descriptors import Room, make_room
from patchtide.adapters.http.events import Events
from patchtide.adapters.http.protocol import ConnectionLimits
from patchtide.adapters.notify.metrics import Metrics
from patchtide.adapters.passwords.argon2id import Argon2Passwords
from patchtide.adapters.reports.writer import ReportFiles
from patchtide.adapters.storage import Storage
from patchtide.adapters.trust.drafted import DraftedRoles
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.adapters.trust.site_keys import SiteKeys
from patchtide.entry.server.agents import AgentsSide, build_agents_side
from patchtide.entry.server.audit_folder import AuditFolder
from patchtide.entry.server.code_file import CodeFile
from patchtide.entry.server.feeds import FeedsSide, build_feeds_side
from patchtide.entry.server.fleet_file import FleetFile, kept_view
from patchtide.entry.server.metrics import build_metrics
from patchtide.entry.server.node import Server, SystemClock
from patchtide.entry.server.notifying import build_senders
from patchtide.entry.server.settings import ServerSettings
from patchtide.entry.server.site import PublishedSite
from patchtide.server.attempts import Attempts
from patchtide.server.authentication import ApiTokens
from patchtide.server.bootstrap import is_done
from patchtide.server.bootstrap_code import BootstrapCode
from patchtide.server.catalog import CatalogPublisher
from patchtide.server.catalog_following import CatalogFollower
from patchtide.server.context import Context
from patchtide.server.drafts import DraftDesk
from patchtide.server.failed_sign_ins import FailedSignIns
from patchtide.server.fleet import Fleet
from patchtide.server.passwords import PasswordDesk
from patchtide.server.report_desk import ReportDesk
from patchtide.server.token_vouching import places_in
from patchtide.server.told_rows import RowsBeside
from patchtide.server.trust_watch import TrustWatch
from patchtide.server.vendor_shelf import VendorShelf


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What every side of the server stands on."""

    settings: ServerSettings
    keys: SiteKeys
    storage: Storage
    repository: TrustRepository
    clock: SystemClock
    site: PublishedSite
    content: FileContentStore
    catalog: CatalogPublisher
    fleet: Fleet


async def assemble(
    settings: ServerSettings,
    port: int,
    *,
    keys: SiteKeys,
    storage: Storage,
    repository: TrustRepository,
    reader: RowsBeside,
) -> Server:
    """Return the server, its catalog published up to the last decision."""
    ground = _ground(settings, keys=keys, storage=storage, repository=repository, reader=reader)
    await ground.catalog.catch_up()
    room = _room(settings)
    agents = build_agents_side(
        settings,
        storage,
        ground.site,
        clock=ground.clock,
        authorities=frozenset(settings.authorities(port)),
        answers=keys.answers,
        events=Events(limit=room.events),
        places=places_in(ground.fleet),
    )
    ground.site.announce = agents.events.announce
    metrics = build_metrics(settings, storage, agents)
    code_file = CodeFile(settings.home)
    code, text = _claim(storage, code_file)
    return Server(
        settings=settings,
        port=port,
        keys=keys,
        storage=storage,
        repository=repository,
        site=ground.site,
        catalog=ground.catalog,
        follower=CatalogFollower(
            following=storage, serials=ground.catalog.serials, published=ground.site.published
        ),
        trust=TrustWatch(
            look=ground.site.look_again, decisions=storage, lookups=storage, clock=ground.clock
        ),
        agents=agents,
        metrics=metrics,
        context=_context(
            ground, agents=agents, feeds=_feeds(ground), metrics=metrics, code=code, port=port
        ),
        code=text,
        code_file=code_file,
        room=room,
    )


def _ground(
    settings: ServerSettings,
    *,
    keys: SiteKeys,
    storage: Storage,
    repository: TrustRepository,
    reader: RowsBeside,
) -> _Ground:
    clock = SystemClock()
    site = PublishedSite(settings.site, keys.answers, repository)
    content = FileContentStore(settings.home / "content")
    catalog = CatalogPublisher(
        decisions=storage,
        reading=storage,
        content=content,
        signer=repository,
        clock=clock,
        published=site.published,
    )
    return _Ground(
        settings=settings,
        keys=keys,
        storage=storage,
        repository=repository,
        clock=clock,
        site=site,
        content=content,
        catalog=catalog,
        fleet=Fleet(
            storage,
            catalog,
            clock,
            keeping=FleetFile(kept_view(settings.home)),
            beside=reader,
        ),
    )


def _room(settings: ServerSettings) -> Room:
    return make_room(
        Room(
            connections=ConnectionLimits().connections,
            handshakes=ArrivalLimits().at_once,
            events=settings.events,
        )
    )


def _claim(storage: Storage, code_file: CodeFile) -> tuple[BootstrapCode, str]:
    """Return what claims the site: a code and its text, or none once somebody has."""
    if is_done(storage):
        return BootstrapCode(None), ""
    return BootstrapCode.issue(spent=code_file.remove)


def _feeds(ground: _Ground) -> FeedsSide:
    catalog = ground.catalog
    return build_feeds_side(
        ground.settings,
        ground.storage,
        catalog=catalog,
        fleet=ground.fleet,
        clock=ground.clock,
        vendors=VendorShelf(
            content=ground.content,
            signer=ground.repository,
            lineage=catalog.lineage,
            naming=catalog.naming,
        ),
    )


def _context(
    ground: _Ground,
    *,
    agents: AgentsSide,
    feeds: FeedsSide,
    metrics: Metrics,
    code: BootstrapCode,
    port: int,
) -> Context:
    storage, clock = ground.storage, ground.clock
    return Context(
        decisions=storage,
        reading=storage,
        lookups=storage,
        clock=clock,
        catalog=ground.catalog,
        fleet=ground.fleet,
        api_tokens=ApiTokens(storage, clock),
        bootstrap_code=code,
        passwords=PasswordDesk(Argon2Passwords()),
        attempts=Attempts(),
        failed_sign_ins=FailedSignIns(storage, clock),
        synchronisations=feeds.desk,
        descriptions=feeds.descriptions,
        exchange=feeds.exchange,
        content=ground.content,
        drafts=_drafts(ground, feeds),
        exposition=metrics.exposition,
        audit_archive=AuditFolder(ground.settings.home / "audit"),
        reports_waiting=lambda: storage.waiting()["reports"],
        report_files=ReportDesk(ReportFiles()),
        channels=build_senders(ground.settings),
        authenticators=WebAuthn(),
        hosts=ground.settings.authorities(port),
        site_name=ground.settings.site,
        site_ca=ground.keys.ca_digest,
        machines_changed=agents.machines_changed,
        lists_wanted=agents.inventories.want,
        agents=agents.told,
    )


def _drafts(ground: _Ground, feeds: FeedsSide) -> DraftDesk:
    return DraftDesk(
        publisher=ground.catalog,
        reading=ground.storage,
        described=ground.storage,
        details=feeds.descriptions,
        decisions=ground.storage,
        content=ground.content,
        signer=DraftedRoles(ground.repository),
        clock=ground.clock,
    )
