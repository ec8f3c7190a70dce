"""A file of machines: what it would change, said field by field, and then done.

Of a file with a mistake nothing is done. A machine that nobody knows yet is expected from then on,
if that is asked for: it keeps what is said of it until one of that name enrols. It is done in
parts, since machines that report meanwhile wait for the writer: whoever was stopped half-way
imports the file again, which then says the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Annotated
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.query_parser import MAX_LENGTH
from patchtide.domain.compliance.described import UNDESCRIBED, Described
from patchtide.domain.errors import InvalidDocument, Problem, StaleRevision, WrongState
from patchtide.server.collection_checks import may_ask
from patchtide.server.collection_index import CollectionIndex
from patchtide.server.collection_reach import may_name_collections
from patchtide.server.context import Call
from patchtide.server.described_reach import Redescribed, looked_at
from patchtide.server.fleet_view import View
from patchtide.server.four_eyes import Whole
from patchtide.server.machine_attributes import changes, saying, texts_of
from patchtide.server.machine_csv import PROBLEMS, Line, place, read_lines, written
from patchtide.server.machine_descriptions import ChangedMachine, put, reaching
from patchtide.server.patterns import SHA256, or_nothing
from patchtide.server.ports.clients import Client, ClientState, ExpectedClient
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Output
from patchtide.server.tier_zero import Targets, check_targets

LARGEST = 8 << 20
"""Of a file, in bytes; ten thousand lines have about one million."""
SHOWN = 2_000
"""So many changes are told one by one."""
PART = 250
"""So many are written at once: some 50 ms, and twice that where collections are the most."""


class ImportMachines(Input, kw_only=True, frozen=True):
    csv: Annotated[str, Meta(max_length=LARGEST, description="The file.")]
    expect: Annotated[
        bool,
        Meta(description="Machines that are not known yet are expected, until they enrol by name."),
    ] = False
    dry_run: Annotated[bool, Meta(description="Only tell what would change.")] = False
    plan: Annotated[
        str,
        Meta(
            pattern=or_nothing(SHA256),
            description="Do this only if it is what a dry run told, which gave it this name.",
        ),
    ] = ""


class UnknownMachine(Output, kw_only=True, frozen=True):
    line: int
    name: str


class ImportedMachines(Output, kw_only=True, frozen=True):
    lines: int
    changed: int
    """Machines of which something else was said before."""
    expected: int
    """Machines that are new here."""
    unchanged: int
    new: tuple[str, ...]
    """What those that are new here are called; the first of them."""
    changes: tuple[ChangedMachine, ...]
    """Field by field, of those that are new too; the first of them, when they are very many."""
    changes_left_out: int
    unknown: tuple[UnknownMachine, ...]
    """Lines of machines that nobody knows, and that are not to be expected."""
    plan: str
    """A name for all that this changes: SHA-256."""


class ExportMachines(Input, kw_only=True, frozen=True):
    machines: Annotated[
        str, Meta(max_length=MAX_LENGTH, description="Only machines that answer to this query.")
    ] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file's lines, and whose they are."""

    lines: int
    known: Sequence[tuple[Line, bytes]]
    """Each with the machine's uuid."""
    new: Sequence[tuple[Line, bytes]]
    """Each with the uuid that it gets."""
    unknown: Sequence[Line]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    changed: Sequence[tuple[Client, Described]]
    expected: Sequence[ExpectedClient]
    name: str = ""

    def pairs(self) -> list[tuple[Described, Described]]:
        """Return of each what was said of it before, and what is said now."""
        known = [(one.described, now) for one, now in self.changed]
        return known + [(UNDESCRIBED, one.described) for one in self.expected]

    def parts(self) -> Iterator[_Plan]:
        """Yield one at least: what was agreed to is void if nothing is left of it."""
        if not self.changed and not self.expected:
            yield self
        for at in range(0, len(self.changed), PART):
            yield _Plan(changed=self.changed[at : at + PART], expected=())
        for at in range(0, len(self.expected), PART):
            yield _Plan(changed=(), expected=self.expected[at : at + PART])


