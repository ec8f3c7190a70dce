"""Updates by query: which of all that are known answer to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyroaring import BitMap

from patchtide.domain.catalog.queries import Fields, select
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.update_query import update_fields
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import KnownUpdate
from patchtide.server.update_index import UpdateGround, UpdateIndex


def fields_of(view: View) -> Fields:
    """Return what can be asked of updates now: which lists there are is known only here."""
    return update_fields(sorted(view.lists))


def answering(index: UpdateIndex, view: View, query: str) -> list[KnownUpdate]:
    """Return the updates, offered or expired, that answer to the query.

    Raises:
        InvalidQuery
    """
    ground = index.ground(view)
    return ground.those(found_by(ground, view, query))


def found_by(ground: UpdateGround, view: View, query: str) -> BitMap:
    """Return the places of those that answer to the query.

    Raises:
        InvalidQuery
    """
    fields = fields_of(view)
    return select(parse_query(query, fields), fields=fields, ground=ground)


def known_values(index: UpdateIndex, view: View) -> Mapping[str, Sequence[str]]:
    """Return what values there are of fields that hold texts of few kinds."""
    ground = index.ground(view)
    return {
        field: sorted(map(str, ground.values(field))) for field in ("product", "feed", "vendor")
    }
