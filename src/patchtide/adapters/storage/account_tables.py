"""People, and what stands for them: sessions, links and tokens."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, LargeBinary, String, Table, Text

from patchtide.adapters.storage.tables import metadata, required

api_token = Table(
    "api_token",
    metadata,
    Column("id", String(64), primary_key=True),
    required("name", String(256)),
    required("secret_hash", LargeBinary, unique=True),
    required("rights", Text),
    required("created_at", Float),
    Column("expires_at", Float),
    required("created_by", String(256)),
    Column("revoked_at", Float),
)

user_account = Table(
    "user_account",
    metadata,
    Column("id", String(64), primary_key=True),
    required("name", String(256), unique=True),
    required("rights", Text),
    required("password_hash", Text),
    required("created_at", Float),
    required("created_by", String(256)),
    Column("disabled_at", Float),
    Column("let_in_by", String(256), nullable=False, server_default=""),
)

user_session = Table(
    "user_session",
    metadata,
    Column("secret_hash", LargeBinary, primary_key=True),
    required("user_id", String(64)),
    required("began_at", Float),
    required("seen_at", Float),
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
    required("user_id", String(64)),
    required("link_use", String(16)),
    required("expires_at", Float),
    Column("shown_to", String(256), nullable=False, server_default=""),
    Index("sign_in_link_by_user", "user_id"),
)
