"""`patchtide agent get-policy` and `scan`: done by the agent at work, or here where none is.

Whoever asks has become the agent's own user before, so a signal reaches nothing of anybody else's.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from patchtide.adapters.agentstate.status import Status, read_status
from patchtide.entry.agent.loop import OtherInstance
from patchtide.entry.agent.owner import act_as_owner
from patchtide.entry.agent.status import scanned_at

DONE, REFUSED, UNREACHABLE = 0, 1, 3
PATIENCE_S = {"get-policy": 60.0, "scan": 600.0}
LOOKS_EVERY_S = 0.2
TRIES = 10
_SIGNALS = {"get-policy": signal.SIGHUP, "scan": signal.SIGUSR1}


def ask(asked: argparse.Namespace, work_now: Callable[[argparse.Namespace], int]) -> int:
    act_as_owner(asked.state)
    began, before = time.time(), _failures(read_status(asked.state))
    try:
        return work_now(asked)
    except OtherInstance:
        if not _rung(asked.state, _SIGNALS[asked.command]):
            sys.stderr.write("the agent at work here cannot be asked; is it of this version?\n")
            return REFUSED
    return _awaited(asked, began, before)


def _rung(state: Path, by: signal.Signals) -> bool:
    """Ask whoever holds the folder, once it can be asked."""
    for _ in range(TRIES):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((state / "lock").read_text("ascii")), by)
            return True
        time.sleep(LOOKS_EVERY_S)
    return False


def _awaited(asked: argparse.Namespace, began: float, before: int) -> int:
    done_at = scanned_at if asked.command == "scan" else _heard_at
    end = time.monotonic() + PATIENCE_S[asked.command]
    while time.monotonic() < end:
        seen = read_status(asked.state)
        if done_at(seen) >= began:
            return DONE
        if _failures(seen) > before:
            last = seen.last_event
            said = f": {last.code} {last.detail}" if last else ""
            sys.stderr.write(f"the agent at work did not get through{said}\n")
            return UNREACHABLE
        time.sleep(LOOKS_EVERY_S)
    sys.stderr.write("the agent at work was asked, and is not done; see patchtide agent status\n")
    return REFUSED


def _heard_at(seen: Status) -> float:
    return seen.brain.memory.heard_at if seen.brain else 0.0


def _failures(seen: Status) -> int:
    return seen.brain.memory.failures if seen.brain else 0
