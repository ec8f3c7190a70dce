"""Taking reports in: many of them, one transaction, numbered rows last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import BindParameter, Connection, Float, bindparam, case, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from patchtide.adapters.storage import states, ticket
from patchtide.adapters.storage.batches import Batch
from patchtide.adapters.storage.rows import restores_of
from patchtide.adapters.storage.tables import (
    client_event,
    client_presence,
    client_state,
    state_delta,
)
from patchtide.server.ports.reports import Accepted, IncomingReport, Outcome, Presence

RESTORES_KEPT_S = 86_400.0
RESTORES_KEPT = 16
_pack = msgspec.msgpack.Encoder().encode
_ACCEPTED = Accepted(Outcome.ACCEPTED)
_REPEATED = Accepted(Outcome.REPEATED)
_NEED_FULL = Accepted(Outcome.NEED_FULL)


@dataclass(slots=True)
class _Held:
    """A client's row while a batch is applied to it."""

    counter: int
    lineage: bytes
    digest: bytes
    sets: states.Sets
    restores: bytes
    report_epoch: str
    scan_wanted: int
    row: dict[str, Any] = field(default_factory=dict)
    """What is to be written; empty until something is."""


@dataclass(slots=True)
class _Taken:
    """What the accepted reports of a batch add beside the clients' rows."""

    epoch: str
    deltas: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


_HELD = select(
    client_state.c.client,
    client_state.c.counter,
    client_state.c.lineage,
    client_state.c.digest,
    client_state.c.required,
    client_state.c.installed,
    client_state.c.unknown,
    client_state.c.restores,
    client_state.c.report_epoch,
    client_state.c.scan_wanted,
).order_by(client_state.c.client)

_NEW: dict[str, BindParameter[Any]] = {
    c.name: bindparam(f"new_{c.name}") for c in client_state.columns if not c.primary_key
}
_ROW = sqlite_insert(client_state).values(client=bindparam("of"), **_NEW)
_UPDATE = Batch(
    update(client_state).where(client_state.c.client == bindparam("of")).values(_NEW),
    on_sqlite=_ROW.on_conflict_do_update(
        index_elements=[client_state.c.client], set_={name: _ROW.excluded[name] for name in _NEW}
    ),
)
_DELTA = Batch(insert(state_delta))
_EVENT = Batch(insert(client_event))
_SEEN = Batch(
    update(client_presence)
    .where(client_presence.c.client == bindparam("of"), client_presence.c.counter <= bindparam("n"))
    .values(
        counter=bindparam("n"),
        seen_at=bindparam("at"),
        health=bindparam("said"),
        # Of one that came without its settings stays when it had them last.
        policy_at=case(
            (
                bindparam("policy", type_=Float) > client_presence.c.policy_at,
                bindparam("policy", type_=Float),
            ),
            else_=client_presence.c.policy_at,
        ),
    )
)


def accept(
    connection: Connection, reports: Sequence[IncomingReport], *, times: Sequence[float]
) -> list[Accepted]:
    """Apply the reports in order; what is accepted is durable when the caller commits."""
    held = _hold(connection, {report.client for report in reports})
    taken = _Taken(ticket.position(connection).epoch)
    answers = [
        _apply(held.get(report.client), report, taken, now)
        for report, now in zip(reports, times, strict=True)
    ]
    if taken.deltas:
        _write(connection, [h.row for h in held.values() if h.row], taken)
    return answers


def _hold(connection: Connection, clients: set[int]) -> dict[int, _Held]:
    found = _HELD.where(client_state.c.client.in_(sorted(clients))).with_for_update()
    return {
        row[0]: _Held(row[1], row[2], row[3], (row[4], row[5], row[6]), row[7], row[8], row[9])
        for row in connection.execute(found)
    }


