"""What the agents' role may do on PostgreSQL: take reports, and nothing else (S12)."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Engine
from sqlalchemy.engine import Connection

AGENTS_MAY: Mapping[str, frozenset[str]] = {
    "ticket": frozenset({"SELECT", "UPDATE"}),
    "client_state": frozenset({"SELECT", "UPDATE"}),
    "client_presence": frozenset({"SELECT", "UPDATE"}),
    "state_delta": frozenset({"INSERT"}),
    "client_event": frozenset({"INSERT"}),
    "inventory_blob": frozenset({"INSERT"}),
    "changed_inventory": frozenset({"INSERT"}),
    "client_inventory": frozenset({"SELECT", "INSERT", "UPDATE"}),
}


def grant_agents(engine: Engine, role: str) -> None:
    """Give the role exactly what the list says, whatever it had; every role loses DDL."""
    with engine.begin() as connection:
        if connection.dialect.name != "postgresql":
            return
        for statement in _statements(connection, role):
            connection.exec_driver_sql(statement)


def _statements(connection: Connection, role: str) -> list[str]:
    quote = connection.dialect.identifier_preparer.quote
    to, database = quote(role), quote(str(connection.engine.url.database))
    granted = [
        f"GRANT {', '.join(sorted(rights))} ON {quote(table)} TO {to}"
        for table, rights in AGENTS_MAY.items()
    ]
    return [
        # Before PostgreSQL 15 everybody may make tables there.
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC",
        f"REVOKE ALL ON SCHEMA public FROM {to}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {to}",
        f"GRANT USAGE ON SCHEMA public TO {to}",
        *granted,
    ]
