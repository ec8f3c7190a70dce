"""Taking reports in: many of them, one transaction, numbered rows last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, insert, select, update

from patchtide.adapters.storage import states, ticket
from patchtide.adapters.storage.rows import restores_of
from patchtide.adapters.storage.tables import (
    client,
    client_event,
    client_presence,
    client_state,
    state_delta,
)
from patchtide.server.ports.storage import Accepted, IncomingReport, Outcome, Presence

RESTORES_KEPT_S = 86_400.0
_pack = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class _Held:
    """A client's row while a batch is applied to it."""

    counter: int
    digest: bytes
    sets: states.Sets
    restores: bytes
    row: dict[str, Any]
    """What is to be written; empty until something is."""


_HELD = select(
    client_state.c.client,
    client_state.c.counter,
    client_state.c.digest,
    client_state.c.required,
    client_state.c.installed,
    client_state.c.unknown,
    client_state.c.restores,
).order_by(client_state.c.client)

_COLUMNS = [c.name for c in client_state.columns if c.name != "client"]
_UPDATE = (
    update(client_state)
    .where(client_state.c.client == bindparam("b_client"))
    .values({name: bindparam(f"b_{name}") for name in _COLUMNS})
)
_SEEN = (
    update(client_presence)
    .where(
        client_presence.c.client == bindparam("b_client"),
        client_presence.c.counter <= bindparam("b_counter"),
    )
    .values(
        counter=bindparam("b_counter"),
        seen_at=bindparam("b_seen_at"),
        health=bindparam("b_health"),
    )
)


def accept(
    connection: Connection, reports: Sequence[IncomingReport], *, times: Sequence[float]
) -> list[Accepted]:
    """Apply the reports in order; what is accepted is durable when the caller commits."""
    held = _hold(connection, {report.client for report in reports})
    deltas: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    answers: list[Accepted] = []
    full: list[int] = []
    for report, now in zip(reports, times, strict=True):
        answer, moved = _apply(held.get(report.client), report, now)
        answers.append(answer)
        if answer.outcome is not Outcome.ACCEPTED:
            continue
        deltas.append(_delta(report.client, now, moved or _UNMOVED))
        if report.events:
            events.append(_event(report, now))
        if report.has_states and report.base is None:
            full.append(report.client)
    _write(connection, held, deltas, events, full)
    return answers


def _hold(connection: Connection, clients: set[int]) -> dict[int, _Held]:
    found = _HELD.where(client_state.c.client.in_(sorted(clients))).with_for_update()
    return {
        row[0]: _Held(row[1], row[2], (row[3], row[4], row[5]), row[6], {})
        for row in connection.execute(found)
    }


_UNMOVED = states.Moved(states.EMPTY, states.EMPTY, states.EMPTY)


def _apply(
    held: _Held | None, report: IncomingReport, now: float
) -> tuple[Accepted, states.Moved | None]:
    if held is None:
        return Accepted(Outcome.NEED_FULL), None
    if report.counter <= held.counter:
        if report.counter == held.counter and report.digest == held.digest:
            return Accepted(Outcome.REPEATED), None
        return Accepted(Outcome.STALE_COUNTER, held.counter + 1), None
    moved = None
    if not report.has_states:
        if report.digest != held.digest:
            return Accepted(Outcome.NEED_FULL), None
    elif report.base is None:
        moved = states.replaced(held.sets, report)
    else:
        moved = states.changed(held.sets, report) if report.base == held.digest else None
        if moved is None:
            return Accepted(Outcome.NEED_FULL), None
    _take(held, report, moved, now)
    return Accepted(Outcome.ACCEPTED), moved


def _take(held: _Held, report: IncomingReport, moved: states.Moved | None, now: float) -> None:
    held.counter, held.digest = report.counter, report.digest
    if moved is not None:
        held.sets = moved.sets
    if report.restored:
        recent = [at for at in restores_of(held.restores) if now - at < RESTORES_KEPT_S]
        held.restores = _pack([*recent[-15:], now])
    required, installed, unknown = held.sets
    held.row = {
        "b_client": report.client,
        "b_counter": report.counter,
        "b_lineage": report.lineage,
        "b_digest": report.digest,
        "b_required": required,
        "b_installed": installed,
        "b_unknown": unknown,
        "b_shards": report.shards,
        "b_boot_id": report.boot_id,
        "b_scan": report.scan,
        "b_scan_error": report.scan_error,
        "b_scanned_at": report.scanned_at,
        "b_aged_catalog": report.aged_catalog,
        "b_reported_at": now,
        "b_restores": held.restores,
        "b_change": 0,
    }


def _delta(number: int, now: float, moved: states.Moved) -> dict[str, Any]:
    (required, installed, unknown), (no_required, no_installed, no_unknown) = (
        moved.added,
        moved.removed,
    )
    return {
        "change": 0,
        "client": number,
        "at": now,
        "required_added": required,
        "required_removed": no_required,
        "installed_added": installed,
        "installed_removed": no_installed,
        "unknown_added": unknown,
        "unknown_removed": no_unknown,
    }


def _event(report: IncomingReport, now: float) -> dict[str, Any]:
    return {
        "client": report.client,
        "counter": report.counter,
        "at": now,
        "events": report.events,
    }


def _write(
    connection: Connection,
    held: dict[int, _Held],
    deltas: list[dict[str, Any]],
    events: list[dict[str, Any]],
    full: list[int],
) -> None:
    if not deltas:
        return
    if events:
        connection.execute(insert(client_event), events)
    if full:
        connection.execute(
            update(client)
            .where(client.c.number.in_(full), client.c.full_report.is_(True))
            .values(full_report=False)
        )
    first = ticket.draw(connection, len(deltas))
    for place, delta in enumerate(deltas):
        delta["change"] = first + place
        held[delta["client"]].row["b_change"] = first + place
    connection.execute(_UPDATE, [h.row for h in held.values() if h.row])
    connection.execute(insert(state_delta), deltas)


def flush_presence(connection: Connection, seen: Sequence[Presence]) -> None:
    rows = [
        {
            "b_client": p.client,
            "b_counter": p.counter,
            "b_seen_at": p.seen_at,
            "b_health": p.health,
        }
        for p in seen
    ]
    connection.execute(_SEEN, rows)
