"""Of some machines is told, in a stream, how they stood at one moment that is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from patchtide.server.followed_view import FollowedView
from patchtide.server.known_updates import Catalog
from patchtide.server.ports.clients import ClientState
from tests.property.test_fleet_view_laws import (
    MACHINES,
    a_machine,
    a_view,
    catalogs,
    counts,
    days,
    reports,
    said,
)

SECOND = timedelta(seconds=1)
steps = st.one_of(
    st.tuples(st.just("put"), reports),
    st.tuples(st.just("some"), st.integers(1, 4)),
    st.tuples(st.just("shut out"), st.integers(1, MACHINES)),
    st.tuples(st.just("later"), days),
)
some_machines = st.sets(st.integers(1, MACHINES))


def told(view: FollowedView, some: BitMap) -> tuple[object, ...]:
    part = view.part(some)
    tallies = part.tallies(list(view.updates.values()))
    return (
        *counts(view),
        [part.tally(update) for update in view.updates.values()],
        [tallies(member) for member in view.members.values()],
        view.needing(view.updates.values()),
    )


@settings(max_examples=200)
@given(catalogs(), st.lists(steps, max_size=14), some_machines)
def test_some_machines_are_counted_plainly_as_of_the_moment_that_is_named(
    catalog: Catalog, taken: list[tuple[str, Any]], which: set[int]
) -> None:
    stream, some = a_view(catalog), BitMap(which)
    came = list[tuple[datetime, Any]]()
    out = list[int]()
    told(stream, some)
    for what, how in taken:
        stream.now += SECOND
        match what:
            case "put":
                stream.put_rows([said(*how)], gathers=True)
                came.append((stream.now, how))
            case "some":
                for _ in range(how):
                    stream.settle_some()
            case "shut out":
                out.append(how)
                stream.put_clients([replace(a_machine(how), state=ClientState.QUARANTINED)])
            case "later":
                stream.now += timedelta(days=how)

        for update in stream.updates.values():
            stream.counted(update)  # somebody asks in between, whose counts are kept
        whole, found = stream.as_counted(), stream.narrowed(some, ())
        plain = a_view(catalog)
        plain.now = stream.now
        plain.put_clients([replace(a_machine(n), state=ClientState.QUARANTINED) for n in out])
        for at, report in came:
            if at < found.as_of:
                plain.put_rows([said(*report)])
        assert told(found, some) == told(plain.narrowed(some, ()), some)
        assert told(whole, some) == told(plain, some)
        assert whole.as_of == found.as_of <= stream.now
        assert stream.is_settled or len(whole.uncounted) == len(stream.unsettled)
        of_lists = stream.narrowed(some, (), lists=())
        assert dict(of_lists.standings()) == dict(found.standings())
