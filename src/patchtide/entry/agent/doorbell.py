"""The loop's end of the event line: starts the process that holds it, and hears it ring.

The line only makes the agent faster. When it cannot be had, or breaks, it is tried again after
growing pauses with much jitter, for when a server comes back all its machines would like to
listen at once; and meanwhile the agent polls as it does anyway.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 3600.0
BUSY_PAUSE_S = 600.0
BOOTED_LATELY_S, BOOT_SPREAD_S = 600.0, 300.0
"""Where the machine itself has just come up, a whole site may have: power came back."""
GOOD_AFTER_S = 300.0
"""A line that stood so long was a good one: the next pause is a short one again."""
BUSY = 75
NEWS = b"!"


class Doorbell:
    """At most one listening process; `reader` is where it can be waited for (-1: none)."""

    def __init__(self) -> None:
        self.reader = -1
        self.due = time.monotonic() + first_pause_s(up_s=time.clock_gettime(time.CLOCK_BOOTTIME))
        self._feeder = -1
        self._pid = 0
        self._began = 0.0
        self._failures = 0

    def is_due(self) -> bool:
        return not self._pid and time.monotonic() >= self.due

    def wait_s(self) -> float:
        """Return how long there is nothing to do here, as far as is known."""
        return max(0.0, self.due - time.monotonic()) if not self._pid else LONGEST_PAUSE_S

    def hang(self, request: bytes) -> None:
        """Start to listen with a request that was just made."""
        stdin, self._feeder = os.pipe2(os.O_CLOEXEC)
        self.reader, stdout = os.pipe2(os.O_CLOEXEC)
        try:
            self._pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-P", "-m", "patchtide.entry.agent.listen"],
                dict(os.environ),
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, stdin, 0),
                    (os.POSIX_SPAWN_DUP2, stdout, 1),
                ],
            )
        finally:
            os.close(stdin)
            os.close(stdout)
        self._began = time.monotonic()
        # A pipe holds far more than this, so the write does not wait for a reader.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._feeder, request)

    def heard(self) -> bool:
        """Say whether it rang; when the listener has ended, see when to start the next one."""
        piece = os.read(self.reader, 4096)
        if not piece:
            self._ended()
        return NEWS in piece

    def put_off(self) -> None:
        """There was no request to listen with."""
        self._failures += 1
        self.due = time.monotonic() + self._pause()

    def take_down(self) -> None:
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)
            self._reaped()

    def _ended(self) -> None:
        status = self._reaped()
        self._failures += 1
        if time.monotonic() - self._began >= GOOD_AFTER_S:
            self._failures = 1
        pause = self._pause()
        self.due = time.monotonic() + (max(pause, BUSY_PAUSE_S) if status == BUSY else pause)

    def _reaped(self) -> int:
        for descriptor in (self.reader, self._feeder):
            os.close(descriptor)
        _, status = os.waitpid(self._pid, 0)
        self.reader = self._feeder = -1
        self._pid = 0
        return os.waitstatus_to_exitcode(status)

    def _pause(self) -> float:
        longest: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._failures - 1, 16))
        return longest / 2 + jitter(longest)


def first_pause_s(*, up_s: float) -> float:
    """Return how long after its start the agent first asks for the line."""
    return jitter(BOOT_SPREAD_S if up_s < BOOTED_LATELY_S else FIRST_PAUSE_S / 3)


def jitter(most_s: float) -> float:
    """Return some seconds up to so many; the operating system's dice, for there is no other."""
    return float(int.from_bytes(os.urandom(4)) / 2**32 * most_s)
