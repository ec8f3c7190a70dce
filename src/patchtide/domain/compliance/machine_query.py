"""What can be asked of machines, in the language in which updates are asked for."""

from __future__ import annotations

from types import MappingProxyType

from patchtide.domain.catalog.queries import FieldKind, Fields, QueryField
from patchtide.domain.compliance.judgement import Compliance, Doubt

_DECLARED = (
    QueryField(name="name", kind=FieldKind.TEXT, says="its name"),
    QueryField(name="platform", kind=FieldKind.TEXT, says="its operating system"),
    QueryField(name="group", kind=FieldKind.TEXT, says="the group that it enrolled for"),
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
GROUPINGS = ("platform", "group", "site")
"""Fields of few values, by which machines are put side by side."""
