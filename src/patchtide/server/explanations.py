"""Why an update is required on a machine, or is not: its rules held against what the machine told.

The agent says the same of itself, from the facts of the moment. Here the facts are those that
were told last, so beside the verdict stands what the machine reported, and why they may differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.explanation import Explanation
from patchtide.domain.applicability.questions import Standing, lacking, standing
from patchtide.domain.applicability.scan import evaluate_shard
from patchtide.domain.applicability.wording import QUESTIONS, sentence, why, why_unknown
from patchtide.domain.catalog.rule_text import lines
from patchtide.domain.compliance.states import PlacedLeaf, state_of
from patchtide.server.context import Call
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import KnownUpdate
from patchtide.server.machines import MachineId
from patchtide.server.member import Member
from patchtide.server.published_leaves import others, published
from patchtide.server.stored_facts import KINDS, Told, told_by
from patchtide.server.table import Input, Output
from patchtide.server.updates import UpdateId

ORDER = (LeafState.REQUIRED, LeafState.UNKNOWN, LeafState.INSTALLED, LeafState.NOT_REQUIRED)
"""What several leaves of one update come to: the first of these that is among them."""


UNACCOUNTED = ("nothing that is known here accounts for it",)


class Explain(Input, kw_only=True, frozen=True):
    machine: MachineId
    update: Annotated[UpdateId, Meta(description="The update's id.")]


class ExplainedPart(Output, kw_only=True, frozen=True):
    """One part of a rule; those that it is made of follow, one deeper."""

    depth: int
    says: str
    verdict: bool | None
    """Null: unknown."""
    saw: str
    """The fact that it saw; empty where the parts below say it all."""
    sentence: str


class ExplainedRule(Output, kw_only=True, frozen=True):
    name: str
    asks: str
    verdict: bool | None
    parts: tuple[ExplainedPart, ...]


class ExplainedLeaf(Output, kw_only=True, frozen=True):
    """A variant of the update that this machine looks at."""

    shard: str
    revision: int
    state: str
    """By the facts that the server has."""
    why: str
    lacking: tuple[str, ...]
    """What its rules ask for and the machine has not told."""
    rules: tuple[ExplainedRule, ...]


class ToldFacts(Output, kw_only=True, frozen=True):
    """When the machine told what, by the server's clock; null: never."""

    facts_at: datetime | None
    packages_at: datetime | None
    untold: tuple[str, ...]
    """Lists of which there is nothing at all."""


