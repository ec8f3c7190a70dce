"""Runs the platform's tools: the one module that starts other programs.

Always an argument list and never a shell, an absolute program, a fixed environment, an empty
standard input, a time limit, and no more output kept than asked for.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from patchtide.domain.errors import PatchtideError

OUTPUT_LIMIT = 4 << 20
_PIECE = 64 << 10
ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


class CommandFailed(PatchtideError):
    """A tool of the platform could not be run, or did not end in time."""

    code = "command-failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a command ended. Output beyond the limit is dropped, and said to be."""

    status: int
    output: bytes
    errors: bytes
    truncated: bool


def run(
    arguments: Sequence[str], *, timeout_s: float, output_limit: int = OUTPUT_LIMIT
) -> Finished:
    """Run the command to its end.

    Raises:
        CommandFailed: it cannot be started, or ran out of time (it and its children are killed).
    """
    if not arguments or not Path(arguments[0]).is_absolute():
        raise CommandFailed(f"not an absolute program: {list(arguments[:1])}")
    if any("\0" in argument for argument in arguments):
        raise CommandFailed("an argument holds a NUL byte")
    try:
        process = subprocess.Popen(  # noqa: S603 - a list, checked above; never a shell
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(ENVIRONMENT),
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailed(f"{arguments[0]}: {error.strerror}") from error
    try:
        return _collect(process, time.monotonic() + timeout_s, output_limit)
    finally:
        _end(process)


def _collect(process: subprocess.Popen[bytes], deadline: float, limit: int) -> Finished:
    kept: dict[IO[bytes], bytearray] = {}
    truncated = False
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                kept[stream] = bytearray()
                selector.register(stream, selectors.EVENT_READ, kept[stream])
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise CommandFailed(f"{process.args!r} did not end in time")
            for key, _ in ready:
                piece = os.read(key.fd, _PIECE)
                if not piece:
                    selector.unregister(key.fileobj)
                truncated |= len(key.data) + len(piece) > limit
                key.data.extend(piece[: limit - len(key.data)])
    status = _wait(process, deadline)
    output, errors = kept.values()
    return Finished(status=status, output=bytes(output), errors=bytes(errors), truncated=truncated)


def _wait(process: subprocess.Popen[bytes], deadline: float) -> int:
    try:
        return process.wait(max(0.01, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{process.args!r} did not end in time") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
