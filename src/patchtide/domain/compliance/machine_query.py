"""What can be asked of machines, in the language in which updates are asked for."""

from __future__ import annotations

from types import MappingProxyType

from patchtide.domain.catalog.queries import FieldKind, Fields, QueryField
from patchtide.domain.catalog.risk import Exposure
from patchtide.domain.compliance.judgement import Compliance, Doubt

_DECLARED = (
    QueryField(name="name", kind=FieldKind.TEXT, says="its name"),
    QueryField(name="platform", kind=FieldKind.TEXT, says="its operating system"),
    QueryField(name="group", kind=FieldKind.TEXT, says="the group that it enrolled for"),
    QueryField(name="owner", kind=FieldKind.TEXT, says="whose it is"),
    QueryField(name="role", kind=FieldKind.TEXT, says="one of what it is for"),
    QueryField(
        name="exposure",
        kind=FieldKind.CHOICE,
        says="how exposed it stands",
        choices=tuple(one.value for one in Exposure),
    ),
    QueryField(name="location", kind=FieldKind.TEXT, says="where it stands"),
    QueryField(name="site", kind=FieldKind.TEXT, says="the site that it belongs to"),
    QueryField(
        name="standing",
        kind=FieldKind.CHOICE,
        says="how it stands on all updates",
        choices=tuple(one.value for one in Compliance),
    ),
    QueryField(
        name="doubt",
        kind=FieldKind.CHOICE,
        says="why that is unknown",
        choices=tuple(one.value for one in Doubt if one not in (Doubt.NONE, Doubt.NOT_ACTIVE)),
    ),
    QueryField(name="restart", kind=FieldKind.FLAG, says="it waits for a restart"),
)
MACHINE_FIELDS: Fields = MappingProxyType({one.name: one for one in _DECLARED})
GROUPINGS = ("platform", "group", "owner", "exposure", "location", "site")
"""Fields of few values, of which a machine has one: by them machines are put side by side."""