def _apply(held: _Held | None, report: IncomingReport, taken: _Taken, now: float) -> Accepted:
    if held is None:
        return _NEED_FULL
    if report.counter <= held.counter:
        if report.counter == held.counter and report.digest == held.digest:
            return _REPEATED
        return Accepted(Outcome.STALE_COUNTER, held.counter + 1)
    moved = _moved(held, report)
    if moved is None:
        return _NEED_FULL
    _take(held, report, moved, epoch=taken.epoch, now=now)
    taken.deltas.append(_delta(report.client, now, moved))
    if report.events:
        taken.events.append(_event(report, now))
    return _ACCEPTED


def _moved(held: _Held, report: IncomingReport) -> states.Moved | None:
    """Return what the report does to the sets; None when it does not fit them."""
    if report.has_states and report.base is None:
        return states.replaced(held.sets, report)
    if not report.has_states and not held.digest:
        # A machine that has no catalog yet has no states to tell, but that it scanned.
        return states.Moved(held.sets, states.EMPTY, states.EMPTY)
    if report.lineage != held.lineage:
        return None
    if report.has_states:
        return states.changed(held.sets, report) if report.base == held.digest else None
    stays = report.digest == held.digest
    return states.Moved(held.sets, states.EMPTY, states.EMPTY) if stays else None


def _take(
    held: _Held, report: IncomingReport, moved: states.Moved, *, epoch: str, now: float
) -> None:
    held.counter, held.lineage, held.digest = report.counter, report.lineage, report.digest
    held.sets = moved.sets
    if report.has_states and report.base is None:
        held.report_epoch = epoch
    if report.restored:
        recent = [at for at in restores_of(held.restores) if now - at < RESTORES_KEPT_S]
        held.restores = _pack([*recent[1 - RESTORES_KEPT :], now])
    if report.scan_for >= held.scan_wanted:
        held.scan_wanted = 0
    held.row = _row(held, report, now)


def _row(held: _Held, report: IncomingReport, now: float) -> dict[str, Any]:
    required, installed, unknown = held.sets
    return {
        "of": report.client,
        "new_counter": report.counter,
        "new_lineage": report.lineage,
        "new_digest": report.digest,
        "new_required": required,
        "new_installed": installed,
        "new_unknown": unknown,
        "new_shards": report.shards,
        "new_boot_id": report.boot_id,
        "new_scan": report.scan,
        "new_scan_error": report.scan_error,
        "new_scanned_at": report.scanned_at,
        "new_aged_catalog": report.aged_catalog,
        "new_reported_at": now,
        "new_restores": held.restores,
        "new_report_epoch": held.report_epoch,
        "new_scan_wanted": held.scan_wanted,
    }


def _delta(number: int, now: float, moved: states.Moved) -> dict[str, Any]:
    return {
        "client": number,
        "at": now,
        "required_added": moved.added[0],
        "required_removed": moved.removed[0],
        "installed_added": moved.added[1],
        "installed_removed": moved.removed[1],
        "unknown_added": moved.added[2],
        "unknown_removed": moved.removed[2],
    }


def _event(report: IncomingReport, now: float) -> dict[str, Any]:
    return {
        "client": report.client,
        "counter": report.counter,
        "at": now,
        "events": report.events,
    }


def _write(connection: Connection, rows: list[dict[str, Any]], taken: _Taken) -> None:
    _EVENT.run(connection, taken.events)
    change = ticket.draw(connection, len(taken.deltas))
    newest: dict[int, int] = {}
    for delta in taken.deltas:
        delta["change"] = newest[delta["client"]] = change
        change += 1
    for row in rows:
        row["new_change"] = newest[row["of"]]
    _UPDATE.run(connection, rows)
    _DELTA.run(connection, taken.deltas)


def flush_presence(connection: Connection, seen: Sequence[Presence]) -> None:
    """Keep what was seen; a counter never falls."""
    _SEEN.run(
        connection,
        [
            {
                "of": p.client,
                "n": p.counter,
                "at": p.seen_at,
                "said": p.health,
                "policy": p.policy_at,
            }
            for p in seen
        ],
    )
