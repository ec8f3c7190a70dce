"""What can be asked of updates."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from patchtide.domain.catalog.details import Classification, Severity
from patchtide.domain.catalog.queries import FieldKind, Fields, QueryField
from patchtide.domain.catalog.risk import CLASSES

LIST = "list"
SEVERITIES = (
    Severity.NONE,
    Severity.LOW,
    Severity.MODERATE,
    Severity.IMPORTANT,
    Severity.CRITICAL,
)
"""From the least to the worst."""
_DECLARED = (
    QueryField(name="title", kind=FieldKind.TEXT, says="its title"),
    QueryField(name="product", kind=FieldKind.TEXT, says="a product that it is for"),
    QueryField(
        name="classification",
        kind=FieldKind.CHOICE,
        says="what kind of change it is",
        choices=tuple(one.value for one in Classification),
    ),
    QueryField(
        name="severity",
        kind=FieldKind.RANK,
        says="how bad its vendor says it is to be without it",
        choices=tuple(one.value for one in SEVERITIES),
    ),
    QueryField(
        name="risk",
        kind=FieldKind.RANK,
        says="how urgent it is here",
        choices=tuple(one.value for one in CLASSES),
    ),
    QueryField(name="exploited", kind=FieldKind.FLAG, says="rated here as exploited"),
    QueryField(name="mitigated", kind=FieldKind.FLAG, says="rated here as mitigated otherwise"),
    QueryField(name="age", kind=FieldKind.AGE, says="time since its vendor released it"),
    QueryField(name="cve", kind=FieldKind.TEXT, says="a CVE that it mends"),
    QueryField(
        name="state",
        kind=FieldKind.CHOICE,
        says="how some machine stands on it",
        choices=("required", "installed", "not-required", "unknown"),
    ),
    QueryField(name="required", kind=FieldKind.NUMBER, says="how many machines need it"),
    QueryField(name="installed", kind=FieldKind.NUMBER, says="how many machines have it"),
    QueryField(name="unknown", kind=FieldKind.NUMBER, says="on how many machines it is unknown"),
    QueryField(name="superseded", kind=FieldKind.FLAG, says="another one takes its place"),
    QueryField(name="expired", kind=FieldKind.FLAG, says="its vendor stands by it no more"),
    QueryField(name="feed", kind=FieldKind.TEXT, says="the feed that brought it"),
    QueryField(name="vendor", kind=FieldKind.TEXT, says="who made it"),
)
UPDATE_FIELDS: Fields = MappingProxyType({one.name: one for one in _DECLARED})
"""Those that are the same on every site."""


def update_fields(lists: Iterable[str]) -> Fields:
    """Return all that can be asked of updates where there are lists of these names."""
    on = QueryField(
        name=LIST, kind=FieldKind.CHOICE, says="a list that it is on", choices=tuple(lists)
    )
    return {**UPDATE_FIELDS, on.name: on}
