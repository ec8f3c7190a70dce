"""Operations on the catalog: what is published, and how it is kept up with its feeds."""

from __future__ import annotations

from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.server import site_status, synchronisation_choices, synchronisations
from patchtide.server.table import API, Operation, Plane

_READ = Right(Kind.CATALOG, Verb.READ)
_MODIFY = Right(Kind.CATALOG, Verb.MODIFY)

CATALOG = (
    Operation(
        name="catalog.status",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/catalog",
        policy=_READ,
        sentence="Show the published shards and their serials.",
        output=site_status.ShownCatalog,
        handler=site_status.catalog,
    ),
    Operation(
        name="catalog.synchronise",
        plane=Plane.ADMINISTRATORS,
        method="POST",
        path=API + "/catalog/synchronisations",
        policy=_MODIFY,
        sentence="Begin to bring what is new in the feed into the catalog.",
        input=synchronisations.Synchronise,
        output=synchronisations.ShownSynchronisation,
        handler=synchronisations.synchronise,
        status=202,
        audited=True,
        watch="catalog.synchronisations",
        example="catalog synchronise --full",
    ),
    Operation(
        name="catalog.synchronisations",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/catalog/synchronisations",
        policy=_READ,
        sentence="List the synchronisations, the newest first, and how far a running one is.",
        input=synchronisations.ListSynchronisations,
        output=synchronisations.SynchronisationList,
        handler=synchronisations.list_some,
        columns=(
            "number",
            "state",
            "step",
            "started_at",
            "full",
            "new",
            "revised",
            "gone",
            "error",
        ),
        example="catalog synchronisations --json",
    ),
    Operation(
        name="catalog.schedule",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/catalog/schedule",
        policy=_READ,
        sentence="Show when the catalog is synchronised by itself, and when next.",
        output=synchronisation_choices.ShownSchedule,
        handler=synchronisation_choices.show_schedule,
    ),
    Operation(
        name="catalog.reschedule",
        plane=Plane.ADMINISTRATORS,
        method="PUT",
        path=API + "/catalog/schedule",
        policy=_MODIFY,
        sentence="Set when the catalog is synchronised by itself; without a time, never.",
        input=synchronisation_choices.Reschedule,
        output=synchronisation_choices.ShownSchedule,
        handler=synchronisation_choices.reschedule,
        audited=True,
        example="catalog reschedule --cycle patch-tuesday --for-days 5 --at 21:00",
    ),
    Operation(
        name="catalog.selection",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/catalog/selection",
        policy=_READ,
        sentence="Show which updates are taken of which feed.",
        output=synchronisation_choices.SelectionList,
        handler=synchronisation_choices.show_selection,
    ),
    Operation(
        name="catalog.select",
        plane=Plane.ADMINISTRATORS,
        method="PUT",
        path=API + "/catalog/selection",
        policy=_MODIFY,
        sentence="Choose which updates are taken of a feed; what is chosen no more expires.",
        input=synchronisation_choices.Select,
        output=synchronisation_choices.SelectionList,
        handler=synchronisation_choices.select,
        audited=True,
        example="catalog select --classifications security --severities critical",
    ),
)
