"""Operations on updates."""

from __future__ import annotations

from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.server import update_decisions, update_machines, update_page, updates
from patchtide.server.table import API, Operation, Plane

_UPDATE = "5c0b1b8e-93a4-8d51-a1f0-6d7e8f901a2b"

UPDATES = (
    Operation(
        name="updates.list",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/updates",
        policy=Right(Kind.CATALOG, Verb.READ),
        sentence="List updates and how many machines stand how on them.",
        input=updates.ListUpdates,
        output=updates.UpdateList,
        handler=updates.list_some,
        columns=(
            "title",
            "status",
            "risk",
            "severity",
            "required",
            "installed",
            "unknown",
            "cves",
            "released",
            "id",
        ),
        example="updates list --state required --severity critical",
        narrows=True,
        narrows_updates=True,
    ),
    Operation(
        name="updates.show",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/updates/{update}",
        policy=Right(Kind.CATALOG, Verb.READ),
        sentence="Show one update: its text, its CVEs and its rules.",
        input=update_page.OneUpdate,
        output=update_page.ShownUpdate,
        handler=update_page.show,
        example=f"updates show {_UPDATE}",
        narrows=True,
        narrows_updates=True,
    ),
    Operation(
        name="updates.rate",
        plane=Plane.ADMINISTRATORS,
        method="PUT",
        path=API + "/updates/{update}/rating",
        policy=Right(Kind.CATALOG, Verb.MODIFY),
        sentence="Say how dangerous it is to be without an update here, which sets its risk class.",
        input=update_decisions.RateUpdate,
        output=update_decisions.ShownRating,
        handler=update_decisions.rate,
        audited=True,
        example=f"updates rate {_UPDATE} --exploited --reach anywhere",
    ),
    Operation(
        name="updates.accept-licence",
        plane=Plane.ADMINISTRATORS,
        method="PUT",
        path=API + "/updates/{update}/licence",
        policy=Right(Kind.CATALOG, Verb.APPROVE),
        sentence="Accept an update's licence terms for the whole site, once.",
        input=update_decisions.AcceptLicence,
        output=update_decisions.AcceptedLicence,
        handler=update_decisions.accept_licence,
        audited=True,
        example=f"updates accept-licence {_UPDATE} {'0f' * 32}",
    ),
    Operation(
        name="updates.machines",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/updates/{update}/machines",
        policy=Right(Kind.MACHINES, Verb.READ),
        sentence="List the machines by how they stand on one update.",
        input=update_machines.ListStanding,
        output=update_machines.StandingList,
        handler=update_machines.machines,
        columns=("name", "state", "doubt", "reported_at", "group", "platform", "id"),
        example=f"updates machines {_UPDATE} --state required",
        narrows=True,
        narrows_updates=True,
    ),
)
