"""The tutorial is run as it stands: each command, and what it says is printed."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/admin/tutorials/first-steps.md"
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "=== block {}"


@dataclass
class Step:
    commands: str
    shown: str = ""


def steps() -> list[Step]:
    found: list[Step] = []
    for kind, text in BLOCK.findall(PAGE.read_text()):
        if kind == "sh":
            found.append(Step(text))
        else:
            assert not found[-1].shown, "two outputs of one block"
            found[-1].shown = text
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def run(script: str, folder: Path) -> str:
    commands = folder / "bin"
    commands.mkdir()
    (commands / "patchtide").write_text(
        f'#!/bin/sh\nexec {sys.executable} -m patchtide.entry.cli "$@"\n'
    )
    (commands / "patchtide").chmod(0o700)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PATCHTIDE_")}
    environment = {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "COLUMNS": "120",
        "LC_ALL": "C",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def outputs(folder: Path) -> list[str]:
    """Return what each block printed. The server ends with the script, whatever happens in it."""
    port = str(free_port())
    parts = ["trap 'kill \"${server:-}\" 2>/dev/null || true' EXIT"]
    for number, step in enumerate(steps()):
        parts += [step.commands, f"echo '{MARK.format(number)}'"]
    printed = run("\n".join(parts).replace("8540", port), folder).replace(port, "8540")
    return re.split(r"^=== block \d+\n", printed, flags=re.MULTILINE)[:-1]


def form_of(shown: str) -> re.Pattern[str]:
    """Return what the page promises: `...` is anything, blanks are as wide as they like."""
    lines = []
    for line in shown.splitlines():
        if line.strip() == "...":
            lines.append(r"(?:.*\n)*?")
            continue
        words = [re.escape(word).replace(r"\.\.\.", r"[^\n]*") for word in line.split()]
        lines.append(r"[ ]*" + r"[ ]+".join(words) + r"[ ]*\n")
    return re.compile("".join(lines))


@pytest.mark.timeout(180)
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    told = steps()

    printed = outputs(tmp_path)

    assert len(printed) == len(told) > 8
    different = {
        step.commands: text
        for step, text in zip(told, printed, strict=True)
        if step.shown and not form_of(step.shown).match(text)
    }
    assert different == {}
    assert sum(bool(step.shown) for step in told) > 6


def test_an_output_that_differs_is_noticed() -> None:
    form = form_of("report: Taken    20\n...\nintact yes\n")

    assert form.match("report: Taken 20\nmore\nand more\nintact    yes\n")
    assert not form.match("report: Taken 19\nintact yes\n")
    assert not form.match("report: Taken 20\nintact no\n")


def test_the_tutorial_leaves_no_other_kind_of_block_untested() -> None:
    assert len(re.findall(r"^```", PAGE.read_text(), re.MULTILINE)) == 2 * len(
        BLOCK.findall(PAGE.read_text())
    )
