"""One transaction, done once more where the database asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from patchtide.domain.errors import InvalidDocument, Problem, Unavailable

T = TypeVar("T")
TRIES = 5
# Serialisation failure, deadlock, and a blob that went while it was being referred to.
_AGAIN = frozenset({"40001", "40P01", "23503"})


def committed(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Run the work in one transaction; it may run more than once, and only the last one counts.

    Raises:
        Unavailable: the database cannot be reached, or is busy beyond patience.
        InvalidDocument: a value does not fit its column.
    """
    for attempt in range(TRIES):
        try:
            with engine.begin() as connection:
                return work(connection)
        except DataError as error:
            raise InvalidDocument([Problem("value", "cannot be stored")]) from error
        except DBAPIError as error:
            again = getattr(error.orig, "sqlstate", None) in _AGAIN
            if again and attempt + 1 < TRIES:
                time.sleep(0.01 * 2**attempt)
            elif again or isinstance(error, OperationalError):
                raise Unavailable("the database does not answer") from error
            else:
                raise
    raise Unavailable


def read(engine: Engine, question: Callable[[Connection], T]) -> T:
    """Ask in one short read-only transaction.

    Raises:
        Unavailable: no answer within five seconds, or no connection free.
    """
    try:
        with engine.begin() as connection:
            return question(connection)
    except (OperationalError, NoConnectionFree) as error:
        raise Unavailable("the database does not answer") from error
