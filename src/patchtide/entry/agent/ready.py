"""Tells systemd that the loop listens to signals: one sent before that would end it."""

from __future__ import annotations

import os

# Not `socket`: what that brings along is more than the rest of the idle loop's imports together.
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, socket

_ADDRESS = "NOTIFY_SOCKET"


def say_ready() -> None:
    """Send the word once, where somebody waits for it; children are not to send it again."""
    address = os.environ.pop(_ADDRESS, "")
    if not address.startswith(("/", "@")):
        return
    line = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC)
    try:
        # An abstract address begins with a NUL where systemd writes an @.
        line.sendto(b"READY=1", address.replace("@", "\0", 1))
    finally:
        line.close()
