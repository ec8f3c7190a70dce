"""The word that systemd waits for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from patchtide.entry.agent.ready import say_ready


@pytest.mark.parametrize("abstract", [False, True], ids=["a file", "an abstract address"])
def test_the_word_is_sent_once_and_to_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    name = f"patchtide-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0{name}" if abstract else name)
        heard.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else name)

        say_ready()

        assert heard.recv(64) == b"READY=1"
    assert "NOTIFY_SOCKET" not in os.environ


def test_where_nobody_waits_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    say_ready()
