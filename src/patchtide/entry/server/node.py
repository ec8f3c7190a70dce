"""One node of a site, put together but not yet listening."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from patchtide.adapters.http.descriptors import Room
from patchtide.adapters.notify.metrics import Metrics
from patchtide.adapters.storage import Storage
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.adapters.trust.site_keys import SiteKeys
from patchtide.entry.server.agents import AgentsSide
from patchtide.entry.server.code_file import CodeFile
from patchtide.entry.server.settings import ServerSettings
from patchtide.entry.server.site import PublishedSite
from patchtide.server.catalog import CatalogPublisher
from patchtide.server.catalog_following import CatalogFollower
from patchtide.server.context import Context
from patchtide.server.trust_watch import TrustWatch


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One node, put together but not yet listening."""

    settings: ServerSettings
    port: int
    keys: SiteKeys
    storage: Storage
    repository: TrustRepository
    site: PublishedSite
    catalog: CatalogPublisher
    follower: CatalogFollower
    trust: TrustWatch
    agents: AgentsSide
    metrics: Metrics
    context: Context
    code: str
    """One-time code of a site that nobody has claimed yet; empty afterwards."""
    code_file: CodeFile
    room: Room
