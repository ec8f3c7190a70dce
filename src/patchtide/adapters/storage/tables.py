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


def _required(name: str, kind: object, **more: object) -> Column[object]:
    return Column(name, kind, nullable=False, **more)  # type: ignore[arg-type]


ticket = Table(
    "ticket",
    metadata,
    Column("id", Integer, primary_key=True),
    _required("epoch", String(32)),
    _required("n", Number),
)

number_block = Table(
    "number_block",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("first", Number, primary_key=True, autoincrement=False),
    _required("holder", String(256)),
    _required("used", Number),
)

client = Table(
    "client",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    _required("uuid", LargeBinary, unique=True),
    _required("name", String(256)),
    _required("public_key", LargeBinary),
    _required("machine", LargeBinary),
    _required("site", String(256)),
    _required("client_group", String(256)),
    _required("state", String(16)),
    _required("platform", String(256)),
    _required("agent_version", String(256)),
    _required("enrolled_at", Float),
    # What people say of it; empty: nothing.
    _required("owner", String(256), server_default=""),
    _required("roles", Text, server_default=""),
    _required("exposure", String(32), server_default=""),
    _required("location", String(256), server_default=""),
    # It is in build until then at the latest; 0: it was handed over, or never was.
    _required("build_until", Number, server_default="0"),
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
    _required("counter", Number),
    _required("lineage", LargeBinary),
    _required("digest", LargeBinary),
    _required("required", LargeBinary),
    _required("installed", LargeBinary),
    _required("unknown", LargeBinary),
    _required("shards", LargeBinary),
    _required("boot_id", String(256)),
    _required("scan", String(32)),
    _required("scan_error", Text),
    _required("scanned_at", Number),
    _required("aged_catalog", Boolean),
    _required("reported_at", Float),
    _required("restores", LargeBinary),
    # The epoch of the last full report; in any other epoch a new one is asked for.
    _required("report_epoch", String(32)),
    _required("change", Number),
    # When somebody asked for a scan that was not told of yet; 0: nobody did.
    _required("scan_wanted", Number, server_default="0"),
)

state_delta = Table(
    "state_delta",
    metadata,
    Column("change", Number, primary_key=True, autoincrement=False),
    _required("client", Number),
    _required("at", Float),
    _required("required_added", LargeBinary),
    _required("required_removed", LargeBinary),
    _required("installed_added", LargeBinary),
    _required("installed_removed", LargeBinary),
    _required("unknown_added", LargeBinary),
    _required("unknown_removed", LargeBinary),
)

client_event = Table(
    "client_event",
    metadata,
    Column("client", Number, primary_key=True, autoincrement=False),
    Column("counter", Number, primary_key=True, autoincrement=False),
    _required("at", Float),
    _required("events", LargeBinary),
    sqlite_with_rowid=False,
)

client_presence = Table(
    "client_presence",
    metadata,
    Column("client", Number, primary_key=True, autoincrement=False),
    _required("counter", Number),
    _required("seen_at", Float),
    _required("health", LargeBinary),
    _required("policy_at", Float, server_default="0"),
)

inventory_blob = Table(
    "inventory_blob",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    _required("body", LargeBinary),
    _required("at", Float),
)

client_inventory = Table(
    "client_inventory",
    metadata,
    Column("client", Number, primary_key=True, autoincrement=False),
    Column("kind", String(256), primary_key=True),
    Column("digest", LargeBinary, ForeignKey("inventory_blob.digest"), nullable=False),
    _required("at", Float),
    # When it was written; 0: before that was kept.
    _required("change", Number, server_default="0"),
    Index("client_inventory_by_digest", "digest"),
    Index("client_inventory_by_change", "change"),
)

enrolment_token = Table(
    "enrolment_token",
    metadata,
    Column("id", String(64), primary_key=True),
    _required("secret_hash", LargeBinary),
    _required("site", String(256)),
    _required("client_group", String(256)),
    _required("uses_left", Integer),
    _required("approve", Boolean),
    _required("created_at", Float),
    _required("expires_at", Float),
    _required("created_by", String(256)),
    # The expected machine that it is for, by its id; none: any machine.
    Column("machine", LargeBinary),
    # How often another machine showed it.
    _required("misses", Integer, server_default="0"),
)

api_token = Table(
    "api_token",
    metadata,
    Column("id", String(64), primary_key=True),
    _required("name", String(256)),
    _required("secret_hash", LargeBinary, unique=True),
    _required("rights", Text),
    _required("created_at", Float),
    Column("expires_at", Float),
    _required("created_by", String(256)),
    Column("revoked_at", Float),
)

user_account = Table(
    "user_account",
    metadata,
    Column("id", String(64), primary_key=True),
    _required("name", String(256), unique=True),
    _required("rights", Text),
    _required("password_hash", Text),
    _required("created_at", Float),
    _required("created_by", String(256)),
    Column("disabled_at", Float),
)

user_session = Table(
    "user_session",
    metadata,
    Column("secret_hash", LargeBinary, primary_key=True),
    _required("user_id", String(64)),
    _required("began_at", Float),
    _required("seen_at", Float),
    Column("proved_at", Float, nullable=False, server_default="0"),
    Column("keyed_at", Float),
    Column("challenge", LargeBinary),
    Column("challenge_until", Float),
    Index("user_session_by_user", "user_id"),
)

sign_in_link = Table(
    "sign_in_link",
    metadata,
    Column("secret_hash", LargeBinary, primary_key=True),
    _required("user_id", String(64)),
    _required("link_use", String(16)),
    _required("expires_at", Float),
    Index("sign_in_link_by_user", "user_id"),
)

setting = Table(
    "setting",
    metadata,
    Column("name", String(256), primary_key=True),
    _required("value", LargeBinary),
)

