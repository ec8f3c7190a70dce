"""Many rows by one statement, as fast as the driver goes.

The statement is written in SQLAlchemy's terms and compiled once; its rows then go straight to
the driver, since handling each value on the way costs more than storing it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Insert, Update
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

_Compiled = tuple[str, Callable[[Mapping[str, Any]], Any]]


class Batch:
    """A statement of at least two parameters, to be run for many rows."""

    def __init__(self, statement: Insert | Update) -> None:
        self._statement = statement

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        is_sqlite = connection.dialect.name == "sqlite"
        sql, values = self._on_sqlite if is_sqlite else self._on_postgres
        connection.exec_driver_sql(sql, [values(row) for row in rows])

    @cached_property
    def _on_sqlite(self) -> _Compiled:
        return self._compiled(sqlite_dialect())

    @cached_property
    def _on_postgres(self) -> _Compiled:
        return self._compiled(PGDialect_psycopg(paramstyle="format"))  # type: ignore[no-untyped-call]

    def _compiled(self, dialect: Any) -> _Compiled:
        compiled: Any = self._statement.compile(dialect=dialect)
        return str(compiled), itemgetter(*compiled.positiontup)
