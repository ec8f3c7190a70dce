"""A chart shows each day at its place, all of it, and nothing where nobody counted."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from patchtide.adapters.console.charts import HEIGHT, WIDTH, drawn
from patchtide.server.history import HistoryDay

FIRST = date(2026, 3, 1)


def a_day(number: int, counts: tuple[int, int, int, int] | None) -> HistoryDay:
    compliant, restart, unknown, required = counts or (None,) * 4
    return HistoryDay(
        date=FIRST + timedelta(days=number),
        counted_at=datetime(2026, 3, 1, tzinfo=UTC) if counts else None,
        live=False,
        machines=sum(counts) if counts else None,
        compliant=compliant,
        restart=restart,
        unknown=unknown,
        required=required,
        percent=None,
        installed=None,
        reporting=None,
        doubts={},
    )


counts = st.tuples(*[st.integers(0, 1000)] * 4)
series = st.lists(st.none() | counts, min_size=1, max_size=30)


@given(series)
def test_no_layer_leaves_the_picture_or_touches_a_gap(told: list[tuple[int, ...] | None]) -> None:
    chart = drawn([a_day(n, one) for n, one in enumerate(told)], changes={})  # type: ignore[arg-type]

    for layer in chart.layers:
        across = [float(x) for x in re.findall(r"[MH]([\d.]+)", layer.path)]
        down = [float(y) for y in re.findall(r"V([\d.]+)", layer.path)]
        assert all(0 <= x <= WIDTH + 0.1 for x in across)
        assert all(0 <= y <= HEIGHT for y in down)
        for column in chart.columns:
            if column.day.counted_at is None:
                middle = column.x + column.width / 2
                spans = [
                    sorted(float(x) for x in re.findall(r"[MH]([\d.]+)", part))
                    for part in layer.path.split("Z")
                    if part
                ]
                assert not any(span[0] < middle < span[-1] for span in spans)
    assert chart.gaps == told.count(None)


def test_half_of_the_machines_fill_half_of_the_height_of_their_day() -> None:
    days = [a_day(0, (1, 0, 0, 1)), a_day(1, None), a_day(2, (2, 0, 0, 0))]

    chart = drawn(days, changes={FIRST: 3})

    assert {layer.name: layer.path for layer in chart.layers} == {
        "compliant": "M0.0 200.0V100.0H333.33V200.0H0.0ZM666.67 200.0V0.0H1000.0V200.0H666.67Z",
        "required": "M0.0 100.0V0.0H333.33V100.0H0.0Z",
    }
    assert [column.changes for column in chart.columns] == [3, 0, 0]
