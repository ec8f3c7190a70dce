"""`patchtide simulate`: enrol simulated machines at a server and let them live."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from patchtide.domain.errors import PatchtideError
from patchtide.entry.simulator.fleet import Fleet, Plan

EXAMPLE = """Example:
  patchtide tokens create --uses 1000 --json
  patchtide simulate --url https://localhost:8540 --token pt1... --machines 1000 --hours 24
"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="patchtide simulate",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--url", required=True, help="the server, https://NAME:PORT")
    made.add_argument("--token", required=True, help="an enrolment token with enough uses")
    made.add_argument("--machines", type=int, default=100, help="how many (default 100)")
    made.add_argument("--hours", type=float, default=24, help="virtual hours (default 24)")
    made.add_argument("--threads", type=int, default=4, help="requests at once (default 4)")
    made.add_argument("--seed", type=int, default=1, help="another seed, other machines")
    made.add_argument("--shard", action="append", help="shards to follow (default debian-12)")
    made.add_argument("--json", action="store_true", help="print the result as JSON")
    return made


def main() -> int:
    asked = parser().parse_args()
    plan = Plan(
        url=asked.url.rstrip("/"),
        token=asked.token,
        machines=asked.machines,
        hours=asked.hours,
        threads=asked.threads,
        seed=asked.seed,
        shards=tuple(asked.shard or ("debian-12",)),
    )
    try:
        with tempfile.TemporaryDirectory(prefix="patchtide-simulator-") as folder:
            result = simulate(plan, Path(folder))
    except PatchtideError as error:
        sys.stderr.write(f"patchtide simulate: {error}\n")
        return 1
    _print(result, as_json=asked.json)
    return 0


def simulate(plan: Plan, folder: Path) -> dict[str, object]:
    fleet = Fleet(plan, folder)
    began = time.perf_counter()
    for done in fleet.enrol():
        _progress(f"enrolled {done} of {plan.machines}", last=done == plan.machines)
    enrolled = time.perf_counter()
    for hours in fleet.run(plan.hours):
        _progress(f"{hours:.1f} of {plan.hours:g} hours", last=False)
    _progress(f"{plan.hours:g} of {plan.hours:g} hours", last=True)
    ended = time.perf_counter()
    answered = sorted(fleet.tally.answered) or [0.0]
    return {
        "machines": len(fleet.machines),
        "hours": plan.hours,
        "enrolment_s": round(enrolled - began, 2),
        "run_s": round(ended - enrolled, 2),
        "answers": dict(sorted(fleet.tally.counts.items())),
        "answer_ms_median": round(statistics.median(answered) * 1000, 1),
        "answer_ms_p99": round(answered[int(len(answered) * 0.99)] * 1000, 1),
    }


def _progress(text: str, *, last: bool) -> None:
    if sys.stderr.isatty() or last:
        sys.stderr.write(f"\r\x1b[K{text}" if sys.stderr.isatty() else text)
        sys.stderr.write("\n" if last else "")
        sys.stderr.flush()


def _print(result: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    for name, value in result.items():
        if isinstance(value, dict):
            for what, count in value.items():
                sys.stdout.write(f"{what:<28} {count}\n")
        else:
            sys.stdout.write(f"{name:<28} {value}\n")


if __name__ == "__main__":
    sys.exit(main())
