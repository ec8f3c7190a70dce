"""The idle loop: sleeps until the agent's work is due, lets a child do it, sleeps again.

This process lives for months, so it loads next to nothing: no TLS, no TUF, no database. All work
is done by `patchtide.entry.agent.work` in a child that exits and gives its memory back. What the
child knows it keeps in the journal; all it says is when to be started again. A second child holds
the line on which the server says that there is something new (see `doorbell`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from patchtide.entry.agent.doorbell import Doorbell, jitter
from patchtide.entry.agent.ready import say_ready

NEVER_LONGER_S = 900.0
"""A wait is cut into pieces, so that a clock that was set is noticed."""
FIRST_PAUSE_S = 10.0
LONGEST_PAUSE_S = 3600.0
WORK_LIMIT_S = 2 * 3600.0
STOP_LIMIT_S = 30.0
LOCK_ATTEMPTS = 5
RING_SPREAD_S = 2.0
RING_GAP_S = 10.0
"""However often the server rings, the agent checks in no more often for it."""
WORK, KNOCK = "patchtide.entry.agent.work", "patchtide.entry.agent.knock"
SAID_LIMIT = 64 << 10
SERVER_NOT_REACHED = 3
NEVER = float("inf")
_STARTED, _WOKEN, _RUNG, _SCAN = "started", "woken", "rung", "scan"
_ASKED, _CALLED = "asked", "called"


class OtherInstance(Exception):
    """Another agent works on this state folder."""


@contextlib.contextmanager
def only_instance(state: Path) -> Iterator[int]:
    """Hold the folder's lock; the child inherits it, so it ends only when both have ended.

    Raises:
        OtherInstance: it is held already.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor)
        os.ftruncate(descriptor, 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Take the lock; somebody who only asks for the status may hold it for a moment."""
    for attempt in range(LOCK_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if attempt == LOCK_ATTEMPTS - 1:
                raise OtherInstance from error
            time.sleep(0.1)
        else:
            return


class Loop:
    """Runs work when it is due, until told to stop."""

    def __init__(self, arguments: Sequence[str], lock: int) -> None:
        self._arguments = list(arguments)
        self._lock = lock
        self._child = 0
        self._stop = False
        self._ring_at = NEVER
        self._heard_at = 0.0
        self._failures = 0
        self._scan = False
        self._doorbell = Doorbell()
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._waker)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_ring)
        signal.signal(signal.SIGUSR1, self._on_scan)
        # Whoever finds the lock held knows whom to ask, now that asking does not end it.
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)

    def run(self) -> int:
        say_ready()
        due = self._work(_STARTED)
        while not self._stop:
            now = time.time()
            if time.monotonic() >= self._ring_at:
                self._ring_at = NEVER
                event = _SCAN if self._scan else _RUNG
                self._scan = False
                due = self._work(event)
            elif now >= due:
                due = self._work(_WOKEN)
            elif self._doorbell.is_due():
                self._knock()
            else:
                self._sleep(min(due - now, self._doorbell.wait_s(), NEVER_LONGER_S))
        self._doorbell.take_down()
        return 0

    def once(self, *, scan: bool = True) -> int:
        """Check in now, and do the rest too if wanted; return the exit code of the command."""
        _, status = self._run_child(WORK, "--event", _ASKED if scan else _CALLED)
        return status if status in (0, SERVER_NOT_REACHED) else 1

    def _work(self, event: str) -> float:
        """Return when to work next: as the child says, or after a pause when it failed."""
        # What a journal that failed may have left is looked at closely.
        check = ["--check"] if self._failures or event == _STARTED else []
        said, status = self._run_child(WORK, "--event", event, *check)
        if status == 0:
            with contextlib.suppress(ValueError):
                self._failures = 0
                return float(said)
        if self._stop:
            return time.time()
        self._failures += 1
        pause: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._failures - 1, 16))
        sys.stderr.write(f"the agent's work failed (status {status}); next try in {pause:.0f} s\n")
        return time.time() + pause

    def _knock(self) -> None:
        """Have a request made for the event line, and listen."""
        request, status = self._run_child(KNOCK)
        if status == 0 and request and not self._stop:
            self._doorbell.hang(request.encode("ascii") + b"\n")
        else:
            self._doorbell.put_off()

    def _run_child(self, module: str, *options: str) -> tuple[str, int]:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        # -P: root may start this in any folder, and a module that lies there must not be run.
        command = [sys.executable, "-P", "-m", module, *options]
        try:
            self._child = os.posix_spawn(
                sys.executable,
                [*command, *self._arguments],
                dict(os.environ),
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, writer, 1),
                    (os.POSIX_SPAWN_DUP2, self._lock, 3),
                ],
            )
        finally:
            os.close(writer)
        try:
            return self._await_child(reader)
        finally:
            os.close(reader)
            self._child = 0

    def _await_child(self, reader: int) -> tuple[str, int]:
        said = b""
        limit = time.monotonic() + WORK_LIMIT_S
        while True:
            left = limit - time.monotonic()
            if left <= 0:
                os.kill(self._child, signal.SIGKILL)
            ready, _, _ = select.select([reader, self._wake], [], [], max(0.0, left))
            if self._wake in ready:
                self._drain()
                limit = min(limit, time.monotonic() + STOP_LIMIT_S) if self._stop else limit
            if reader in ready:
                piece = os.read(reader, 4096)
                said = (said + piece)[-SAID_LIMIT:]
                if not piece:
                    break
        _, status = os.waitpid(self._child, 0)
        return said.decode("ascii", "replace").strip(), os.waitstatus_to_exitcode(status)

    def _sleep(self, seconds: float) -> None:
        bell = [self._doorbell.reader] if self._doorbell.reader >= 0 else []
        seconds = min(seconds, max(0.0, self._ring_at - time.monotonic()))
        ready, _, _ = select.select([self._wake, *bell], [], [], seconds)
        self._drain()
        if self._doorbell.reader in ready and self._doorbell.heard():
            self._be_rung()

    def _be_rung(self) -> None:
        """Check in a moment later: thousands may have heard the same ring."""
        now = time.monotonic()
        earliest = max(now + jitter(RING_SPREAD_S), self._heard_at + RING_GAP_S)
        if self._ring_at == NEVER:
            self._ring_at = self._heard_at = earliest

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 64)

    def _on_stop(self, *_: object) -> None:
        self._stop = True
        if self._child:
            os.kill(self._child, signal.SIGTERM)

    def _on_ring(self, *_: object) -> None:
        self._ring_at = 0.0

    def _on_scan(self, *_: object) -> None:
        self._scan = True
        self._ring_at = 0.0
