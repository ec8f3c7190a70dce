"""The runner's reading of what benchmarks print."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import Figure, figures, table

VERDICTS = {
    "enough": ("4,812/s", ">= 3000/s", "ok"),
    "too few": ("2,999/s", ">= 3000/s", "UNDER"),
    "small enough": ("44.5 MB", "<= 45 MB", "ok"),
    "too large": ("45.1 MB", "<= 45 MB", "OVER"),
    "nothing to compare": ("12 ms", "-", ""),
}


@pytest.mark.parametrize(("measured", "budget", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_a_figure_is_held_against_its_budget(measured: str, budget: str, verdict: str) -> None:
    assert Figure("x", measured, budget, "-").verdict == verdict


def test_lines_that_are_no_figures_are_passed_on() -> None:
    found = list(figures("warming up\nreports\t4000/s\t>= 3000/s\t8000/s"))

    assert found == ["warming up", Figure("reports", "4000/s", ">= 3000/s", "8000/s")]


def test_the_table_shows_the_ratio_to_the_baseline() -> None:
    shown = table([Figure("reports", "4000/s", ">= 3000/s", "8000/s")])

    assert shown.splitlines()[1].split() == [
        "reports", "4000/s", ">=", "3000/s", "ok", "8000/s", "0.50",
    ]  # fmt: skip
