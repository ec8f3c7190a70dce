"""A view is copied while others ask it: the two are used by two threads."""

from __future__ import annotations

from collections.abc import MutableMapping, MutableSequence, MutableSet
from dataclasses import fields
from datetime import UTC, datetime

from pyroaring import BitMap

from patchtide.server.followed_view import FollowedView

CHANGED_IN_PLACE = (MutableMapping, MutableSequence, MutableSet, BitMap)


def test_a_copy_shares_nothing_that_either_changes_in_place() -> None:
    view = FollowedView(now=datetime(2026, 3, 1, tzinfo=UTC))
    copy = view.copied()

    own = [
        one.name
        for one in fields(view)
        if isinstance(getattr(view, one.name), CHANGED_IN_PLACE)
        and not isinstance(getattr(view, one.name), frozenset)
    ]
    shared = [name for name in own if getattr(view, name) is getattr(copy, name)]

    assert "_by_named" in own
    # What is published and what lists hold is replaced as a whole.
    assert set(shared) <= {"updates", "lists", "collections", "_by_leaf"}
