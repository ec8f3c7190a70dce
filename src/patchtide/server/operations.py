"""The operation table: everything anybody can ask of a server, declared once.

Those without a handler are served by an adapter that knows them by name: the agents' plane is
binary and signed, and the description is made from this very table.
"""

from __future__ import annotations

from patchtide.domain.access.limits import Deed
from patchtide.domain.access.principals import Gate
from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.server import (
    api_tokens,
    audit_trail,
    bootstrap,
    figures,
    restoration,
    site_status,
)
from patchtide.server.account_operations import ACCOUNTS, ROLES
from patchtide.server.alert_operations import ALERTS, CHANNELS
from patchtide.server.calendar_operations import CALENDAR
from patchtide.server.catalog_operations import CATALOG
from patchtide.server.collection_operations import COLLECTIONS
from patchtide.server.console_pages import PAGES
from patchtide.server.describing_operations import DESCRIBING
from patchtide.server.exchange_operations import EXCHANGE
from patchtide.server.fleet_operations import FLEET
from patchtide.server.history_operations import HISTORY
from patchtide.server.list_operations import LISTS, SEARCHES
from patchtide.server.proposal_operations import proposal_operations
from patchtide.server.publisher_operations import PUBLISHER
from patchtide.server.report_operations import REPORTS
from patchtide.server.settings_operations import SETTINGS
from patchtide.server.sign_in_operations import KEYS, SESSIONS
from patchtide.server.subscription_operations import SUBSCRIPTIONS
from patchtide.server.table import API, Operation, Plane, Table
from patchtide.server.update_operations import UPDATES

_AGENTS_PLANE = (
    Operation(
        name="agents.enrol",
        plane=Plane.AGENTS,
        method="POST",
        path="/agent/v1/enrol",
        policy=Gate.ENROLMENT_TOKEN,
        sentence="A machine asks for an identity, with a token and a key it made itself.",
        audited=True,
    ),
    Operation(
        name="agents.checkin",
        plane=Plane.AGENTS,
        method="POST",
        path="/agent/v1/checkin",
        policy=Gate.AGENT_KEY,
        sentence="A machine says what it has and hears what is newer.",
    ),
    Operation(
        name="agents.report",
        plane=Plane.AGENTS,
        method="POST",
        path="/agent/v1/report",
        policy=Gate.AGENT_KEY,
        sentence="A machine reports its states; the answer means they are durable.",
        status=202,
    ),
    Operation(
        name="agents.inventory",
        plane=Plane.AGENTS,
        method="POST",
        path="/agent/v1/inventory",
        policy=Gate.AGENT_KEY,
        sentence="A machine sends a list that the server asked for.",
        status=202,
    ),
    Operation(
        name="agents.events",
        plane=Plane.AGENTS,
        method="GET",
        path="/agent/v1/events",
        policy=Gate.AGENT_KEY,
        sentence="A machine holds a line open to be told to check in now.",
    ),
    Operation(
        name="agents.catalog",
        plane=Plane.AGENTS,
        method="GET",
        path="/catalog/{path:path}",
        policy=Gate.PUBLIC_VERIFIED,
        sentence="Signed metadata and shards of the catalog.",
    ),
    Operation(
        name="agents.catch-up",
        plane=Plane.AGENTS,
        method="GET",
        path="/since/{path}",
        policy=Gate.PUBLIC_VERIFIED,
        sentence="All that was signed since what a machine has, in one answer.",
    ),
    Operation(
        name="agents.content",
        plane=Plane.AGENTS,
        method="GET",
        path="/content/{path}",
        policy=Gate.PUBLIC_VERIFIED,
        sentence="A file by its SHA-256.",
    ),
)

_SITE = (
    Operation(
        name="site.health",
        plane=Plane.PUBLIC,
        method="GET",
        path=API + "/health",
        policy=Gate.PUBLIC,
        sentence="Say whether the server answers.",
        output=site_status.Health,
        handler=site_status.health,
    ),
    Operation(
        name="site.bootstrap",
        plane=Plane.PUBLIC,
        method="POST",
        path=API + "/bootstrap",
        policy=Gate.ONE_TIME_CODE,
        sentence="Claim a fresh server with its one-time code and get the first API token.",
        input=bootstrap.Bootstrap,
        output=api_tokens.IssuedApiToken,
        handler=bootstrap.bootstrap,
        status=201,
        audited=True,
        example="site bootstrap --code 0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    ),
    Operation(
        name="site.mark-restored",
        plane=Plane.ADMINISTRATORS,
        method="POST",
        path=API + "/restored",
        policy=Right(Kind.SITE, Verb.ADMINISTER),
        sentence="Begin a new epoch after a restore: all machines are asked for full reports.",
        input=restoration.MarkRestored,
        output=restoration.Restored,
        handler=restoration.mark_restored,
        audited=True,
        targets_all=True,
        deed=Deed.DISTURB,
        fresh=True,
        columns=("at", "actor", "operation", "subject"),
        example="site mark-restored --numbers-above 71200",
    ),
    Operation(
        name="site.description",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/openapi.json",
        policy=Gate.SIGNED_IN,
        sentence="Describe the administrators' plane as an OpenAPI 3.1 document.",
    ),
    Operation(
        name="site.metrics",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path="/metrics",
        policy=Right(Kind.METRICS, Verb.READ),
        sentence="Give the figures of the site and of this node, as Prometheus reads them.",
        media_types=("text/plain; version=0.0.4; charset=utf-8",),
        handler=figures.metrics,
    ),
    Operation(
        name="whoami",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/whoami",
        policy=Gate.SIGNED_IN,
        sentence="Say whom the token stands for and what it may do.",
        output=api_tokens.Whoami,
        handler=api_tokens.whoami,
    ),
)

_AUDIT = (
    Operation(
        name="audit.list",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/audit",
        policy=Right(Kind.AUDIT, Verb.READ),
        sentence="List the audit entries in order.",
        input=audit_trail.ListAudit,
        output=audit_trail.AuditList,
        handler=audit_trail.list_some,
        columns=("sequence", "at", "actor", "operation", "subject", "detail"),
        example="audit list --after 1200 --json",
    ),
    Operation(
        name="audit.verify",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/audit/verification",
        policy=Right(Kind.AUDIT, Verb.READ),
        sentence="Verify the chain of audit entries and name the first that is not what it was.",
        output=audit_trail.AuditVerdict,
        handler=audit_trail.verify,
    ),
)

_OPERATIONS = (
    *_AGENTS_PLANE,
    *_SITE,
    *FLEET,
    *UPDATES,
    *DESCRIBING,
    *HISTORY,
    *ACCOUNTS,
    *ROLES,
    *_AUDIT,
    *CATALOG,
    *EXCHANGE,
    *PUBLISHER,
    *SEARCHES,
    *LISTS,
    *COLLECTIONS,
    *CALENDAR,
    *SETTINGS,
    *REPORTS,
    *SUBSCRIPTIONS,
    *ALERTS,
    *CHANNELS,
    *SESSIONS,
    *KEYS,
    *PAGES,
)
OPERATIONS = Table((*_OPERATIONS, *proposal_operations(_OPERATIONS)))
