"""Run every benchmark and print each figure beside its budget and its baseline.

A benchmark is a module of this folder that is named in SUBJECTS; its `main()` prints lines of
four fields parted by tabs: name, measured, budget, baseline. A budget says its direction
(`>= 3000/s`, `<= 45 MB`); the baseline is the same work at its barest, measured in the same
run, or `-`. Each module runs in a process of its own, so one's memory is not the other's.
Whatever is no such line is passed on. Where the host gave a part of the processors' time to
others meanwhile, it is said how much: such figures are no better than that.

`python -m benchmarks NAME...` runs only those; the exit code is 0 even over budget.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SUBJECTS = (
    "agents_plane",
    "catalog",
    "console_pages",
    "debian",
    "events",
    "feeds",
    "fleet_answers",
    "herd",
    "history",
    "machine_queries",
    "reports",
    "rollout",
    "rules",
    "scan",
    "storage",
    "whatif",
)

_IDLE, _WAITING = 3, 4
_NOTICED = 0.02
_NUMBER = re.compile(r"-?\d[\d,_]*(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a benchmark, as printed."""

    name: str
    measured: str
    budget: str
    baseline: str

    @property
    def ratio(self) -> str:
        measured, baseline = number(self.measured), number(self.baseline)
        return f"{measured / baseline:.2f}" if measured is not None and baseline else "-"

    @property
    def verdict(self) -> str:
        measured, budget = number(self.measured), number(self.budget)
        if measured is None or budget is None:
            return ""
        at_least = self.budget.lstrip().startswith((">", "at least"))
        met = measured >= budget if at_least else measured <= budget
        return "ok" if met else "OVER" if not at_least else "UNDER"


def number(text: str) -> float | None:
    found = _NUMBER.search(text)
    return float(found[0].replace(",", "").replace("_", "")) if found else None


def figures(output: str) -> Iterator[Figure | str]:
    """Yield a figure for each line of four fields, and every other line as it is."""
    for line in output.splitlines():
        fields = [part.strip() for part in line.split("\t")]
        yield Figure(*fields) if len(fields) == 4 else line


def table(rows: Sequence[Figure]) -> str:
    head = ("benchmark", "measured", "budget", "", "baseline", "ratio")
    cells = [head] + [
        (row.name, row.measured, row.budget, row.verdict, row.baseline, row.ratio) for row in rows
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def processors() -> Sequence[int]:
    """Return what the kernel counts of the processors' time, each kind since it started."""
    return [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]


def stolen(before: Sequence[int], after: Sequence[int]) -> float:
    """Return the part of the time that was wanted and went to others; the last kind is theirs."""
    spent = [late - early for early, late in zip(before, after, strict=True)]
    wanted = sum(spent) - spent[_IDLE] - spent[_WAITING]
    return spent[-1] / wanted if wanted else 0.0


def run(name: str) -> str:
    """Return what the benchmark printed; its failure is told, and the others go on."""
    call = f"from benchmarks.{name} import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", call], stdout=subprocess.PIPE, text=True, check=False
    )
    failed = f"benchmark {name} ended with status {done.returncode}\n" if done.returncode else ""
    return done.stdout + failed


def main(names: Sequence[str]) -> None:
    if unknown := set(names) - set(SUBJECTS):
        print(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(SUBJECTS)}")
        return
    rows: list[Figure] = []
    for name in names or SUBJECTS:
        print(f"running {name} ...", file=sys.stderr, flush=True)
        before = processors()
        printed = run(name)
        if (part := stolen(before, processors())) > _NOTICED:
            print(f"{name}: the host gave {part:.0%} of the time that was wanted to others")
        for entry in figures(printed):
            if isinstance(entry, Figure):
                rows.append(entry)
            else:
                print(entry)
    print(table(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
