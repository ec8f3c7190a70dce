"""Operations on the fleet's history."""

from __future__ import annotations

from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.server import history
from patchtide.server.table import API, Operation, Plane

HISTORY = (
    Operation(
        name="history.show",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/history",
        policy=Right(Kind.MACHINES, Verb.READ),
        sentence="Show how the fleet, an update, a list or a search stood day by day.",
        input=history.ShowHistory,
        output=history.History,
        handler=history.show,
        also=(Right(Kind.CATALOG, Verb.READ),),
        columns=(
            "date",
            "percent",
            "compliant",
            "required",
            "restart",
            "unknown",
            "machines",
            "reporting",
            "counted_at",
        ),
        example="history show --list spring --days 365",
    ),
)
