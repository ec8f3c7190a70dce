"""What a refresh will ask for, fetched at once beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol


class CatchUp(Protocol):
    def brought(self, shards: Sequence[str]) -> AbstractContextManager[None]:
        """Have at hand meanwhile what the site gives in one answer, if it does; never fails.

        What is at hand is verified like anything fetched, and what is not is fetched.
        """
        ...
