"""Custom updates step by step: what somebody says becomes a definition to take away.

Nothing is kept here and nothing is signed: the definition is published from the machine where the
publisher's key is. Whether it is right is said by whoever reads definitions anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.pointing import pointed_at
from patchtide.adapters.console.replies import Reply, download
from patchtide.adapters.console.visits import Visit
from patchtide.domain.catalog.custom_text import WrittenDefinition, written
from patchtide.domain.catalog.installers import InstallerKind
from patchtide.domain.catalog.rule_guide import COMBINATIONS, CONDITIONS, TESTS

WHAT, FILE, RULES, SUMMARY = "what", "file", "rules", "summary"
STEPS: Mapping[str, str] = MappingProxyType(
    {WHAT: "What it is", FILE: "Its file", RULES: "Its rules", SUMMARY: "Summary"}
)
FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        WHAT: (
            "id", "title", "vendor", "description", "classification", "severity", "products",
            "architectures", "languages", "cves", "supersedes", "licence",
        ),
        FILE: (
            "kind", "file", "package", "version", "arguments", "success_codes", "restart_codes",
            "restart", "maximum_run_time",
        ),
        RULES: ("prerequisite", "applicable", "installed"),
        SUMMARY: (),
    }
)  # fmt: skip
_OF = {field: step for step, fields in FIELDS.items() for field in fields}
_BEGINNING: Mapping[str, str] = MappingProxyType(
    {"classification": "general-update", "severity": "none", "kind": "deb"}
)
GUIDE = (("Conditions", CONDITIONS), ("Comparisons", TESTS), ("Together", COMBINATIONS))


class Wrong(NamedTuple):
    """A mistake, and the line of the definition with a mark under its place."""

    sentence: str
    place: str
    """Empty: nothing was said there."""


async def begin(desk: Desk, visit: Visit) -> Reply:
    said = {field: _BEGINNING.get(field, "") for field in _OF}
    return _shown(desk, visit, WHAT, said, {})


async def go(desk: Desk, visit: Visit) -> Reply:
    """Show the step that was asked for; on from one with mistakes, that one once more."""
    said = {field: visit.said(field).replace("\r\n", "\n") for field in _OF}
    here, to = visit.said("step"), visit.said("go")
    step = to if to in STEPS else WHAT
    definition = written(said)
    wrong = _wrong(desk, said, definition)
    order = list(STEPS)
    if here in order and order.index(step) > order.index(here):
        passed = order[: order.index(step)]
        # Steps that were not seen yet cannot be wrong.
        mistaken = [one for one in passed if any(_OF.get(field) == one for field in wrong)]
        step = mistaken[0] if mistaken else step
        if mistaken:
            return _shown(desk, visit, step, said, wrong, status=400)
    if step == RULES:
        said = _with_usual_rules(said)
    if step == SUMMARY:
        return _summary(desk, visit, said, definition, wrong)
    return _shown(desk, visit, step, said, {})


async def take(desk: Desk, visit: Visit) -> Reply:
    """Return the definition as a file."""
    said = {field: visit.said(field).replace("\r\n", "\n") for field in _OF}
    definition = written(said)
    if wrong := _wrong(desk, said, definition):
        return _summary(desk, visit, said, definition, wrong)
    body = definition.text.encode()
    return download(body, kind="application/yaml; charset=utf-8", name="update.yaml")


def _summary(
    desk: Desk,
    visit: Visit,
    said: Mapping[str, str],
    definition: WrittenDefinition,
    wrong: Mapping[str, Sequence[Wrong]],
) -> Reply:
    first = next((_OF[field] for field in _OF if field in wrong), "")
    if first:
        return _shown(desk, visit, first, said, wrong, status=400)
    folder = said["id"].strip("/").replace("/", "-")
    return _shown(desk, visit, SUMMARY, said, wrong, definition=definition.text, folder=folder)


def _wrong(
    desk: Desk, said: Mapping[str, str], definition: WrittenDefinition
) -> Mapping[str, Sequence[Wrong]]:
    """Return by field what is wrong with it."""
    found: dict[str, list[Wrong]] = {}
    for mistake in desk.mistakes_in(definition.text):
        at = definition.field_at(mistake.line) or "id"
        if said[at].strip():
            one = Wrong(mistake.sentence, pointed_at(definition.text, mistake))
        else:
            one = Wrong("this has to be said", "")
        found.setdefault(at, []).append(one)
    return found


def _with_usual_rules(said: Mapping[str, str]) -> dict[str, str]:
    """Fill empty rules of a package with what they mostly are."""
    kind, package, version = said["kind"], said["package"].strip(), said["version"].strip()
    if kind == InstallerKind.PROGRAM or not package or not version:
        return dict(said)
    usual = {
        "applicable": f"{kind} {package} installed",
        "installed": f"{kind} {package} >= {version}",
    }
    return {**said, **{field: text for field, text in usual.items() if not said[field].strip()}}


def _shown(
    desk: Desk,
    visit: Visit,
    step: str,
    said: Mapping[str, str],
    wrong: Mapping[str, Sequence[Wrong]],
    *,
    status: int = 200,
    definition: str = "",
    folder: str = "",
) -> Reply:
    return desk.page(
        visit,
        "define.html",
        status=status,
        step=step,
        steps=STEPS,
        fields=FIELDS,
        said=said,
        wrong=wrong,
        guide=GUIDE,
        definition=definition,
        folder=folder,
    )
