"""Bringing a site up: one look that fails is no reason to give up what is going on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from patchtide.entry.cli.client import Unreachable
from patchtide.entry.cli.up import story
from patchtide.entry.cli.up.api import Api, ServerRefused
from patchtide.entry.cli.up.home import Home
from patchtide.entry.cli.up.parts import Parts
from patchtide.entry.cli.up.progress import Progress
from patchtide.entry.cli.up.story import Story

RUNNING = {"state": "running", "step": "fetching"}
DONE = {"state": "done", "note": "", "as_of": "x", "updates": 1, "new": 1, "revised": 0, "gone": 0}
REFUSED = ServerRefused("catalog.synchronisations", {"code": "busy"})


class Site:
    """Answers each look at the synchronisations in turn; a machine lacks nothing here."""

    def __init__(self, *looks: Any) -> None:
        self.looks = iter(looks)

    def ask(self, operation: str, **_: Any) -> Any:
        if operation == "catalog.synchronisations":
            look = next(self.looks)
            if isinstance(look, Exception):
                raise look
            return {"items": look}
        return {"doubt": "", "items": [], "counts": {}, "next": None}

    def answers(self) -> bool:
        return True

    def hang_up(self) -> None: ...


def a_story(site: Site) -> Story:
    where = SimpleNamespace(url="https://site")
    parts = SimpleNamespace(
        where=where,
        start_server=lambda answers: None,
        enrolled=lambda: ("m1", "https://site"),
        scan=lambda: None,
    )
    return Story(
        home=cast(Home, SimpleNamespace(token=lambda: "t", path="home")),
        parts=cast(Parts, parts),
        api=cast(Api, site),
        progress=Progress(Console(file=io.StringIO())),
    )


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(story, "LOOK_S", 0.0)
    monkeypatch.setattr(story, "_have_packages", lambda required: True)
    monkeypatch.setattr(Story, "_wait_for_cves", lambda self, machine: None)
    yield


@pytest.mark.parametrize("missed", [REFUSED, Unreachable("cut")], ids=["refused", "cut"])
def test_it_goes_on_after_a_look_that_failed(missed: Exception) -> None:
    site = Site([], [RUNNING], missed, [RUNNING], missed, [DONE])

    standing = a_story(site).tell()

    assert standing.as_of == "x"


def test_it_ends_when_look_after_look_fails() -> None:
    site = Site([], [RUNNING], *[REFUSED] * story.MISSED_LOOKS)

    with pytest.raises(ServerRefused, match="busy"):
        a_story(site).tell()
