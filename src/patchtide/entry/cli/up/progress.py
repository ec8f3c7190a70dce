"""What is going on: a moving line on a terminal, one line a step anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.status import Status
from rich.text import Text


@dataclass(slots=True)
class Step:
    """One step; `note` says how far it is, `end` what came of it."""

    title: str
    _status: Status | None
    result: str = field(default="", init=False)

    def note(self, text: str) -> None:
        if self._status is not None:
            self._status.update(Text(f"{self.title}: {text}" if text else self.title))

    def end(self, text: str) -> None:
        self.result = text


class Progress:
    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        begun = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(Text(title)) as status:
                step = Step(title, status)
                yield step
        else:
            self._say(f"{title} ...")
            step = Step(title, None)
            yield step
        took = time.monotonic() - begun
        what = f"{title}: {step.result}" if step.result else title
        line = Text.assemble(("✓ ", "green") if self._console.is_terminal else "  ", what)
        line.append(f"  {took:.1f} s", style="dim")
        self._console.print(line, soft_wrap=True, highlight=False)

    def warn(self, text: str) -> None:
        self._console.print(Text(f"! {text}", style="yellow"), soft_wrap=True)

    def _say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)