async def import_some(call: Call, principal: Principal, asked: ImportMachines) -> ImportedMachines:
    """Do all that the file says, part by part.

    Raises:
        InvalidDocument: with the mistakes of the file, each with its line and column.
        Refused: a machine of it is of tier 0, or it would say which are.
        SignInAgain: other updaters may be held back by it, or no more.
        StaleRevision: it is not what the dry run told of any more, or somebody changed a machine
            of it meanwhile.
        WrongState: a machine is retired, or has come that is to be expected.
    """
    fleet = call.context.fleet
    names = await _names(call, principal)
    lines = await call.read(lambda: read_lines(asked.csv, names))
    file = await call.read_fleet(
        lambda: fleet.ask(lambda view: _resolved(view, lines, expect=asked.expect))
    )
    uuids = [uuid for _, uuid in file.known]
    plan = await call.read(lambda: _plan(file, fleet.store.clients_of(uuids)))
    targets = Targets(machines=[UUID(bytes=client.uuid) for client, _ in plan.changed])
    await check_targets(fleet, principal, targets)
    if not asked.dry_run:
        _check(file, plan, asked.plan)
        whole = Whole(
            changes=len(plan.changed) + len(plan.expected),
            counted=len(plan.changed),
            expected=len(plan.expected),
            seen=plan.name,
        )
        said = await looked_at(call, plan.pairs())
        for part in plan.parts():
            # With each part is asked what all of them may move: the file is refused as a whole.
            work = partial(_carry_out, part, said, call, principal)
            await call.decide(principal, work, whole=whole)
            call = call.rest()
    return await call.read(lambda: _told(file, plan))


async def _names(call: Call, principal: Principal) -> Mapping[str, UUID]:
    """Return the collections by name, for whoever may read them all."""
    if not may_name_collections(principal):
        return {}
    fleet = call.context.fleet
    known = await call.read_fleet(lambda: fleet.ask(lambda view: [*view.collections.values()]))
    return {one.name.casefold(): one.id for one in known}


def _check(file: _File, plan: _Plan, wanted: str) -> None:
    if file.unknown:
        raise InvalidDocument(
            [
                Problem(place(one.number), f"is of {one.called}, which is no machine known here")
                for one in file.unknown[:PROBLEMS]
            ]
        )
    if wanted and wanted != plan.name:
        raise StaleRevision


async def export(call: Call, principal: Principal, asked: ExportMachines) -> bytes:
    """Raises InvalidQuery."""
    may_ask(principal, None, asked.machines)
    fleet = call.context.fleet

    def found() -> Sequence[Client]:
        fleet.follow_facts()
        return fleet.ask(lambda view: _clients(view, fleet.collections, asked.machines))

    clients = await call.read_fleet(found)
    return await call.read(lambda: written(clients))


def _clients(view: View, collections: CollectionIndex, query: str) -> Sequence[Client]:
    numbers = (
        collections.answering(view, query, among=view.present) if query.strip() else view.present
    )
    members = sorted((view.members[n] for n in numbers), key=lambda member: member.named)
    return [member.client for member in members]


def _resolved(view: View, lines: Sequence[Line], *, expect: bool) -> _File:
    """Raises InvalidDocument: a line is of no machine, or of more than one, or of a retired one."""
    named = _by_name(view, {line.name.casefold() for line in lines if line.id is None})
    problems: list[Problem] = []
    known: dict[bytes, Line] = {}
    new: list[Line] = []
    for line in lines:
        found = [view.numbers.get(line.id.bytes)] if line.id else named.get(line.name.casefold())
        numbers = [n for n in found or () if n is not None]
        if problem := _problem(view, line, numbers):
            problems.append(Problem(place(line.number), problem))
        elif not numbers:
            new.append(line)
        elif (uuid := view.members[numbers[0]].client.uuid) in known:
            first = known[uuid].number
            problems.append(
                Problem(place(line.number), f"is of the machine that line {first} is of")
            )
        else:
            known[uuid] = line
    problems += _without_collection(view, lines)
    if problems:
        raise InvalidDocument(problems[:PROBLEMS])
    return _File(
        lines=len(lines),
        known=[(line, uuid) for uuid, line in known.items()],
        new=[(line, uuid4().bytes) for line in new] if expect else [],
        unknown=[] if expect else new,
    )


