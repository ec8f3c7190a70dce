"""Runs the platform's tools: the one module that starts other programs.

Always an argument list and never a shell, an absolute program, a fixed environment, an empty
standard input, a time limit, and no more output kept than asked for.
"""

from __future__ import annotations

import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from patchtide.domain.errors import PatchtideError

OUTPUT_LIMIT = 4 << 20
_PIECE = 64 << 10
_LOOK_S = 1.0
"""How often is asked whether a command is still wanted."""
PATIENCE_S = 2.0
ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


class CommandFailed(PatchtideError):
    """A tool of the platform could not be run, or did not end in time."""

    code = "command-failed"


def lines_of(said: bytes) -> list[str]:
    """Return what a program printed, line by line.

    Only a line feed ends one: `splitlines` ends it at what stands in a name, too, as U+2028.
    """
    text = said.decode("utf-8", "replace").removesuffix("\n")
    return text.split("\n") if text else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a command ended. Output beyond the limit is dropped, and said to be."""

    status: int
    output: bytes
    errors: bytes
    aside: bytes = b""
    truncated: bool

    @property
    def lines(self) -> list[str]:
        return lines_of(self.output)

    @property
    def complaints(self) -> list[str]:
        return [line for line in lines_of(self.errors) if line.strip()]


class Run(Protocol):
    """What platforms need of `run`."""

    def __call__(
        self,
        arguments: Sequence[str],
        *,
        timeout_s: float,
        output_limit: int = ...,
        aside: str | None = ...,
    ) -> Finished: ...


@dataclass(slots=True)
class _Lines:
    """Hands on each line of an output as soon as it is whole."""

    heard: Callable[[bytes], None]
    is_wanted: Callable[[], bool]
    _rest: bytes = field(default=b"", init=False)

    def add(self, piece: bytes) -> None:
        *lines, rest = (self._rest + piece).split(b"\n")
        self._rest = rest[-OUTPUT_LIMIT:]
        for line in lines:
            self.heard(line)


def run(
    arguments: Sequence[str],
    *,
    timeout_s: float,
    output_limit: int = OUTPUT_LIMIT,
    environment: Mapping[str, str] = ENVIRONMENT,
    heard: Callable[[bytes], None] = lambda _: None,
    is_wanted: Callable[[], bool] = lambda: True,
    patience_s: float = PATIENCE_S,
    aside: str | None = None,
) -> Finished:
    """Run the command to its end. `heard` is told each line of its output when it comes.

    One that runs commands itself needs more patience than it has with them. `aside` is an option
    of the command that takes the number of a descriptor: it is given a pipe that is nothing else.

    Raises:
        CommandFailed: it cannot be started, ran out of time, or is not wanted any more (it and its
            children are killed then).
    """
    if not arguments or not Path(arguments[0]).is_absolute():
        raise CommandFailed(f"not an absolute program: {list(arguments[:1])}")
    if any("\0" in argument for argument in arguments):
        raise CommandFailed("an argument holds a NUL byte")
    process, pipe = _started(arguments, environment, aside)
    try:
        deadline = time.monotonic() + timeout_s
        lines = _Lines(heard, is_wanted)
        return _collect(process, pipe, deadline, limit=output_limit, lines=lines)
    except BaseException:
        _kill(process, patience_s=patience_s)
        raise
    finally:
        for stream in (process.stdout, process.stderr, pipe):
            if stream is not None:
                stream.close()


def _started(
    arguments: Sequence[str], environment: Mapping[str, str], aside: str | None
) -> tuple[subprocess.Popen[bytes], IO[bytes] | None]:
    """Return the process and where to read what it says aside."""
    words = list(arguments)
    if aside is None:
        return _process(words, environment), None
    read, write = os.pipe()
    try:
        words[1:1] = (aside, str(write))
        process = _process(words, environment, keep=(write,))
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(write)
    return process, os.fdopen(read, "rb", buffering=0)


def _process(
    words: Sequence[str], environment: Mapping[str, str], *, keep: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - a list, checked by the caller; never a shell
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd="/",
            pass_fds=keep,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailed(f"{words[0]}: {error.strerror}") from error


class Running:
    """A process of ours that goes on by itself, with what it says in a file."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        log: Path | None,
        environment: Mapping[str, str],
        keep: int,
    ) -> None:
        """Start it. The descriptor `keep` stays open in it; without a log it speaks where we do.

        Raises:
            CommandFailed: it cannot be started.
        """
        self.log = log or Path(os.devnull)
        with nullcontext() if log is None else log.open("wb") as output:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - a list; never a shell
                    list(arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=dict(environment),
                    pass_fds=(keep,),
                    start_new_session=True,
                )
            except OSError as error:
                raise CommandFailed(f"{arguments[0]}: {error.strerror}") from error

    @property
    def status(self) -> int | None:
        """How it ended; None: it runs."""
        return self._process.poll()

    def stop(self, *, patience_s: float) -> None:
        """Ask it to end, and kill it and its children when it does not."""
        _kill(self._process, patience_s=patience_s)


def _collect(
    process: subprocess.Popen[bytes],
    pipe: IO[bytes] | None,
    deadline: float,
    *,
    limit: int,
    lines: _Lines,
) -> Finished:
    kept: dict[IO[bytes], bytearray] = {}
    truncated = False
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr, pipe):
            if stream is not None:
                kept[stream] = bytearray()
                selector.register(stream, selectors.EVENT_READ, kept[stream])
        while selector.get_map():
            left = max(0.0, deadline - time.monotonic())
            ready = selector.select(min(left, _LOOK_S))
            if left <= 0:
                raise CommandFailed(f"{_words_of(process)} did not end in time")
            if not lines.is_wanted():
                raise CommandFailed(f"{_words_of(process)} was ended before its time")
            for key, _ in ready:
                piece = os.read(key.fd, _PIECE)
                if not piece:
                    selector.unregister(key.fileobj)
                if key.fileobj is process.stdout:
                    lines.add(piece)
                truncated |= len(key.data) + len(piece) > limit
                key.data.extend(piece[: limit - len(key.data)])
    status = _wait(process, deadline)
    output, errors, *rest = map(bytes, kept.values())
    return Finished(
        status=status, output=output, errors=errors, aside=b"".join(rest), truncated=truncated
    )


def _wait(process: subprocess.Popen[bytes], deadline: float) -> int:
    try:
        return process.wait(max(0.01, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{_words_of(process)} did not end in time") from error


def _words_of(process: subprocess.Popen[bytes]) -> str:
    """Return the command as somebody would type it."""
    arguments = process.args
    return shlex.join(map(str, arguments)) if isinstance(arguments, list) else str(arguments)


def _kill(process: subprocess.Popen[bytes], *, patience_s: float) -> None:
    """End it and its children. It is asked first: a command of ours ends what it has begun.

    Not done after an end of its own: what a package has started then is meant to stay.
    """
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
