"""The tables, declared once for both databases. Times are epoch seconds; nothing is local."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()
Number = BigInteger().with_variant(Integer, "sqlite")


def required(name: str, kind: object, **more: object) -> Column[object]:
    return Column(name, kind, nullable=False, **more)  # type: ignore[arg-type]


ticket = Table(
    "ticket",
    metadata,
    Column("id", Integer, primary_key=True),
    required("epoch", String(32)),
    required("n", Number),
)

number_block = Table(
    "number_block",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("first", Number, primary_key=True, autoincrement=False),
    required("holder", String(256)),
    required("used", Number),
)

client = Table(
    "client",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    required("uuid", LargeBinary, unique=True),
    required("name", String(256)),
    required("public_key", LargeBinary),
    required("machine", LargeBinary),
    required("site", String(256)),
    required("client_group", String(256)),
    required("state", String(16)),
    required("platform", String(256)),
    required("agent_version", String(256)),
    required("enrolled_at", Float),
    # What people say of it; empty: nothing.
    required("owner", String(256), server_default=""),
    required("roles", Text, server_default=""),
    required("exposure", String(32), server_default=""),
    required("location", String(256), server_default=""),
    # It is in build until then at the latest; 0: it was handed over, or never was.
    required("build_until", Number, server_default="0"),
    Index("client_by_key", "public_key"),
    Index("client_by_machine", "machine"),
    Index("client_by_name", "name"),
)
# Of a hundred thousand machines a few are in build.
Index(
    "client_in_build",
    client.c.build_until,
    sqlite_where=client.c.build_until > 0,
    postgresql_where=client.c.build_until > 0,
)

client_state = Table(
    "client_state",
    metadata,
    Column("client", Number, primary_key=True, autoincrement=False),
    required("counter", Number),
    required("lineage", LargeBinary),
    required("digest", LargeBinary),
    required("required", LargeBinary),
    required("installed", LargeBinary),
    required("unknown", LargeBinary),
    required("shards", LargeBinary),
    required("boot_id", String(256)),
    required("scan", String(32)),
    required("scan_error", Text),
    required("scanned_at", Number),
    required("aged_catalog", Boolean),
    required("reported_at", Float),
    required("restores", LargeBinary),
    # The epoch of the last full report; in any other epoch a new one is asked for.
    required("report_epoch", String(32)),
    required("change", Number),
    # When somebody asked for a scan that was not told of yet; 0: nobody did.
    required("scan_wanted", Number, server_default="0"),
)

state_delta = Table(
    "state_delta",
    metadata,
    Column("change", Number, primary_key=True, autoincrement=False),
    required("client", Number),
    required("at", Float),
    required("required_added", LargeBinary),
    required("required_removed", LargeBinary),
    required("installed_added", LargeBinary),
    required("installed_removed", LargeBinary),
    required("unknown_added", LargeBinary),
    required("unknown_removed", LargeBinary),
)

client_event = Table(
    "client_event",
    metadata,
    Column("client", Number, primary_key=True, autoincrement=False),
    Column("counter", Number, primary_key=True, autoincrement=False),
    required("at", Float),
    required("events", LargeBinary),
    sqlite_with_rowid=False,
)

client_presence = Table(
    "client_presence",
    metadata,
    Column("client", Number, primary_key=True, autoincrement=False),
    required("counter", Number),
    required("seen_at", Float),
    required("health", LargeBinary),
    required("policy_at", Float, server_default="0"),
)

inventory_blob = Table(
    "inventory_blob",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    required("body", LargeBinary),
    required("at", Float),
)

client_inventory = Table(
    "client_inventory",
    metadata,
    Column("client", Number, primary_key=True, autoincrement=False),
    Column("kind", String(256), primary_key=True),
    Column("digest", LargeBinary, ForeignKey("inventory_blob.digest"), nullable=False),
    required("at", Float),
    # When it was written; 0: before that was kept.
    required("change", Number, server_default="0"),
    Index("client_inventory_by_digest", "digest"),
    Index("client_inventory_by_change", "change"),
)

enrolment_token = Table(
    "enrolment_token",
    metadata,
    Column("id", String(64), primary_key=True),
    required("secret_hash", LargeBinary),
    required("site", String(256)),
    required("client_group", String(256)),
    required("uses_left", Integer),
    required("approve", Boolean),
    required("created_at", Float),
    required("expires_at", Float),
    required("created_by", String(256)),
    # The expected machine that it is for, by its id; none: any machine.
    Column("machine", LargeBinary),
    # How often another machine showed it.
    required("misses", Integer, server_default="0"),
)

setting = Table(
    "setting",
    metadata,
    Column("name", String(256), primary_key=True),
    required("value", LargeBinary),
)

# What rules of alerts raised; ended_at 0: it is raised.
alert = Table(
    "alert",
    metadata,
    Column("id", String(32), primary_key=True),
    required("rule", String(64)),
    required("text", Text),
    required("raised_at", Float),
    required("ended_at", Float),
    required("acknowledged_by", String(256)),
    required("acknowledged_at", Float),
    Index("alert_by_rule", "rule", "raised_at"),
    Index("alert_by_end", "ended_at"),
)

# What somebody outside is to be told; due_at says when it is tried next.
outbox = Table(
    "outbox",
    metadata,
    Column("message", String(32), primary_key=True),
    Column("channel", String(64), primary_key=True),
    required("at", Float),
    required("due_at", Float),
    required("attempts", Integer),
    required("error", Text),
    required("document", LargeBinary),
    Index("outbox_by_due", "due_at"),
)

decision_log = Table(
    "decision_log",
    metadata,
    Column("change", Number, primary_key=True, autoincrement=False),
    required("at", Float),
    required("actor", String(256)),
    required("operation", String(256)),
    required("subject", String(256)),
    required("detail", Text),
)

log_cursor = Table(
    "log_cursor",
    metadata,
    Column("follower", String(256), primary_key=True),
    required("epoch", String(32)),
    required("n", Number),
)

audit = Table(
    "audit",
    metadata,
    Column("sequence", Number, primary_key=True, autoincrement=False),
    required("change", Number),
    required("at", Float),
    required("actor", String(256)),
    required("operation", String(256)),
    required("subject", String(256)),
    required("detail", Text),
    required("hash", LargeBinary),
    Index("audit_by_subject", "subject", "sequence"),
)

audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("sequence", Number, primary_key=True, autoincrement=False),
    required("hash", LargeBinary),
    required("at", Float),
    required("signature", LargeBinary),
)
