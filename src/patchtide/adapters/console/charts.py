"""Curves as plain SVG, drawn by the server: shares of a whole on each day, and gaps as gaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from patchtide.server.history import HistoryDay

WIDTH, HEIGHT = 1000, 200
LAYERS = ("compliant", "restart", "unknown", "required")
"""From the ground upwards: what is well, what is not known, what is missing."""


@dataclass(frozen=True, slots=True)
class Layer:
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Column:
    """A day, where it stands in the picture."""

    day: HistoryDay
    x: float
    width: float
    changes: int


@dataclass(frozen=True, slots=True)
class Chart:
    layers: tuple[Layer, ...]
    columns: tuple[Column, ...]

    @property
    def gaps(self) -> int:
        return sum(one.day.counted_at is None for one in self.columns)


def drawn(days: Sequence[HistoryDay], *, changes: Mapping[date, int]) -> Chart:
    """Return the days side by side; `changes` says on which how many decisions moved counts."""
    width = WIDTH / max(1, len(days))
    columns = tuple(
        Column(day, round(n * width, 2), round(width, 2), changes.get(day.date, 0))
        for n, day in enumerate(days)
    )
    layers = tuple(
        Layer(name, "".join(_runs(columns, below=LAYERS[:place], upto=LAYERS[: place + 1])))
        for place, name in enumerate(LAYERS)
    )
    return Chart(tuple(layer for layer in layers if layer.path), columns)


def _runs(columns: Sequence[Column], *, below: Sequence[str], upto: Sequence[str]) -> Iterator[str]:
    """Yield the outline of the layer over each run of days without a gap."""
    for is_counted, run in groupby(columns, key=lambda one: bool(one.day.machines)):
        some = list(run)
        if is_counted and any(_share(one.day, upto) != _share(one.day, below) for one in some):
            over = "".join(f"V{_y(one.day, upto)}H{_end(one)}" for one in some)
            back = "".join(f"V{_y(one.day, below)}H{one.x}" for one in reversed(some))
            yield f"M{some[0].x} {_y(some[0].day, below)}{over}{back}Z"


def _end(one: Column) -> float:
    return round(one.x + one.width, 2)


def _share(day: HistoryDay, names: Sequence[str]) -> float:
    return sum(getattr(day, name) or 0 for name in names) / (day.machines or 1)


def _y(day: HistoryDay, names: Sequence[str]) -> float:
    return round(HEIGHT * (1 - _share(day, names)), 2)
