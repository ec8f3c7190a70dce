"""Running other programs: no shell, no endless output, no waiting for ever."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from patchtide.adapters.platforms.commands import CommandFailed, lines_of, run

HOSTILE = ["$(touch x)", "; true", "-rf", "a\nb", "`id`", "*", "'", '"']


def python(code: str) -> Sequence[str]:
    return [sys.executable, "-c", code]


def test_arguments_arrive_as_they_are() -> None:
    echo = "import sys; print(repr(sys.argv[1:]), end='')"

    ended = run([*python(echo), *HOSTILE], timeout_s=10)

    assert ended.output.decode() == repr(HOSTILE)


def test_status_output_and_errors_are_told_apart() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"

    ended = run(python(code), timeout_s=10)

    assert (ended.status, ended.output, ended.errors) == (7, b"out\n", b"err\n")


def test_output_beyond_the_limit_is_dropped_and_said_to_be() -> None:
    ended = run(python("print('x' * 1_000_000)"), timeout_s=10, output_limit=1000)

    assert ended.truncated and ended.output == b"x" * 1000


def test_a_command_that_hangs_is_killed_with_its_children() -> None:
    # The grandchild holds the output open: waiting for the end of the output would hang.
    sleeper = "[sys.executable, '-c', 'import time; time.sleep(60)']"
    code = f"import subprocess, sys; subprocess.run({sleeper})"
    began = time.monotonic()

    with pytest.raises(CommandFailed):
        run(python(code), timeout_s=0.5)

    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "arguments",
    [[], ["true"], ["/no/such/program"], ["/bin/true", "a\0b"]],
    ids=["nothing", "relative", "missing", "nul"],
)
def test_what_cannot_be_run_is_refused(arguments: list[str]) -> None:
    with pytest.raises(CommandFailed):
        run(arguments, timeout_s=5)


def test_the_environment_is_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD_CANARY", "1")

    ended = run(python("import os; print('LD_PRELOAD_CANARY' in os.environ)"), timeout_s=10)

    assert ended.output == b"False\n"


def test_what_a_command_started_ends_with_it_when_its_time_is_over(tmp_path: Path) -> None:
    mark = tmp_path / "still here"
    script = f"(sleep 1.5; touch '{mark}') & exit 0"

    with pytest.raises(CommandFailed):
        run(["/bin/sh", "-c", script], timeout_s=0.5)
    time.sleep(1.5)

    assert not mark.exists()


def test_a_line_ends_where_the_program_ended_it_and_nowhere_else() -> None:
    said = "lib\u2028a\t1\x0b\r\nb\t2\n\n".encode()

    assert lines_of(said) == ["lib\u2028a\t1\x0b\r", "b\t2", ""]
    assert lines_of(b"") == []
