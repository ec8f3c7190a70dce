"""What people say of machines: of one on its page, of many with a look at what would change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from patchtide.adapters.console import machine_rows
from patchtide.adapters.console.choices import collection_names
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_done
from patchtide.adapters.console.visits import Visit
from patchtide.domain.compliance.described import SCORES
from patchtide.domain.errors import InvalidDocument, PatchtideError, Problem
from patchtide.server.machine_attributes import ATTRIBUTES, texts_of
from patchtide.server.machine_descriptions import DescribedMachines
from patchtide.server.machine_list import Machine

FORM, PREVIEW, DESCRIBE = "describe-form", "describe-preview", "describe"
ALL = "describe-all"
"""The form for all that a list shows on all its pages."""
ACTS = frozenset({FORM, ALL, PREVIEW, DESCRIBE})
_LINES = ("owner", "location", "cluster", "management_group")
_CHOICES = ("exposure", "restart", "schedule", *SCORES)
_WORDS: Mapping[str, str] = {
    "roles": "role", "tags": "tag", "add_tags": "add_tag", "remove_tags": "remove_tag"
}  # fmt: skip
_FIELDS = (*_LINES, *_CHOICES, *_WORDS)


async def act(desk: Desk, visit: Visit, uuids: Sequence[UUID]) -> Reply:
    """Of one machine all that its form says is meant, of several only what is filled in."""
    doing, back = visit.said("act"), visit.back(otherwise="/machines")
    if doing == DESCRIBE:
        done = await desk.ask(visit, "machines.describe", machines=uuids, **_said(visit))
        return see_done(back, f"describe-{done.machines}")
    plan: DescribedMachines | None = None
    error: PatchtideError | None = None
    if doing == PREVIEW:
        try:
            plan = await desk.ask(
                visit, "machines.describe", machines=uuids, dry_run=True, **_said(visit)
            )
        except PatchtideError as wrong:
            error = wrong
    return desk.page(
        visit,
        "describe.html",
        status=200 if error is None else desk.status_of(error),
        names=await machine_rows.names(desk, uuids),
        typed={name: visit.said(name) for name in _FIELDS},
        plan=plan,
        error=error,
        back=back,
        collections=await collection_names(desk, visit),
    )


def _said(visit: Visit) -> dict[str, Any]:
    said: dict[str, Any] = {name: visit.said(name).strip() for name in (*_LINES, *_CHOICES)}
    for field, name in _WORDS.items():
        said[name] = _labels(field, visit.said(field))
    if visit.said("all") == "yes":
        said["exposure"] = said["exposure"] or "ordinary"
        told = {**said, "roles": said["role"], "tags": said["tag"]}
        said["forget"] = [name for name in ATTRIBUTES if not told[name]]
    return {name: value for name, value in said.items() if value}


def _labels(field: str, text: str) -> Sequence[str]:
    """Raises InvalidDocument, in the words of whoever fills in a form."""
    try:
        found: Sequence[str] = ATTRIBUTES["tags"].read(text)
    except ValueError as wrong:
        raise InvalidDocument([Problem(field.replace("_", " "), str(wrong))]) from wrong
    return found


def said_of(machine: Machine) -> Mapping[str, str]:
    """Return what is said of it, as a form has it."""
    return {**texts_of(machine), "exposure": machine.exposure}
