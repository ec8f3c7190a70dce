"""Counts that failed to follow half-way: nobody takes them for whole until all is read anew."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from patchtide.server.followed_view import FollowedView


def test_what_failed_half_way_is_not_unmade_by_the_next_question() -> None:
    def failing() -> Iterator[None]:
        yield
        raise MemoryError

    view = FollowedView(now=datetime.now(UTC))
    view._unsettled.laying = failing()
    view.settle_some()
    with pytest.raises(MemoryError):
        view.settle_some()

    view.settle()

    assert view.is_torn and not view.settle_some() and view.is_torn
