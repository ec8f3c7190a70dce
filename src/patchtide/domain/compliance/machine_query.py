"""What can be asked of machines, in the language in which updates are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

from patchtide.domain.catalog.queries import FieldKind, Fields, QueryField
from patchtide.domain.catalog.risk import Exposure
from patchtide.domain.catalog.update_query import LIST, UPDATE_FIELDS
from patchtide.domain.compliance.described import RestartCode
from patchtide.domain.compliance.judgement import Compliance, Doubt
from patchtide.domain.findings import FAULTS, UPDATERS

COLLECTION = "collection"
REQUIRES = "requires"
SILENT, ENROLLED = "silent", "enrolled"
JUDGED = frozenset(("standing", "doubt", "required", "installed", "unknown", REQUIRES))
"""Fields that say something else once a report is too old, and so by how often a machine scans."""
UNSAID = "unsaid"
"""How a code is asked for that nobody has given."""
_TEXT, _VERSION, _NUMBER = FieldKind.TEXT, FieldKind.VERSION, FieldKind.NUMBER


_COUNTED = ("state", "required", "installed", "unknown")
"""What is asked of updates by how machines stand on them: whom that concerns goes round."""
_NEEDED: Fields = MappingProxyType(
    {
        **{name: one for name, one in UPDATE_FIELDS.items() if name not in _COUNTED},
        LIST: QueryField(name=LIST, kind=FieldKind.NAME, says="a list that it is on"),
    }
)
"""Whether a list is there, these do not say."""


def _said(name: str, says: str) -> QueryField:
    return QueryField(name=name, kind=FieldKind.TEXT, says=says, may_lack=True)


_TOLD = (
    QueryField(name="os", kind=_TEXT, says="its operating system, as `debian`"),
    QueryField(name="os-version", kind=_VERSION, says="the version of that, as `12`"),
    QueryField(name="system", kind=_TEXT, says="what its operating system calls itself"),
    QueryField(name="kernel", kind=_VERSION, says="the kernel that it runs"),
    QueryField(name="arch", kind=_TEXT, says="its architecture, as `amd64`"),
    QueryField(
        name="package", kind=_VERSION, says="a package that is installed there", of="package"
    ),
    QueryField(name="module", kind=_TEXT, says="a stream of packages, as `nodejs:18`"),
    QueryField(name="service", kind=_TEXT, says="a service that starts with it"),
    QueryField(name="host", kind=_TEXT, says="what it calls itself"),
    QueryField(name="address", kind=FieldKind.ADDRESS, says="an address, or a network around it"),
    QueryField(name="model", kind=_TEXT, says="which hardware it is"),
    QueryField(name="processors", kind=_NUMBER, says="how many processors it has"),
    QueryField(name="memory", kind=_NUMBER, says="its memory in GiB, rounded"),
    QueryField(name="language", kind=_TEXT, says="the language that it is set to"),
)
FACTS = frozenset(one.name for one in _TOLD)
"""What machines tell in their lists, apart from their reports."""
_DECLARED = (
    QueryField(name="name", kind=FieldKind.TEXT, says="its name"),
    QueryField(name="platform", kind=FieldKind.TEXT, says="its operating system"),
    _said("group", "the group that it enrolled for"),
    _said("owner", "whose it is"),
    _said("role", "one of what it is for"),
    QueryField(
        name="exposure",
        kind=FieldKind.CHOICE,
        says="how exposed it stands",
        choices=tuple(one.value for one in Exposure),
    ),
    _said("location", "where it stands"),
    _said("site", "the site that it belongs to"),
    _said("tag", "one of its tags"),
    _said("cluster", "which others do the same work"),
    _said("management-group", "by whom it is managed"),
    QueryField(name="criticality", kind=_NUMBER, says="the sum of its scores, from 0 to 30"),
    _said("schedule", "the id of the collection in whose windows it may be changed"),
    QueryField(
        name="restart-code",
        kind=FieldKind.CHOICE,
        says="how it may be restarted",
        choices=tuple(one.value or UNSAID for one in RestartCode),
    ),
    QueryField(name=COLLECTION, kind=FieldKind.NAME, says="a collection that it is in"),
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
    QueryField(name="in-build", kind=FieldKind.FLAG, says="it is new, and no window binds it yet"),
    QueryField(name="restart", kind=FieldKind.FLAG, says="it waits for a restart"),
    QueryField(
        name=REQUIRES,
        kind=FieldKind.FLAG,
        says="it needs some update that answers to this: `requires(severity = critical)`",
        of="updates",
        within=_NEEDED,
    ),
    QueryField(name="required", kind=_NUMBER, says="how many updates it needs"),
    QueryField(name="installed", kind=_NUMBER, says="how many updates it has"),
    QueryField(name="unknown", kind=_NUMBER, says="of how many updates is unknown how it stands"),
    QueryField(
        name="scan",
        kind=FieldKind.CHOICE,
        says="how its last scan went",
        choices=("none", "running", "completed", "waiting-catalog", "failed", "retrying"),
    ),
    QueryField(
        name="fault",
        kind=FieldKind.CHOICE,
        says="what it finds wrong with itself, or who else installs updates there",
        choices=(*FAULTS, *UPDATERS),
    ),
    QueryField(
        name="taken-over",
        kind=FieldKind.CHOICE,
        says="who else would install updates there, and is held back by its agent",
        choices=tuple(UPDATERS),
    ),
    QueryField(name=SILENT, kind=FieldKind.AGE, says="time since it was last heard"),
    QueryField(name=ENROLLED, kind=FieldKind.AGE, says="time since it enrolled"),
    *_TOLD,
)
MACHINE_FIELDS: Fields = MappingProxyType({one.name: one for one in _DECLARED})
"""Whether the collections that a query names are there, these do not say; see machine_fields."""
GROUPINGS = ("platform", "group", "owner", "exposure", "location", "site", "management-group")
"""Fields of few values, of which a machine has one: by them machines are put side by side."""


def machine_fields(collections: Iterable[str]) -> Fields:
    """Return what can be asked of machines where there are collections of these names."""
    named = replace(MACHINE_FIELDS[COLLECTION], choices=tuple(collections))
    return {**MACHINE_FIELDS, COLLECTION: named}
