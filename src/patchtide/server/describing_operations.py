"""Operations on what people say of machines."""

from __future__ import annotations

from patchtide.domain.access.limits import Deed
from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.server import machine_descriptions, machine_import
from patchtide.server.covered import DESCRIBES
from patchtide.server.table import API, Operation, Plane

_MODIFY = Right(Kind.MACHINES, Verb.MODIFY)

DESCRIBING = (
    Operation(
        name="machines.describe",
        plane=Plane.ADMINISTRATORS,
        method="POST",
        path=API + "/machine-descriptions",
        policy=_MODIFY,
        sentence="Say whose machines are, what for, where, how critical, and when they may rest.",
        input=machine_descriptions.DescribeMachines,
        output=machine_descriptions.DescribedMachines,
        handler=machine_descriptions.describe,
        audited=True,
        example="machines describe web-1 web-2 --owner web-team --role web --business 4 --dry-run",
        narrows=True,
        four_eyes=DESCRIBES,
        deed=Deed.DESCRIBE,
    ),
    Operation(
        name="machines.attribute-changes",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/machines/{machine}/attribute-changes",
        policy=Right(Kind.MACHINES, Verb.READ),
        sentence="List who said what of a machine, when, and what was said before.",
        input=machine_descriptions.ListChanges,
        output=machine_descriptions.AttributeChanges,
        handler=machine_descriptions.list_changes,
        columns=("at", "actor", "attribute", "was", "now"),
        example="machines attribute-changes web-1",
        narrows=True,
    ),
    Operation(
        name="machines.import",
        plane=Plane.ADMINISTRATORS,
        method="POST",
        path=API + "/machine-imports",
        policy=_MODIFY,
        sentence="Say of machines what a CSV file says; those not known yet can be expected.",
        input=machine_import.ImportMachines,
        output=machine_import.ImportedMachines,
        handler=machine_import.import_some,
        audited=True,
        largest_body=machine_import.LARGEST,
        step_of="machines import",
        four_eyes=DESCRIBES,
        deed=Deed.DESCRIBE,
    ),
    Operation(
        name="machines.export",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/machine-export",
        policy=Right(Kind.MACHINES, Verb.READ),
        sentence="Return machines and what people say of them as CSV, to be imported again.",
        input=machine_import.ExportMachines,
        handler=machine_import.export,
        media_types=("text/csv",),
        step_of="machines export",
        narrows=True,
    ),
)
