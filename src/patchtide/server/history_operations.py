"""Operations on the fleet's history."""

from __future__ import annotations

from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.server import history, targets
from patchtide.server.table import API, Operation, Plane

HISTORY = (
    Operation(
        name="history.show",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/history",
        policy=Right(Kind.MACHINES, Verb.READ),
        sentence="Show how the fleet or a collection, an update, a list or a search stood by day.",
        input=history.ShowHistory,
        output=history.History,
        handler=history.show,
        narrows=True,
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
        example="history show --list spring --collection 'Web servers' --days 365",
    ),
    Operation(
        name="history.times",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/history/times",
        policy=Right(Kind.MACHINES, Verb.READ),
        sentence="List after how many days so many of the machines that needed an update had it.",
        input=targets.ListTimes,
        output=targets.TimeList,
        handler=targets.times,
        also=(Right(Kind.CATALOG, Verb.READ),),
        columns=(
            "title",
            "risk",
            "since",
            "days50",
            "days90",
            "days95",
            "days99",
            "lacking",
            "machines",
        ),
        example="history times --risk high",
    ),
    Operation(
        name="targets.show",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/targets",
        policy=Right(Kind.MACHINES, Verb.READ),
        sentence="Show how far updates are against the targets, and when they will be met.",
        input=targets.ShowTargets,
        output=targets.TargetProgress,
        handler=targets.show,
        also=(Right(Kind.CATALOG, Verb.READ),),
        columns=(
            "title",
            "risk",
            "state",
            "due",
            "percent",
            "target",
            "lacking",
            "outlook",
            "earliest",
            "latest",
        ),
        example="targets show --state late",
    ),
)