class Explained(Output, kw_only=True, frozen=True):
    machine: UUID
    name: str
    update: UUID
    title: str
    state: str
    """By the facts that the server has, and the catalog as it is published now."""
    why: str
    reported: str
    """By the machine's own last report."""
    doubt: str
    """Why that report says nothing; empty: it is believed."""
    counted: str
    """How it counts: what is superseded by something that applies there is not required."""
    differs: tuple[str, ...]
    """Why the machine may have come to something else; empty: it has not."""
    wanted: tuple[str, ...]
    """Lists that it is asked for when it checks in next: they are lacking, or may be old."""
    scanned_at: datetime | None
    told: ToldFacts
    leaves: tuple[ExplainedLeaf, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the view of the fleet knows of the two."""

    member: Member
    update: KnownUpdate
    places: Sequence[PlacedLeaf]
    """Of the leaves in shards that the machine follows."""
    reported: LeafState
    counted: LeafState
    doubt: str
    serials: Mapping[str, int]


async def show(call: Call, principal: Principal, asked: Explain) -> Explained:
    client, found = await call.read_fleet(
        lambda: _explained(call.context.fleet, asked.machine, asked.update)
    )
    if found.wanted:
        call.context.lists_wanted(client, found.wanted)
    return found


def _explained(fleet: Fleet, machine: UUID, update: UUID) -> tuple[int, Explained]:
    """Return the machine's number with the explanation. Raises NotFound."""
    seen = fleet.ask(lambda view: _seen(view, machine, update))
    told = told_by(fleet.store, seen.member.number)
    found = _standing(fleet, seen, told)
    states = {one.state for _, one in found}
    state = next((state for state in ORDER if state in states), _without_leaves(seen))
    differs = state is not seen.reported
    return seen.member.number, Explained(
        machine=seen.member.id,
        name=seen.member.client.name,
        update=seen.update.id,
        title=seen.update.title,
        state=state.value,
        why=_why(seen, state, found),
        reported=seen.reported.value,
        doubt=seen.doubt,
        counted=seen.counted.value,
        differs=(tuple(_differences(seen, told)) or UNACCOUNTED) if differs else (),
        wanted=KINDS if differs else told.untold,
        scanned_at=seen.member.scanned_at,
        told=shown_told(told),
        leaves=tuple(shown_leaf(one, place.shard) for place, one in found),
    )


def shown_told(told: Told) -> ToldFacts:
    return ToldFacts(facts_at=told.facts_at, packages_at=told.packages_at, untold=told.untold)


def _seen(view: View, machine: UUID, update: UUID) -> _Seen:
    member, known = view.member(machine), view.update(update)
    doubt = view.doubt(member)
    followed = member.states.shards
    return _Seen(
        member=member,
        update=known,
        places=[leaf for leaf in known.leaves if leaf.shard in followed],
        reported=LeafState.UNKNOWN if doubt else state_of(member.states, known.leaves),
        counted=view.states_on(member)(known) if known.leaves else LeafState.NOT_REQUIRED,
        doubt=doubt.value,
        serials=view.serials,
    )


def _standing(fleet: Fleet, seen: _Seen, told: Told) -> list[tuple[PlacedLeaf, Standing]]:
    own = published(fleet.store, seen.places)
    followed = seen.member.states.shards
    named = [
        one for one in others(fleet, [x.leaf for x in own]).values() if one.place.shard in followed
    ]
    scan = evaluate_shard([one.leaf for one in (*own, *named)], told.facts)
    return [(one.place, standing(one.leaf, told.facts, scan)) for one in own]


def _without_leaves(seen: _Seen) -> LeafState:
    never_looked = not seen.member.states.shards
    return LeafState.UNKNOWN if never_looked and seen.update.leaves else LeafState.NOT_REQUIRED


def _why(seen: _Seen, state: LeafState, found: Sequence[tuple[PlacedLeaf, Standing]]) -> str:
    deciding = next((one for _, one in found if one.state is state), None)
    if deciding is not None:
        return reason(deciding)
    if not seen.update.leaves:
        return "its vendor stands by it no more, and it is offered to nobody"
    if state is LeafState.UNKNOWN:
        return "the machine has never said which parts of the catalog it follows"
    return "it is for other platforms: the machine follows no part of the catalog that holds it"


def reason(found: Standing) -> str:
    """Say in plain words why the leaf is in its state."""
    if found.why_unknown is not None:
        return why_unknown(found.why_unknown)
    verdicts = {name: rule.verdict for name, rule in found.rules.items()}
    return why(found.leaf, found.state, verdicts)


def _differences(seen: _Seen, told: Told) -> Iterator[str]:
    """Yield all that may have made the machine come to something else."""
    if seen.doubt:
        yield f"what the machine reported counts for nothing now ({seen.doubt})"
    for place in seen.places:
        looked = seen.member.states.shards[place.shard]
        if looked < place.entered:
            yield (
                f"the machine has not looked at this revision yet: it did so with serial {looked}"
                f" of {place.shard}, and the revision came with {place.entered}"
            )
        elif looked < (now := seen.serials.get(place.shard, looked)):
            yield f"the machine looked with serial {looked} of {place.shard}, which is at {now} now"
    yield from _of_time(seen.member.scanned_at, told)


def _of_time(scanned_at: datetime | None, told: Told) -> Iterator[str]:
    times = [at for at in (told.facts_at, told.packages_at) if at is not None]
    if told.untold:
        yield f"the machine has not told its {' and '.join(told.untold)}"
    if scanned_at is None or not times:
        return
    if max(times) > scanned_at:
        yield "the machine has told other facts since its last scan"
    elif min(times) < scanned_at:
        yield "the facts were told before its last scan; changes are told at the next check-in"


def shown_leaf(found: Standing, shard: str) -> ExplainedLeaf:
    return ExplainedLeaf(
        shard=shard,
        revision=found.leaf.revision,
        state=found.state.value,
        why=reason(found),
        lacking=tuple(dict.fromkeys(lacking(found))),
        rules=tuple(
            ExplainedRule(
                name=name, asks=QUESTIONS[name], verdict=rule.verdict, parts=tuple(_parts(rule))
            )
            for name, rule in found.rules.items()
        ),
    )


def _parts(rule: Explanation) -> Iterator[ExplainedPart]:
    for line, part in zip(lines(rule.rule), rule.walk(), strict=True):
        yield ExplainedPart(
            depth=line.depth,
            says=line.text,
            verdict=part.verdict,
            saw=part.seen,
            sentence=sentence(part),
        )
