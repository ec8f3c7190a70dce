"""Says what is wrong with a definition whose files are elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from patchtide.adapters.publisher.definition import read_definition
from patchtide.adapters.publisher.marked import InvalidDefinition
from patchtide.domain.catalog.rule_mistakes import Mistake

FILE = "update.yaml"


def mistakes_in(text: str) -> Sequence[Mistake]:
    """Return every mistake but those that only the files themselves could show."""
    try:
        read_definition(text, file=FILE, measure=lambda path: (bytes(32), 1))
    except InvalidDefinition as error:
        return error.mistakes
    return ()
