"""A bad line, in user space: two TAP devices with delay, jitter, loss and a limit between them.

This kind of machine's kernel has no netem. The devices join two bridges, so the kernel has cut
frames to size and filled in checksums before they come here. Ends when standard input does.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import selectors
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field

_SET_INTERFACE = 0x400454CA
_TAP_WITHOUT_HEADER = 0x0002 | 0x1000
_FRAME = 2048
_BACKLOG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How bad the line is, each way. One that loses all is dead and does not say so."""

    delay_ms: float = 0
    jitter_ms: float = 0
    loss_percent: float = 0
    mbit: float = 0
    """Megabits a second; 0 is without limit."""


@dataclass(slots=True, kw_only=True)
class Way:
    """One direction: frames in, and out again when their time has come."""

    out: int
    quality: Quality
    dice: random.Random
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    waiting_bytes: int = 0
    free_at: float = 0.0

    def take(self, frame: bytes, now: float) -> None:
        lost = self.dice.random() * 100 < self.quality.loss_percent
        if lost or self.waiting_bytes > _BACKLOG_BYTES:
            return
        self.free_at = max(now, self.free_at)
        if self.quality.mbit:
            self.free_at += len(frame) * 8 / (self.quality.mbit * 1e6)
        late_ms = self.quality.delay_ms + self.dice.random() * self.quality.jitter_ms
        self.waiting.append((self.free_at + late_ms / 1000, frame))
        self.waiting_bytes += len(frame)

    def give(self, now: float) -> None:
        while self.waiting and self.waiting[0][0] <= now:
            _, frame = self.waiting.popleft()
            self.waiting_bytes -= len(frame)
            try:
                os.write(self.out, frame)
            except OSError:
                continue  # a full or vanished device loses frames, as lines do

    def next_at(self) -> float:
        return self.waiting[0][0] if self.waiting else float("inf")


def tap(name: str) -> int:
    """Open a new TAP device; it lives as long as this process."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _SET_INTERFACE, struct.pack("16sH", name.encode(), _TAP_WITHOUT_HEADER))
    return device


def carry(near: int, far: int, quality: Quality) -> None:
    """Carry frames both ways until standard input ends."""
    dice = random.Random(1)
    ways = {near: Way(out=far, quality=quality, dice=dice)}
    ways[far] = Way(out=near, quality=quality, dice=dice)
    with selectors.DefaultSelector() as ready:
        for device in (*ways, sys.stdin.fileno()):
            ready.register(device, selectors.EVENT_READ)
        while True:
            pause = min(way.next_at() for way in ways.values()) - time.monotonic()
            for key, _ in ready.select(max(0.0, min(pause, 60))):
                if key.fd not in ways:
                    return
                _read(key.fd, ways[key.fd])
            for way in ways.values():
                way.give(time.monotonic())


def _read(device: int, way: Way) -> None:
    for _ in range(64):
        try:
            way.take(os.read(device, _FRAME), time.monotonic())
        except BlockingIOError:
            return


def main() -> None:
    """`python -m tests.lab.slow_line JSON`: near, far, quality."""
    asked = json.loads(sys.argv[1])
    near, far = tap(asked["near"]), tap(asked["far"])
    print(json.dumps({"event": "ready"}), flush=True)
    carry(near, far, Quality(**asked["quality"]))


if __name__ == "__main__":
    main()
