"""The runner's reading of what benchmarks print."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import SUBJECTS, Figure, figures, stolen, table

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


def test_every_benchmark_is_run_and_no_mere_tool_of_one() -> None:
    sources = {
        path.stem: path.read_text()
        for path in (Path(__file__).parents[3] / "benchmarks").glob("[a-z]*.py")
    }
    measures = {
        name
        for name, text in sources.items()
        if "\ndef main() -> None:" in text and "import argparse" not in text
    }

    assert measures == set(SUBJECTS)


def test_time_that_went_to_others_is_told_as_a_part_of_what_was_wanted() -> None:
    before = (100, 0, 10, 500, 5, 0, 0, 7)

    assert stolen(before, (150, 0, 20, 900, 9, 0, 0, 27)) == 0.25
    assert stolen(before, before) == 0.0
