"""Proposals, as decisions make and end them and as people read them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from patchtide.adapters.storage.proposal_tables import proposal
from patchtide.adapters.storage.rows import instant
from patchtide.adapters.storage.update_lists import Read
from patchtide.domain.access.proposals import Approval, Proposal, State
from patchtide.server.ports.proposals import StoredProposal

# Inputs may be files of megabytes, and fleets large: lists come without.
_HELD = select(*(column for column in proposal.c if column.name != "asked"))
_LISTED = select(*(column for column in proposal.c if column.name not in ("asked", "reach")))


class ProposalWrites:
    """The ProposalWriting port over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, made: StoredProposal) -> None:
        one = made.proposal
        self._connection.execute(
            insert(proposal).values(
                id=one.id,
                operation=one.operation,
                content=one.content,
                author=one.author,
                person=one.person,
                author_counts=int(one.author_counts),
                proposed_at=one.at.timestamp(),
                expires_at=one.expires_at.timestamp(),
                asked=made.asked,
                told=json.dumps(made.told),
                changes=made.changes,
                reach=made.reach,
                **_standing(one),
            )
        )

    def hold(self, id: str) -> StoredProposal | None:
        found = _HELD.where(proposal.c.id == id).with_for_update()
        row = self._connection.execute(found).first()
        return None if row is None else _stored(row, reach=row.reach)

    def open_of(self, person: str, *, now: datetime) -> Sequence[StoredProposal]:
        found = _LISTED.where(proposal.c.person == person, _is_open(now))
        return [_stored(row) for row in self._connection.execute(found)]

    def made_since(self, person: str, since: datetime) -> int:
        found = select(func.count()).where(
            proposal.c.person == person, proposal.c.proposed_at > since.timestamp()
        )
        return self._connection.execute(found).scalar_one()

    def open_bytes(self, person: str, *, now: datetime) -> int:
        together = func.coalesce(func.sum(func.length(proposal.c.asked)), 0)
        found = select(together).where(proposal.c.person == person, _is_open(now))
        return int(self._connection.execute(found).scalar_one())

    def put(self, proposal_: Proposal) -> None:
        changed = update(proposal).where(proposal.c.id == proposal_.id)
        emptied = {} if proposal_.ended_at is None else {"asked": b""}
        self._connection.execute(changed.values(**_standing(proposal_), **emptied))

    def void_all(self, *, by: str, now: datetime) -> None:
        ended = {"state": State.VOID.value, "ended_at": now.timestamp(), "ended_by": by}
        changed = update(proposal).where(_is_open(now)).values(**ended, asked=b"")
        self._connection.execute(changed)


class ProposalReads:
    """The ProposalReading port."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def proposals(
        self, *, person: str, operations: Collection[str], is_open: bool, now: datetime, limit: int
    ) -> Sequence[StoredProposal]:
        among = or_(proposal.c.person == person, proposal.c.operation.in_(operations))
        found = (
            _LISTED.where(among, _is_open(now) if is_open else not_(_is_open(now)))
            .order_by(proposal.c.proposed_at.desc(), proposal.c.id)
            .limit(limit)
        )
        return self._read(lambda c: [_stored(row) for row in c.execute(found)])

    def what_is_open(self, now: datetime) -> tuple[int, float, int]:
        newest = func.coalesce(func.max(proposal.c.proposed_at), 0.0)
        agreed = func.coalesce(func.sum(func.length(proposal.c.approvals)), 0)
        found = select(func.count(), newest, agreed).where(_is_open(now))
        count, at, letters = self._read(lambda c: c.execute(found).one())
        return int(count), float(at), int(letters)

    def proposal(self, id: str) -> StoredProposal | None:
        found = select(proposal).where(proposal.c.id == id)
        row = self._read(lambda c: c.execute(found).first())
        return None if row is None else _stored(row, asked=row.asked, reach=row.reach)


def trim(connection: Connection, *, before: float, slice_: int) -> bool:
    """Remove what was over long ago; the audit goes on telling of it."""
    old = select(proposal.c.id).where(proposal.c.expires_at < before).limit(slice_)
    ids = list(connection.execute(old).scalars())
    if ids:
        connection.execute(delete(proposal).where(proposal.c.id.in_(ids)))
    return len(ids) == slice_


def empty(connection: Connection, *, now: float, slice_: int) -> bool:
    """Remove the inputs of those that are over without anybody having ended them."""
    over = (
        select(proposal.c.id)
        .where(proposal.c.expires_at <= now, func.length(proposal.c.asked) > 0)
        .limit(slice_)
    )
    ids = list(connection.execute(over).scalars())
    if ids:
        connection.execute(update(proposal).where(proposal.c.id.in_(ids)).values(asked=b""))
    return len(ids) == slice_


def _is_open(now: datetime) -> ColumnElement[bool]:
    return and_(proposal.c.ended_at == 0.0, proposal.c.expires_at > now.timestamp())


def _standing(one: Proposal) -> Mapping[str, Any]:
    approvals = [[a.person, a.by, a.at.timestamp(), a.content.hex()] for a in one.approvals]
    return {
        "state": one.state.value,
        "approvals": json.dumps(approvals),
        "ended_at": 0.0 if one.ended_at is None else one.ended_at.timestamp(),
        "ended_by": one.ended_by,
    }


def _stored(row: Any, *, asked: bytes = b"", reach: bytes | None = None) -> StoredProposal:
    approvals = tuple(
        Approval(person=person, by=by, at=instant(at), content=bytes.fromhex(content))
        for person, by, at, content in json.loads(row.approvals)
    )
    made = Proposal(
        id=row.id,
        operation=row.operation,
        content=row.content,
        author=row.author,
        person=row.person,
        author_counts=bool(row.author_counts),
        at=instant(row.proposed_at),
        expires_at=instant(row.expires_at),
        state=State(row.state),
        approvals=approvals,
        ended_at=instant(row.ended_at) if row.ended_at else None,
        ended_by=row.ended_by,
    )
    told = tuple((subject, detail) for subject, detail in json.loads(row.told))
    return StoredProposal(
        proposal=made, asked=asked, told=told, changes=row.changes, reach=reach or b""
    )
