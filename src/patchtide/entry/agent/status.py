"""`patchtide agent status`: parse, read, print."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from patchtide.adapters.agentstate.status import read_status
from patchtide.entry.agent.loop import OtherInstance, only_instance


def show_status(state: Path, *, as_json: bool) -> int:
    status = {"state": str(state), "running": _is_running(state), **read_status(state)}
    if as_json:
        sys.stdout.write(json.dumps(status, indent=2) + "\n")
        return 0
    if status.get("next_poll"):
        status["next_poll"] = datetime.fromtimestamp(status["next_poll"], UTC).isoformat()
    enrolment = status.pop("enrolment") or {"enrolled": False}
    for name, value in {**status, **enrolment}.items():
        sys.stdout.write(f"{name.replace('_', ' ')}: {'-' if value in (None, {}) else value}\n")
    return 0


def _is_running(state: Path) -> bool:
    if not (state / "lock").exists():
        return False
    try:
        with only_instance(state):
            return False
    except OtherInstance:
        return True