catalog_leaf = Table(
    "catalog_leaf",
    metadata,
    Column("shard", String(256), primary_key=True),
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("entered_serial", Number, primary_key=True, autoincrement=False),
    Column("dropped_serial", Number),
    _required("revision", Number),
    _required("update_id", LargeBinary),
    _required("document", LargeBinary),
    Index("catalog_leaf_by_entry", "shard", "entered_serial"),
    Index("catalog_leaf_by_exit", "shard", "dropped_serial"),
    Index("catalog_leaf_by_update", "update_id"),
)

# Whose a number is, for good: also after its leaf has left every shard.
catalog_number = Table(
    "catalog_number",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    _required("role", String(64)),
    _required("update_id", LargeBinary),
)

# What people read of an update; machines never get it.
catalog_update = Table(
    "catalog_update",
    metadata,
    Column("update_id", LargeBinary, primary_key=True),
    _required("document", LargeBinary),
    # What only the page of one update shows; lists of thousands are read without it.
    Column("texts", LargeBinary),
    Column("expired_at", Float),
)

# What the site's security staff say of an update; it outlives the update.
update_rating = Table(
    "update_rating",
    metadata,
    Column("update_id", LargeBinary, primary_key=True),
    _required("document", LargeBinary),
)

licence_acceptance = Table(
    "licence_acceptance",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    _required("at", Float),
    _required("accepted_by", String(256)),
)

update_search = Table(
    "update_search",
    metadata,
    Column("name", String(64), primary_key=True),
    _required("query", Text),
    _required("saved_by", String(256)),
    _required("at", Float),
)

own_update_search = Table(
    "own_update_search",
    metadata,
    Column("owner", String(256), primary_key=True),
    Column("name", String(64), primary_key=True),
    _required("query", Text),
    _required("at", Float),
)

update_list = Table(
    "update_list",
    metadata,
    Column("name", String(64), primary_key=True),
    _required("note", Text),
    _required("made_by", String(256)),
    _required("at", Float),
)

update_list_member = Table(
    "update_list_member",
    metadata,
    Column("list_name", String(64), primary_key=True),
    Column("update_id", LargeBinary, primary_key=True),
    Index("update_list_member_by_update", "update_id"),
)

# The history of synchronisations, one row each; `document` tells what came of it.
synchronisation = Table(
    "synchronisation",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    _required("at", Float),
    _required("document", LargeBinary),
)

# The fleet as it was counted last on each day (of UTC, by its number from year 1).
history_day = Table(
    "history_day",
    metadata,
    Column("day", Number, primary_key=True, autoincrement=False),
    _required("at", Float),
    _required("document", LargeBinary),
)

# How machines stood on each update on a day, a thousand updates a row.
history_block = Table(
    "history_block",
    metadata,
    Column("block", Number, primary_key=True, autoincrement=False),
    Column("day", Number, primary_key=True, autoincrement=False),
    _required("document", LargeBinary),
    Index("history_block_by_day", "day"),
)

# Where in those rows an update is, for good.
history_place = Table(
    "history_place",
    metadata,
    Column("place", Number, primary_key=True, autoincrement=False),
    _required("update_id", LargeBinary, unique=True),
)

# Of the last days, which machines needed what: by the place of the update, a thousand in a row.
# Block -1 says of a day that this was kept: what is in no other row nobody needed then.
history_needing = Table(
    "history_needing",
    metadata,
    Column("day", Number, primary_key=True, autoincrement=False),
    Column("block", Number, primary_key=True, autoincrement=False),
    _required("document", LargeBinary),
)

# How far each update had come by a day; of the newest two days alone.
history_progress = Table(
    "history_progress",
    metadata,
    Column("day", Number, primary_key=True, autoincrement=False),
    _required("document", LargeBinary),
)

# What rules of alerts raised; ended_at 0: it is raised.
alert = Table(
    "alert",
    metadata,
    Column("id", String(32), primary_key=True),
    _required("rule", String(64)),
    _required("text", Text),
    _required("raised_at", Float),
    _required("ended_at", Float),
    _required("acknowledged_by", String(256)),
    _required("acknowledged_at", Float),
    Index("alert_by_rule", "rule", "raised_at"),
    Index("alert_by_end", "ended_at"),
)

# What somebody outside is to be told; due_at says when it is tried next.
outbox = Table(
    "outbox",
    metadata,
    Column("message", String(32), primary_key=True),
    Column("channel", String(64), primary_key=True),
    _required("at", Float),
    _required("due_at", Float),
    _required("attempts", Integer),
    _required("error", Text),
    _required("document", LargeBinary),
    Index("outbox_by_due", "due_at"),
)

decision_log = Table(
    "decision_log",
    metadata,
    Column("change", Number, primary_key=True, autoincrement=False),
    _required("at", Float),
    _required("actor", String(256)),
    _required("operation", String(256)),
    _required("subject", String(256)),
    _required("detail", Text),
)

log_cursor = Table(
    "log_cursor",
    metadata,
    Column("follower", String(256), primary_key=True),
    _required("epoch", String(32)),
    _required("n", Number),
)

audit = Table(
    "audit",
    metadata,
    Column("sequence", Number, primary_key=True, autoincrement=False),
    _required("change", Number),
    _required("at", Float),
    _required("actor", String(256)),
    _required("operation", String(256)),
    _required("subject", String(256)),
    _required("detail", Text),
    _required("hash", LargeBinary),
    Index("audit_by_subject", "subject", "sequence"),
)

audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("sequence", Number, primary_key=True, autoincrement=False),
    _required("hash", LargeBinary),
    _required("at", Float),
    _required("signature", LargeBinary),
)