def _by_name(view: View, names: Collection[str]) -> Mapping[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number in view.present:
        name = view.members[number].client.name.casefold()
        if name in names:
            found.setdefault(name, []).append(number)
    return found


def _problem(view: View, line: Line, numbers: Sequence[int]) -> str:
    if line.id is not None and not numbers:
        return f"has the id {line.id}, which is no machine's"
    if len(numbers) > 1:
        return f"is of {line.name}, which {len(numbers)} machines are called; say the id of one"
    if not numbers:
        return ""
    client = view.members[numbers[0]].client
    if client.state is ClientState.DECOMMISSIONED:
        return f"is of {client.name}, which is retired"
    if line.name and line.name.casefold() != client.name.casefold():
        return f"is of {line.name}, and the id is of {client.name}"
    return ""


def _without_collection(view: View, lines: Iterable[Line]) -> Iterable[Problem]:
    for line in lines:
        schedule = line.said.get("schedule")
        if schedule is not None and schedule not in view.collections:
            yield Problem(
                place(line.number), f"has the schedule {schedule}, which is no collection's id"
            )


def _plan(file: _File, clients: Sequence[Client]) -> _Plan:
    """Raises WrongState: one of them is retired, or gone."""
    by_uuid = {client.uuid: client for client in clients}
    changed: list[tuple[Client, Described]] = []
    for line, uuid in file.known:
        client = by_uuid.get(uuid)
        if client is None or client.state is ClientState.DECOMMISSIONED:
            raise WrongState(f"{line.called} is retired")
        now = saying(client.described, line.said)
        if now != client.described:
            changed.append((client, now))
    expected = [
        ExpectedClient(uuid=uuid, name=line.name.lower(), described=saying(UNDESCRIBED, line.said))
        for line, uuid in file.new
    ]
    said = [
        *((c.uuid.hex(), texts_of(c.described), texts_of(now)) for c, now in changed),
        *((one.name, {}, texts_of(one.described)) for one in expected),
    ]
    return _Plan(
        changed=changed, expected=expected, name=sha256(msgspec.json.encode(said)).hexdigest()
    )


def _carry_out(
    part: _Plan,
    said: Redescribed,
    call: Call,
    principal: Principal,
    tx: Transaction,
) -> None:
    besides = reaching(tx, principal, said, now=call.now)
    if met := tx.clients_named({one.name for one in part.expected}):
        raise WrongState(f"{met[0].name} has come meanwhile; look at it again")
    there = {one.uuid: one for one in tx.clients([c.uuid for c, _ in part.changed])}
    for was, _ in part.changed:
        now = there.get(was.uuid)
        if now is None or (now.described, now.state) != (was.described, was.state):
            raise StaleRevision(f"{was.name} was changed meanwhile; import it again for the rest")
    put(tx, part.changed, **besides)
    tx.expect_clients(part.expected, site=call.context.site_name, now=call.now)
    for one in part.expected:
        told = {name: text for name, text in texts_of(one.described).items() if text}
        tx.note(one.uuid.hex(), name=one.name, state=ClientState.EXPECTED.value, **told, **besides)


def _told(file: _File, plan: _Plan) -> ImportedMachines:
    told: list[ChangedMachine] = []
    left_out = 0
    pairs = [(c.uuid, c.name, c.described, now) for c, now in plan.changed]
    pairs += [(one.uuid, one.name, UNDESCRIBED, one.described) for one in plan.expected]
    for uuid, name, was, now in pairs:
        found = changes(was, now)
        room = max(0, SHOWN - len(told))
        left_out += len(found[room:])
        told += [
            ChangedMachine(
                machine=UUID(bytes=uuid),
                name=name,
                attribute=change.attribute,
                was=change.was,
                now=change.now,
            )
            for change in found[:room]
        ]
    return ImportedMachines(
        lines=file.lines,
        changed=len(plan.changed),
        expected=len(plan.expected),
        unchanged=len(file.known) - len(plan.changed),
        new=tuple(one.name for one in plan.expected[:SHOWN]),
        changes=tuple(told),
        changes_left_out=left_out,
        unknown=tuple(UnknownMachine(line=one.number, name=one.called) for one in file.unknown),
        plan=plan.name,
    )
