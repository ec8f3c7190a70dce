"""Runs the programs that a laboratory is made with."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLAIN = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
_PR_SET_PDEATHSIG = 1


class LabError(Exception):
    """The laboratory cannot do what it was asked."""


def run(*command: str, said: str = "", cwd: Path | None = None) -> str:
    """Run a program that must succeed; return what it printed. `said` is its standard input.

    Raises:
        LabError: it is not there, or failed.
    """
    try:
        ran = subprocess.run(
            command, input=said, capture_output=True, text=True, check=False, env=PLAIN, cwd=cwd
        )
    except FileNotFoundError as error:
        raise LabError(f"not installed here: {command[0]}") from error
    if ran.returncode:
        raise LabError(f"{' '.join(command)} ended with {ran.returncode}: {ran.stderr[-2000:]}")
    return ran.stdout


def module(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this test kit."""
    return [sys.executable, "-m", f"tests.lab.{name}", *arguments]


def die_with_parent() -> None:
    """End this process when the one that started it has ended, however that came."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
