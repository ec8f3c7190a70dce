"""Waiting for what processes do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def own_children(module: str) -> list[int]:
    """Return this process's children that run the module."""
    own = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    found = [int(pid) for each in own for pid in each.read_text().split()]
    return [pid for pid in found if module.encode() in command_of(pid).split(b"\0")]


def command_of(pid: int) -> bytes:
    """Return its command line; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
