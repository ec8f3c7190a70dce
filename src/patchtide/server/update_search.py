"""Updates by query: which of all that are known answer to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from pyroaring import BitMap

from patchtide.domain.catalog.queries import Fits, Value, select
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.risk import Rating
from patchtide.domain.catalog.update_query import UPDATE_FIELDS
from patchtide.domain.catalog.updates import UpdateId
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import KnownUpdate

_STATES = ("required", "installed", "not_required", "unknown")
_NAMES = tuple(name.replace("_", "-") for name in _STATES)


def answering(view: View, query: str) -> list[KnownUpdate]:
    """Return the updates, offered or expired, that answer to the query.

    Raises:
        InvalidQuery
    """
    asked = parse_query(query, UPDATE_FIELDS)
    known = list(chain(view.updates.values(), view.catalog.expired.values()))
    found = select(asked, fields=UPDATE_FIELDS, ground=UpdateGround(view, known))
    return [known[number] for number in found]


class UpdateGround:
    """Updates under their places in a list."""

    def __init__(self, view: View, updates: Sequence[KnownUpdate]) -> None:
        self._view = view
        self._updates = updates

    @property
    def rows(self) -> BitMap:
        return BitMap(range(len(self._updates)))

    def where(self, field: str, fits: Fits, /) -> BitMap:
        read, view = _READERS[field], self._view
        told: dict[Value, bool] = {}
        found: list[int] = []
        for number, update in enumerate(self._updates):
            for value in read(view, update):
                if value not in told:
                    told[value] = fits(value)
                if told[value]:
                    found.append(number)
                    break
        return BitMap(found)

    def mentioning(self, text: str, /) -> BitMap:
        return BitMap(number for number, update in enumerate(self._updates) if text in update.text)


def known_values(view: View) -> Mapping[str, Sequence[str]]:
    """Return what values there are of fields that hold texts of few kinds."""
    updates = list(chain(view.updates.values(), view.catalog.expired.values()))
    found: dict[str, Sequence[str]] = {}
    for field in ("product", "feed", "vendor"):
        values = {str(value) for update in updates for value in _READERS[field](view, update)}
        found[field] = sorted(values)
    return found


def _rating(view: View, update: KnownUpdate) -> Rating:
    return view.judged.rating(UpdateId(update.id))


def _age(view: View, update: KnownUpdate) -> tuple[Value, ...]:
    details = update.details
    return ((view.now - details.released).days,) if details and details.released else ()


def _states(view: View, update: KnownUpdate) -> tuple[Value, ...]:
    tally = view.tally_of(update)
    return tuple(name for name, state in zip(_NAMES, _STATES, strict=True) if getattr(tally, state))


_Reader = Callable[[View, KnownUpdate], tuple[Value, ...]]
_READERS: Mapping[str, _Reader] = {
    "title": lambda _, u: (u.title,),
    "product": lambda _, u: u.details.products if u.details else (),
    "classification": lambda _, u: (u.details.classification.value,) if u.details else (),
    "severity": lambda _, u: (u.severity.value,),
    "risk": lambda view, u: (view.risk_of(u).value,),
    "exploited": lambda view, u: (_rating(view, u).exploited,),
    "mitigated": lambda view, u: (_rating(view, u).mitigated,),
    "age": _age,
    "cve": lambda _, u: (u.details.cves or ()) if u.details else (),
    "state": _states,
    "required": lambda view, u: (view.tally_of(u).required,),
    "installed": lambda view, u: (view.tally_of(u).installed,),
    "unknown": lambda view, u: (view.tally_of(u).unknown,),
    "superseded": lambda view, u: (view.is_superseded(u),),
    "expired": lambda _, u: (u.is_expired,),
    "feed": lambda _, u: (u.details.feed,) if u.details else (),
    "vendor": lambda _, u: (u.details.vendor,) if u.details else (),
}
