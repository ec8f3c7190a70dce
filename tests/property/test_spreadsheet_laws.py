"""Whatever a text is, no spreadsheet computes it, and it can be read back."""

from __future__ import annotations

import csv
import io
import re

from hypothesis import given
from hypothesis import strategies as st

from patchtide.server.spreadsheet_cells import harmless, meant

TEXTS = st.text(alphabet="a=+-@;,|\t\n\r '\"＝\u00a0", max_size=12)


@given(TEXTS)
def test_what_was_made_harmless_is_read_as_it_was(text: str) -> None:
    assert meant(harmless(text)) == text


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_no_piece_of_a_line_begins_like_a_formula_wherever_it_is_split(cells: list[str]) -> None:
    out = io.StringIO()
    csv.writer(out).writerow(["id", *map(harmless, cells)])

    for piece in re.split(r"[,;|\t\r\n]", out.getvalue()):
        assert not re.match(r'["\s]*[=+\-@＝]', piece)


def test_what_is_no_formula_stays_as_it_is() -> None:
    for text in ("web-1", "a;b", "3 - 4", "O'Neill", "'quoted'", "web, data-base"):
        assert harmless(text) == meant(text) == text
