"""Mistakes in a text in one of our own languages, as a page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from patchtide.domain.catalog.rule_mistakes import Misread, Mistake, shown


def pointed(error: Misread) -> Sequence[tuple[str, str]]:
    """Return each mistake as a sentence, and as the line with a mark under its place."""
    return [(mistake.sentence, pointed_at(error.text, mistake)) for mistake in error.mistakes]


def pointed_at(text: str, mistake: Mistake) -> str:
    """Return the mistake's line with a mark under its place."""
    return "\n".join(islice(shown(text, [mistake]), 1, None))
