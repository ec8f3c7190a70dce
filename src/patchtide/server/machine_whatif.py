"""How an update that is not published yet would stand on one machine."""

from __future__ import annotations

from uuid import UUID

from patchtide.domain.access.principals import Principal
from patchtide.server.asked_rules import Installed, Prerequisite, RuleText, leaf_asked
from patchtide.server.context import Call
from patchtide.server.explanations import ExplainedLeaf, ToldFacts, shown_leaf, shown_told
from patchtide.server.fleet import Fleet
from patchtide.server.machines import MachineId
from patchtide.server.stored_facts import told_by
from patchtide.server.table import Input, Output
from patchtide.server.whatif import question_of


class AskMachine(Input, kw_only=True, frozen=True):
    machine: MachineId
    rule: RuleText
    prerequisite: Prerequisite = "always"
    installed: Installed = "never"


class WouldStand(Output, kw_only=True, frozen=True):
    machine: UUID
    name: str
    state: str
    """By the facts that the server has."""
    why: str
    told: ToldFacts
    leaf: ExplainedLeaf


async def show(call: Call, principal: Principal, asked: AskMachine) -> WouldStand:
    return await call.read_fleet(lambda: _would_stand(call.context.fleet, asked))


def _would_stand(fleet: Fleet, asked: AskMachine) -> WouldStand:
    leaf = leaf_asked(rule=asked.rule, prerequisite=asked.prerequisite, installed=asked.installed)
    member = fleet.ask(lambda view: view.member(asked.machine))
    told = told_by(fleet.store, member.number)
    question = question_of(fleet, leaf)
    found = question.standing(told.facts, followed=frozenset(member.states.shards))
    shown = shown_leaf(found, shard="")
    return WouldStand(
        machine=member.id,
        name=member.client.name,
        state=shown.state,
        why=shown.why,
        told=shown_told(told),
        leaf=shown,
    )
