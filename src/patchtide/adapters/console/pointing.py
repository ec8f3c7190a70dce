"""Mistakes in a text in one of our own languages, as a page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from patchtide.domain.catalog.rule_mistakes import Misread, shown


def pointed(error: Misread) -> Sequence[tuple[str, str]]:
    """Return each mistake as a sentence, and as the line with a mark under its place."""
    return [
        (mistake.sentence, "\n".join(islice(shown(error.text, [mistake]), 1, None)))
        for mistake in error.mistakes
    ]
