"""`patchtide agent explain`: why an update is required here, installed, not required or unknown.

Reads the machine and the agent's own verified shards; disturbs no agent, and asks a server only
when it is told to verify what the vendor signed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from patchtide.adapters.agentstate.looking import LookedAt, looked_at
from patchtide.agent.explaining import Catalog, Explained, Kept, NoCatalog, explained
from patchtide.agent.ports.journal import States
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.explanation import NOT_INSTALLED, Explanation
from patchtide.domain.applicability.scan import Scan, WhyUnknown
from patchtide.domain.applicability.wording import QUESTIONS, VERDICTS, why
from patchtide.domain.catalog.rule_text import lines, part_text
from patchtide.domain.catalog.rules import PackageInstalled
from patchtide.domain.errors import PatchtideError
from patchtide.entry.agent.machine import machine_of
from patchtide.entry.agent.owner import act_as_owner
from patchtide.entry.agent.printing import columns, print_json, print_lines
from patchtide.entry.agent.vouching import (
    Verified,
    asked_of_vendor,
    vendor_as_json,
    vendor_as_text,
)
from patchtide.wire.sets import decode_set

_WHY_UNKNOWN = {
    WhyUnknown.CIRCLE: "it depends on itself through other updates; its publisher must mend that",
    WhyUnknown.EVALUATOR: "it is decided by a program that this machine does not have",
    WhyUnknown.OPERATOR: "its rule says something that this version cannot read; update the agent",
    WhyUnknown.LEAF: "it depends on another update whose state is unknown; explain that one",
    WhyUnknown.FACTS: "the machine did not say what the rule asks; see `not collected` below",
}
FEW = 3
"""Packages that are not installed are named when there are no more than these in one place."""
NO_CATALOG = "no catalog is here yet; `patchtide agent once` fetches what there is, or says why not"


def show_explanation(asked: argparse.Namespace) -> int:
    if asked.verify:
        act_as_owner(asked.state)
    try:
        with looked_at(asked.state) as journal:
            return _explain(asked, journal)
    except NoCatalog as error:
        said = NO_CATALOG if str(error) == NoCatalog.__doc__ else str(error)
        sys.stderr.write(f"{error.code}: {said}\n")
    except PatchtideError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
    return 1


def _explain(asked: argparse.Namespace, journal: LookedAt | None) -> int:
    if journal is None:
        raise NoCatalog
    machine = machine_of(asked.platform)
    catalog = Catalog(journal, machine.shards)
    facts = catalog.facts(machine)
    found, scan = catalog.find(asked.update), catalog.scan(facts)
    if not found:
        sys.stderr.write(
            f"no update here is or names {asked.update!r}; {_nothing(machine.shards)}\n"
        )
        return 1
    if len(found) > 1:
        return _list(found, scan, as_json=asked.json)
    said = explained(found[0], scan, facts)
    told = _told(journal.acknowledged(), said.kept.leaf.number)
    vendor = None
    if asked.verify:
        keys = machine.vendors()
        vendor = asked_of_vendor(asked.state, said.kept, keys, config=asked.config)
    if asked.json:
        more = {"vendor": vendor_as_json(vendor)} if vendor else {}
        print_json({**_as_json(said, told), **more})
    else:
        print_lines(_as_text(said, told, vendor, everything=asked.all))
    return 0


def _nothing(shards: Sequence[str]) -> str:
    return (
        f"this machine knows what is in {' and '.join(shards)}: give a number, an id, or part of"
        " a title or of a package's name"
    )


def _list(found: Sequence[Kept], scan: Scan, *, as_json: bool) -> int:
    """More than one was meant: name them, those that are required first."""
    order = list(LeafState)
    order.sort(key=lambda state: state is not LeafState.REQUIRED)
    found = sorted(found, key=lambda k: (order.index(scan.states[k.leaf.number]), k.leaf.number))
    if as_json:
        print_json({"matches": [_named(kept, scan.states[kept.leaf.number]) for kept in found]})
        return 1
    sys.stderr.write(f"{len(found)} updates fit; explain one of them by its number:\n")
    print_lines(
        columns([(str(k.leaf.number), scan.states[k.leaf.number], k.leaf.title) for k in found])
    )
    return 1


def _told(known: States | None, number: int) -> str | None:
    """Return the state in which the server has it from this machine; None: it has nothing."""
    if known is None:
        return None
    for state in (LeafState.REQUIRED, LeafState.INSTALLED, LeafState.UNKNOWN):
        if number in decode_set(getattr(known, state.value)):
            return state.value
    return LeafState.NOT_REQUIRED.value


def _named(kept: Kept, state: LeafState) -> dict[str, Any]:
    leaf = kept.leaf
    return {
        "number": leaf.number,
        "update": str(leaf.update),
        "title": leaf.title,
        "state": state.value,
    }


def _why(said: Explained) -> str:
    if said.why_unknown is not None:
        return _WHY_UNKNOWN[said.why_unknown]
    verdicts = {name: rule.verdict for name, rule in said.rules.items()}
    return why(said.kept.leaf, said.state, verdicts)


def _as_json(said: Explained, told: str | None) -> dict[str, Any]:
    kept = said.kept
    return {
        **_named(kept, said.state),
        "revision": kept.leaf.revision,
        "shard": kept.shard,
        "serial": kept.serial,
        "signed_by": kept.signed_by,
        "why": _why(said),
        "reported": told,
        "rules": {
            name: [
                {"depth": line.depth, "says": line.text, "verdict": part.verdict, "saw": part.seen}
                for line, part in zip(lines(rule.rule), rule.walk(), strict=True)
            ]
            for name, rule in said.rules.items()
        },
    }


def _as_text(
    said: Explained, told: str | None, vendor: Verified | None, *, everything: bool
) -> Iterator[str]:
    kept, leaf = said.kept, said.kept.leaf
    yield leaf.title or f"update {leaf.number}"
    yield f"  number    {leaf.number}, revision {leaf.revision}"
    yield f"  id        {leaf.update}"
    yield f"  from      {kept.shard}, serial {kept.serial}, signed by {kept.signed_by}"
    yield f"  state     {said.state.value.replace('-', ' ')}: {_why(said)}"
    if told != said.state.value:
        yield f"  reported  {(told or 'nothing yet').replace('-', ' ')}; the next scan tells"
    yield from vendor_as_text(kept, vendor)
    for name, rule in said.rules.items():
        yield ""
        yield f"{QUESTIONS[name]} {VERDICTS[rule.verdict]}"
        yield from columns(list(_rows(rule, 1, everything=everything)))


def _rows(part: Explanation, depth: int, *, everything: bool) -> Iterator[tuple[str, str, str]]:
    """Yield verdict, words and what was seen; packages that are not there are counted."""
    text = part_text(part.rule)
    yield f"  {VERDICTS[part.verdict]}", f"{'  ' * (depth - 1)}{text}", _saw(part)
    absent = [below for below in part.parts if _is_absent(below)]
    folded = len(absent) > FEW and not everything
    for below in part.parts:
        if not (folded and _is_absent(below)):
            yield from _rows(below, depth + 1, everything=everything)
    if folded:
        words = f"{'  ' * depth}{len(absent)} more packages (--all names them)"
        yield f"  {VERDICTS[absent[0].verdict]}", words, f"saw: {NOT_INSTALLED}"


def _is_absent(part: Explanation) -> bool:
    return isinstance(part.rule, PackageInstalled) and part.seen == NOT_INSTALLED


def _saw(part: Explanation) -> str:
    return f"saw: {part.seen}" if part.seen else ""
