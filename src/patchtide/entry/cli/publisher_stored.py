"""How updates of one's own would stand on a machine of the site, by what it has told of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from patchtide.adapters.publisher.folder import Definition
from patchtide.domain.catalog.custom import feed_update
from patchtide.domain.catalog.rule_text import rule_text
from patchtide.entry.cli.client import Answer
from patchtide.entry.cli.names import Ask, with_ids
from patchtide.entry.cli.publisher_site import said_by
from patchtide.entry.cli.publisher_trial import WORDS
from patchtide.server.operations import OPERATIONS


def stood(definitions: Sequence[Definition], machine: str, ask: Ask) -> Mapping[str, Any]:
    """Return how each update would stand there, with every part of its rules; nothing is sent out.

    Raises:
        NotOneMachine, ServerSaysNo, InvalidDocument
    """
    meant = with_ids({"machine": machine}, ask)
    if isinstance(meant, Answer):
        return dict(said_by(meant))
    items: list[Mapping[str, Any]] = []
    rules: list[Mapping[str, Any]] = []
    for definition in definitions:
        for leaf in feed_update(definition.update).leaves:
            prerequisite, applicable, installed = map(rule_text, leaf.rules)
            asked = {
                **meant,
                "rule": applicable,
                "prerequisite": prerequisite,
                "installed": installed,
            }
            found = said_by(ask(OPERATIONS["machines.whatif"], asked))
            items.append(_standing(definition.update.id, leaf.title, found))
            rules += _rules(definition.update.id, found["leaf"])
    return {"items": items, "rules": rules}


def _rules(name: str, leaf: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for rule in leaf["rules"]:
        for part in rule["parts"]:
            yield {
                "id": name,
                "rule": rule["name"],
                "says": f"{'  ' * part['depth']}{part['says']}",
                "verdict": WORDS[part["verdict"]],
                "saw": part["saw"],
            }


def _standing(name: str, title: str, found: Mapping[str, Any]) -> Mapping[str, Any]:
    told = found["told"]
    return {
        "id": name,
        "title": title,
        "machine": found["name"],
        "state": found["state"],
        "why": found["why"],
        "not_told": [*told["untold"], *found["leaf"]["lacking"]],
        "told_at": told["facts_at"] or told["packages_at"],
    }
