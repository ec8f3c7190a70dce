"""Waiting for a synchronisation on the command line."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from rich.console import Console

from patchtide.entry.cli import following
from patchtide.entry.cli.client import Answer
from patchtide.entry.cli.commands import run
from patchtide.server.table import Operation

BEGUN = {"number": 7, "state": "running", "step": "", "done": 0, "of": 0, "code": "", "error": ""}


def ran(states: Iterator[Mapping[str, Any]], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Begin one and wait; the server tells these states one after the other."""
    monkeypatch.setattr(following, "LOOK_S", 0.0)

    def ask(operation: Operation, values: Mapping[str, Any]) -> Answer:
        if operation.name == "catalog.synchronise":
            return Answer(status=202, body=json.dumps(BEGUN).encode())
        newer = {**BEGUN, "number": 8}
        items = [newer, {**BEGUN, **next(states)}]
        return Answer(status=200, body=json.dumps({"items": items}).encode())

    text = io.StringIO()
    console = Console(file=text, width=100, color_system=None, force_terminal=False)
    code = run(shlex.split("catalog synchronise --wait"), ask=ask, console=console)
    return code, text.getvalue()


def test_whoever_waits_gets_what_came_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter([{"step": "fetching"}, {"step": "describing", "done": 3, "of": 7},
                   {"state": "done", "step": "publishing"}])  # fmt: skip

    code, text = ran(states, monkeypatch)

    assert code == 0 and [line.split() for line in text.splitlines()] == [
        ["number", "7"],
        ["state", "done"],
    ]
    assert next(states, None) is None


def test_one_that_failed_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"state": "failed", "code": "feed-unreachable", "error": "no way there"}

    assert ran(iter([failed]), monkeypatch) == (1, "feed-unreachable: no way there\n")


def test_the_line_says_how_far_it_is() -> None:
    counted = {"step": "describing", "done": 3, "of": 7}

    assert following.in_words(counted) == "describing, 3 of 7"
    assert following.in_words({"step": "", "done": 0, "of": 0}) == "running"
