"""`patchtide agent status`: what the agent knows, and how it and its server get on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from patchtide.adapters.agentstate.status import Status, read_status
from patchtide.agent.ports.journal import States
from patchtide.entry.agent.loop import OtherInstance, only_instance
from patchtide.entry.agent.machine import machine_of
from patchtide.entry.agent.printing import columns, print_json, print_lines
from patchtide.entry.agent.settings_shown import settings_shown
from patchtide.wire.sets import decode_set

_ONCE_SCANNED_EVERY_S = 86_400
"""By agents that did not keep yet when they scanned."""
SETS = ("required", "installed", "unknown")


def show_status(state: Path, *, platform: str, as_json: bool, config: Path) -> int:
    machine = machine_of(platform)
    seen = read_status(state)
    followed = {name: seen.shards.get(name, 0) for name in machine.shards} | dict(seen.shards)
    said = {
        "state": str(state),
        "running": is_running(state),
        "mode": "report-only" if machine.report_only else "enforcing",
        **_as_json(seen),
        "shards": followed,
        "settings": {"from": str(config), **settings_shown(state, config, seen)},
    }
    if as_json:
        print_json(said)
    else:
        print_lines(columns(list(_rows(said))))
    return 0


def is_running(state: Path) -> bool:
    """Say whether an agent holds the folder."""
    if not (state / "lock").exists():
        return False
    try:
        with only_instance(state):
            return False
    except OtherInstance:
        return True


def scanned_at(seen: Status) -> float:
    """Return when the machine was last held against the catalog; 0: never."""
    memory = seen.brain.memory if seen.brain else None
    if memory is None or memory.scanned_at:
        return memory.scanned_at if memory else 0.0
    return memory.scan_at - _ONCE_SCANNED_EVERY_S if memory.scan_at else 0.0


def _as_json(seen: Status) -> dict[str, Any]:
    memory = seen.brain.memory if seen.brain else None
    kept, known = seen.enrolment, seen.acknowledged
    return {
        "enrolment": kept
        and {"client": str(UUID(bytes=kept.client)), "server": kept.url, "site": kept.site},
        "phase": type(seen.brain.phase).__name__ if seen.brain else None,
        "last_answer": (memory and memory.heard_at) or None,
        "last_scan": scanned_at(seen) or None,
        "last_report": (memory and memory.told_at) or None,
        "next_poll": memory and memory.poll_at,
        "clock_offset_s": memory and memory.clock_offset_s,
        "failures": memory.failures if memory else 0,
        "reported": _counted(known) if known else None,
        "acknowledged": known.digest.hex() if known else None,
        "pending": seen.pending,
        "untold_events": seen.untold_events,
        "last_event": f"{seen.last_event.code} {seen.last_event.detail}".strip()
        if seen.last_event
        else None,
        "damaged": seen.damaged or None,
    }


def _counted(known: States) -> dict[str, int]:
    """Return how many updates are in each state, as the server has it from this machine."""
    return {name: len(decode_set(getattr(known, name))) for name in SETS}


def _rows(said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    parts = ("enrolment", "reported", "settings")
    flat = {name: value for name, value in said.items() if name not in parts}
    flat |= said["enrolment"] or {"enrolled": "no; patchtide agent enrol --help says how"}
    flat |= said["reported"] or dict.fromkeys(SETS)
    for name, value in flat.items():
        yield name.replace("_", " "), _shown(name, value)
    for name, value in said["settings"].items():
        if isinstance(value, dict):
            yield name.replace("_", " "), f"{_shown(name, value['value'])} ({value['from']})"
    until = said["settings"]["due_now_postponed_until"]
    yield "due now, postponed until", _shown("due_now_postponed_until", until)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in ("last_answer", "last_scan", "last_report", "next_poll", "due_now_postponed_until"):
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC" if value else "-"
    if name == "shards":
        return ", ".join(f"{shard} {serial or '-'}" for shard, serial in value.items()) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
