"""The agent's work: one event to its end, then this process exits and its memory is free.

Says on standard output when to be started again. Not for people; `patchtide agent` starts it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from patchtide.adapters.agentstate.local import DEFAULT_CONFIG
from patchtide.adapters.agentstate.sqlite import Damaged
from patchtide.domain.errors import PatchtideError
from patchtide.domain.sequencer import events as ev
from patchtide.entry.agent.compose import composed

ASKED, CALLED = "asked", "called"
"""By `patchtide agent`: somebody waits to hear how it went. The other scans nothing."""
EVENTS = ("started", "woken", "rung", "scan", ASKED, CALLED)
FAILED = 70
NOT_DONE, UNREACHABLE = 1, 3
"""What somebody asked for did not come about."""


def main(arguments: Sequence[str] | None = None) -> int:
    os.umask(0o077)
    signal.signal(signal.SIGTERM, _stop)
    asked = _parser().parse_args(arguments)
    try:
        wake_up, failure = _work(asked)
    except (PatchtideError, Damaged, OSError) as error:
        code = getattr(error, "code", type(error).__name__)
        sys.stderr.write(f"{code}: {error}\n")
        return FAILED
    sys.stdout.write(f"{wake_up:.3f}\n")
    if failure is None or asked.event not in (ASKED, CALLED):
        return 0
    sys.stderr.write(f"{failure.code}: {failure.detail}\n")
    return UNREACHABLE if failure.code == "unreachable" else NOT_DONE


def _work(asked: argparse.Namespace) -> tuple[float, ev.Failed | None]:
    """Return when there is something to do again, and what went wrong."""
    with composed(
        asked.state,
        platform=asked.platform,
        machine_id_file=asked.machine_id_file,
        check=asked.check,
        config=asked.config,
    ) as core:
        wake_up = core.start()
        match asked.event:
            case "rung" | "scan" | "asked" | "called":
                wake_up = core.step(ev.Rung(scan=asked.event in ("scan", ASKED)))
            case "woken":
                wake_up = core.step(ev.Woken())
        return wake_up, core.failure


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """Leave between two instructions: whatever is under way is as a crash would leave it."""
    raise SystemExit(128 + signal.SIGTERM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="patchtide.entry.agent.work", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--platform", required=True)
    parser.add_argument("--machine-id-file", type=Path, default=Path("/etc/machine-id"))
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG)
    parser.add_argument("--event", choices=EVENTS, required=True)
    parser.add_argument("--check", action="store_true", help="look at the whole journal first")
    return parser


if __name__ == "__main__":
    sys.exit(main())
