"""Which machines would need an update, before it is published: by what they have told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.questions import Question
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rule_text import rule_text
from patchtide.server.asked_rules import Installed, Prerequisite, RuleText, leaf_asked
from patchtide.server.context import Call
from patchtide.server.explanations import ORDER
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.listing import After, Column, Limit, Page, Search, matches, paged
from patchtide.server.machine_orders import Named
from patchtide.server.member import Member
from patchtide.server.published_leaves import others
from patchtide.server.table import Input, Output
from patchtide.server.update_machines import LeafStateName, StateCounts
from patchtide.server.whatif_run import Found, WhatIfRun

WhatIfSort = Literal["name", "-name", "state", "-state"]
MOST_LACKING = 20


class AskFleet(Input, kw_only=True, frozen=True):
    rule: RuleText
    prerequisite: Prerequisite = "always"
    installed: Installed = "never"
    state: Annotated[LeafStateName, Meta(description="Only machines in this state.")] = ""
    search: Annotated[Search, Meta(description="Part of the name, group or id.")] = ""
    sort: Annotated[WhatIfSort, Meta(description="The order; a minus turns it round.")] = "state"
    after: After = ""
    limit: Limit = 100


class WhatIfMachine(Output, kw_only=True, frozen=True):
    id: UUID
    name: str
    state: str
    group: str
    platform: str


class Lacking(Output, kw_only=True, frozen=True):
    what: str
    """A fact that a rule asks for, or a list that was never told."""
    machines: int


class WhatIf(Output, kw_only=True, frozen=True):
    items: tuple[WhatIfMachine, ...]
    """Of those that are evaluated by now."""
    total: int
    """How many of them fit, on all pages."""
    counts: StateCounts
    """Among all that are evaluated by now."""
    evaluated: int
    of: int
    """How many active machines there are."""
    is_complete: bool
    """No: ask the same once more, and it goes on; what is found by now stays."""
    stopped: str
    """Why it goes on no more although it is not complete; empty: it does."""
    cases: int
    """How many different sets of facts were evaluated."""
    lacking: tuple[Lacking, ...]
    """Why it is unknown, most machines first."""
    next: str | None
    """Where to go on; null at the end."""


@dataclass(frozen=True, slots=True)
class _Standing:
    member: Member
    state: LeafState


_COLUMNS: Mapping[str, Column[_Standing]] = {
    "name": Column(lambda s: s.member.named, Named),
    "state": Column(lambda s: (ORDER.index(s.state), s.member.named), tuple[int, Named]),
}


async def ask(call: Call, principal: Principal, asked: AskFleet) -> WhatIf:
    fleet = call.context.fleet
    leaf = leaf_asked(rule=asked.rule, prerequisite=asked.prerequisite, installed=asked.installed)
    question = await call.read_fleet(lambda: question_of(fleet, leaf))
    key = tuple(map(rule_text, leaf.rules))
    found = await call.context.what_ifs.found(key, lambda: WhatIfRun(fleet, question))
    return await call.read_fleet(lambda: fleet.ask(lambda view: _shown(view, found, asked)))


def question_of(fleet: Fleet, leaf: Leaf) -> Question:
    """Return the question, with the published leaves that the rules ask for."""
    asked_for = others(fleet, [leaf])
    return Question(
        leaf,
        [one.leaf for one in asked_for.values()],
        {number: one.place.shard for number, one in asked_for.items()},
    )


def _shown(view: View, found: Found, asked: AskFleet) -> WhatIf:
    fitting = [s for s in _standing(view, found, asked.state) if _fits(s.member, asked.search)]
    page: Page[_Standing] = paged(
        fitting, columns=_COLUMNS, sort=asked.sort, after=asked.after, limit=asked.limit
    )
    return WhatIf(
        items=tuple(map(_machine, page.items)),
        total=len(fitting),
        counts=StateCounts(
            required=len(found.by_state[LeafState.REQUIRED]),
            installed=len(found.by_state[LeafState.INSTALLED]),
            not_required=len(found.by_state[LeafState.NOT_REQUIRED]),
            unknown=len(found.by_state[LeafState.UNKNOWN]),
        ),
        evaluated=found.evaluated,
        of=found.of,
        is_complete=found.is_complete,
        stopped=found.stopped,
        cases=found.cases,
        lacking=tuple(
            Lacking(what=what, machines=machines)
            for what, machines in found.lacking.most_common(MOST_LACKING)
        ),
        next=page.next,
    )


def _standing(view: View, found: Found, wanted: str) -> Iterator[_Standing]:
    """Yield those that are still there: some may have been let go since they were evaluated."""
    for state, numbers in found.by_state.items():
        if wanted in ("", state):
            for number in numbers & view.active:
                yield _Standing(view.members[number], state)


def _fits(member: Member, search: str) -> bool:
    return not search or matches(search, member.client.name, member.client.group, str(member.id))


def _machine(standing: _Standing) -> WhatIfMachine:
    client = standing.member.client
    return WhatIfMachine(
        id=standing.member.id,
        name=client.name,
        state=standing.state.value,
        group=client.group,
        platform=client.platform,
    )
