"""Explanations as text: each rule as a tree, with what it saw and its verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from patchtide.domain.applicability.explanation import NOT_INSTALLED
from patchtide.domain.applicability.wording import VERDICTS
from patchtide.server.explanations import Explained, ExplainedLeaf, ExplainedPart, ToldFacts
from patchtide.server.machine_whatif import WouldStand
from patchtide.server.table import Operation

FEW = 3
"""Packages that are not installed are named when there are no more than these in one place."""


def in_words(operation: Operation, body: bytes) -> str | None:
    """Return what is said of this answer on a terminal; None: there are tables for it."""
    if operation.name not in _TEXTS:
        return None
    kind, said = _TEXTS[operation.name]
    try:
        return "\n".join(said(msgspec.json.decode(body, type=kind)))
    except msgspec.MsgspecError:
        return None  # a newer server's, or somebody else's: shown as it came


def _explained(said: Explained) -> Iterator[str]:
    yield f"{said.title} on {said.name}"
    yield f"  by the facts   {_state(said.state)}: {said.why}"
    yield f"  reported       {_state(said.reported)}"
    if said.counted != said.reported:
        yield f"  counts as      {_state(said.counted)}: something that supersedes it applies"
    for reason in said.differs:
        yield f"  may differ     {reason}"
    yield from _told(said.told)
    if said.wanted:
        yield f"  it is asked    for its {' and '.join(said.wanted)} when it checks in next"
    for leaf in said.leaves:
        yield from ("", f"{leaf.shard}, revision {leaf.revision}: {_state(leaf.state)}")
        yield from _leaf(leaf)


def _would_stand(said: WouldStand) -> Iterator[str]:
    yield f"on {said.name}: {_state(said.state)}: {said.why}"
    yield from _told(said.told)
    yield from _leaf(said.leaf)


_TEXTS: Mapping[str, tuple[Any, Callable[[Any], Iterator[str]]]] = {
    "explain": (Explained, _explained),
    "machines.whatif": (WouldStand, _would_stand),
}


def _leaf(leaf: ExplainedLeaf) -> Iterator[str]:
    for rule in leaf.rules:
        yield from ("", f"{rule.asks} {VERDICTS[rule.verdict]}")
        for part in _folded(rule.parts):
            indent = "  " * part.depth
            yield f"  {VERDICTS[part.verdict]:<9}{indent}{part.says}"
            yield f"  {'':<9}{indent}  {part.sentence}"


def _folded(parts: Sequence[ExplainedPart]) -> Iterator[ExplainedPart]:
    """Yield the parts; of packages in a row that are not there the first few, and how many."""
    absent: list[ExplainedPart] = []
    for part in parts:
        if part.saw == NOT_INSTALLED:
            absent.append(part)
            continue
        yield from _first(absent)
        absent = []
        yield part
    yield from _first(absent)


def _first(absent: Sequence[ExplainedPart]) -> Iterator[ExplainedPart]:
    yield from absent[:FEW]
    if more := absent[FEW:]:
        words = f"{len(more)} more packages are not installed (--json names them)."
        yield msgspec.structs.replace(more[0], says="...", sentence=words)


def _told(told: ToldFacts) -> Iterator[str]:
    yield f"  facts told     {_instant(told.facts_at)}"
    yield f"  packages told  {_instant(told.packages_at)}"


def _instant(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "never"


def _state(state: str) -> str:
    return state.replace("-", " ")
