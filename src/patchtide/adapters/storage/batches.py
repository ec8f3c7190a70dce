"""Many rows by one statement, as fast as the driver goes.

The statement is written in SQLAlchemy's terms and compiled once; its rows then go straight to
the driver, since handling each value on the way costs more than storing it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Insert, Update
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

_Compiled = tuple[str, Callable[[Mapping[str, Any]], Any]]


_VALUES = re.compile(r"(.*\bVALUES )(\([?, ]+\))(.*)", re.DOTALL)
_WIDTH = 64
"""Rows in one statement, and so many statements that a connection keeps."""


class Batch:
    """A statement of at least two parameters, to be run for many rows."""

    def __init__(self, statement: Insert | Update, *, on_sqlite: Insert | None = None) -> None:
        """`on_sqlite` says the same as an insertion, which there is run for many rows at once."""
        self._statement = statement
        self._sqlite_statement = statement if on_sqlite is None else on_sqlite

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            self._run_on_sqlite(connection, rows)
        else:
            sql, values = self._on_postgres
            connection.exec_driver_sql(sql, [values(row) for row in rows])

    def _run_on_sqlite(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        sql, values = self._on_sqlite
        wide = _VALUES.fullmatch(sql)
        if wide is None:
            connection.exec_driver_sql(sql, [values(row) for row in rows])
            return
        # Each run of a statement gives up the interpreter, and has to wait to get it back.
        before, group, after = wide.groups()
        for start in range(0, len(rows), _WIDTH):
            some = rows[start : start + _WIDTH]
            said = f"{before}{', '.join([group] * len(some))}{after}"
            connection.exec_driver_sql(said, tuple(chain.from_iterable(map(values, some))))

    @cached_property
    def _on_sqlite(self) -> _Compiled:
        return self._compiled(self._sqlite_statement, sqlite_dialect())

    @cached_property
    def _on_postgres(self) -> _Compiled:
        # Loaded where it is needed: it brings all of PostgreSQL's other drivers along.
        from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

        dialect = PGDialect_psycopg(paramstyle="format")  # type: ignore[no-untyped-call]
        return self._compiled(self._statement, dialect)

    @staticmethod
    def _compiled(statement: Insert | Update, dialect: Any) -> _Compiled:
        compiled: Any = statement.compile(dialect=dialect)
        return str(compiled), itemgetter(*compiled.positiontup)
