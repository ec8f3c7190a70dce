"""Lists of machines that are kept while machines move are those that plain sorting makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from pyroaring import BitMap

from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.compliance.described import Described
from patchtide.domain.compliance.states import PlacedLeaf, States
from patchtide.server.fact_index import FactIndex
from patchtide.server.fleet import Fleet
from patchtide.server.followed_view import FollowedView
from patchtide.server.kept_order import KeptOrder
from patchtide.server.known_updates import Catalog, KnownUpdate
from patchtide.server.machine_index import MachineIndex
from patchtide.server.machine_list import ListMachines, found
from patchtide.server.machine_orders import COLUMNS
from patchtide.server.machine_pages import Wanted, choices_of, look
from patchtide.server.machine_standings import Standing
from patchtide.server.member import Said
from patchtide.server.ports.clients import Client, ClientState
from tests.simulator.catalogs import an_update_id
from tests.simulator.reports import NOON

LINEAGE, SHARD = bytes(16), "debian-12"
UPDATES = 4
FILTERS = ("standing", "platform", "group", "restart", "doubt")
numbers = st.integers(1, 60)
described = st.tuples(
    numbers,
    st.sampled_from(["web", "Web", "db", "a"]),
    st.sampled_from(["", "red", "blue"]),
    st.sampled_from(list(ClientState)),
)
told = st.tuples(
    numbers,
    st.sets(st.integers(0, UPDATES - 1)),
    st.sampled_from(["completed", "completed", "failed"]),
    st.integers(0, 20),
)
steps = st.lists(
    st.tuples(
        st.lists(described, max_size=40),
        st.lists(told, max_size=40),
        st.sampled_from([*COLUMNS]),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


def a_catalog() -> Catalog:
    made = {}
    for number in range(UPDATES):
        uuid = an_update_id(f"u{number}")
        leaf = PlacedLeaf(number=UpdateNumber(number), shard=SHARD, entered=1)
        name = f"u{number}"
        made[uuid] = KnownUpdate(
            id=uuid, title=name, leaves=(leaf,), order=(0, name, ""), text=name
        )
    return Catalog(updates=made)


def a_view() -> FollowedView:
    view = FollowedView(now=NOON)
    view.put_catalog(LINEAGE, {SHARD: 1}, a_catalog())
    return view


def a_fleet(index: MachineIndex) -> Fleet:
    return cast("Fleet", SimpleNamespace(machines=index, facts=FactIndex()))


def a_client(number: int, name: str, group: str, state: ClientState) -> Client:
    return Client(
        number=number,
        uuid=number.to_bytes(16),
        name=f"{name}-{number % 7}",
        public_key=b"",
        machine=b"",
        site="",
        state=state,
        group=group,
        platform=f"p{number % 3}",
        enrolled_at=NOON + timedelta(seconds=number % 5),
        described=Described(testing=number % 4, business=number % 3) if number % 5 else Described(),
    )


def said(number: int, required: set[int], scan: str, day: int) -> Said:
    at = NOON - timedelta(days=day)
    return Said(
        client=number,
        lineage=LINEAGE,
        states=States(required=BitMap(required), shards={SHARD: 1}),
        scan=scan,
        scan_error="",
        scanned_at=NOON,
        reported_at=at,
        aged_catalog=False,
    )


def ids(some: Sequence[Standing]) -> list[int]:
    return [one.member.number for one in some]


def pages(index: MachineIndex, view: FollowedView, asked: ListMachines) -> list[int]:
    met: list[int] = []
    while True:
        page, total, _ = found(a_fleet(index), view, asked)
        met += ids(page.items)
        if page.next is None:
            assert len(met) == total
            return met
        asked = structs.replace(asked, after=page.next)


@settings(max_examples=60, deadline=None)
@given(
    steps,
    st.sampled_from(["", "required", "unknown", "compliant"]),
    st.booleans(),
    st.sampled_from([0, 5, 1000]),
)
def test_pages_of_a_fleet_that_moves_are_the_plainly_sorted_list(
    steps: Sequence[tuple[Any, Any, str, bool]], compliance: str, is_replaced: bool, judged: int
) -> None:
    index, view = MachineIndex(), a_view()
    for clients, reports, column, falls in steps:
        view.put_clients([a_client(*one) for one in clients])
        view.put_rows([said(*one) for one in reports])
        view.judge_some(judged)  # of the rest whoever asks judges
        view = view.copied() if is_replaced else view
        sort = f"-{column}" if falls else column
        asked = ListMachines(sort=sort, compliance=compliance, limit=7)  # type: ignore[arg-type]

        met = pages(index, view, asked)

        standings = view.standings().values()
        fitting = [s for s in standings if compliance in ("", s.judgement.compliance)]
        plain = sorted(fitting, key=COLUMNS[column].key, reverse=falls)
        assert met == ids(plain)
        _, total, counts = found(a_fleet(index), view, structs.replace(asked, search="WEB"))
        mentioned = [s for s in standings if "web" in s.member.client.name.casefold()]
        how = Counter(s.judgement.compliance for s in mentioned)
        assert (total, counts.required) == (
            len([s for s in mentioned if s in fitting]),
            how["required"],
        )


CONSOLE: Mapping[str, Callable[[Standing], Any]] = {
    "standing": lambda s: stands(s),
    "platform": lambda s: s.member.client.platform,
    "group": lambda s: s.member.client.group,
    "restart": lambda s: "yes" if s.restart_pending else "no",
    "doubt": lambda s: s.judgement.doubt if s.member.client.state == "active" else "",
}


def stands(standing: Standing) -> str:
    state = standing.member.client.state
    return standing.judgement.compliance if state is ClientState.ACTIVE else state


@settings(max_examples=60, deadline=None)
@given(steps, st.dictionaries(st.sampled_from(FILTERS), st.sampled_from(
    ["required", "unknown", "p1", "red", "no", "yes", "scan-failed"]), max_size=2))  # fmt: skip
def test_filters_count_what_each_choice_would_show_and_pages_share_it_out(
    steps: Sequence[tuple[Any, Any, str, bool]], chosen: dict[str, str]
) -> None:
    index, view = MachineIndex(), a_view()
    for clients, reports, _, falls in steps:
        view.put_clients([a_client(*one) for one in clients])
        view.put_heard({number: number % 2 == 0 for number, *_ in reports})
        view.put_rows([said(*one) for one in reports])
        for sort in ("name", "required", "group", "reported", "criticality"):
            wanted = Wanted(choices=chosen, sort=sort, descending=falls, size=9)
            rows = view.standings().values()

            first = page(index, view, wanted)

            plain = [s for s in rows if all(CONSOLE[n](s) == v for n, v in chosen.items())]
            shown = [s for n in range(1, 9) for s in page_rows(index, view, wanted, n)]
            assert first.total == len(plain)
            assert sorted(ids(shown)) == sorted(ids(plain))
            for name in FILTERS:
                others = {n: v for n, v in chosen.items() if n != name}
                rest = [s for s in rows if all(CONSOLE[n](s) == v for n, v in others.items())]
                said_of = {v: n for v, n in Counter(map(CONSOLE[name], rest)).items() if v}
                assert first.counts[name] == {"": len(rest), **said_of}


def test_who_reported_last_is_first_on_a_page_without_all_filters() -> None:
    index, view = MachineIndex(), a_view()
    view.put_clients([a_client(number, "web", "", ClientState.ACTIVE) for number in (1, 2, 3)])
    view.put_rows([said(1, set(), "completed", 5), said(3, set(), "completed", 2)])
    wanted = Wanted(sort="reported", descending=True)

    found = look(a_fleet(index), view, wanted, among=BitMap(view.members), choices={})

    assert ids(found.rows) == [3, 1, 2]


def page(index: MachineIndex, view: FollowedView, wanted: Wanted) -> Any:
    choices = choices_of(index, view, *FILTERS)
    return look(a_fleet(index), view, wanted, among=BitMap(view.members), choices=choices)


def page_rows(
    index: MachineIndex, view: FollowedView, wanted: Wanted, number: int
) -> Sequence[Standing]:
    found = page(index, view, replace(wanted, page=number))
    return found.rows if found.page == number else ()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.dictionaries(st.integers(0, 4000), st.integers(0, 90), max_size=200)),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 90),
    st.booleans(),
)
def test_what_is_kept_in_blocks_is_in_order_whoever_moves(
    moves: Sequence[tuple[dict[int, int]]], place: int, falls: bool
) -> None:
    # Many to begin with: several blocks, and few of them move.
    known = {number: number % 90 for number in range(0, 4000, 2)}
    order = KeptOrder(((value, n), n) for n, value in known.items())
    for (changes,) in moves:
        going = [((known[n], n), n) for n in changes if n in known]
        order.move(going=going, coming=[((value, n), n) for n, value in changes.items()])
        known.update(changes)

        plain = [n for _, n in sorted(((v, n) for n, v in known.items()), reverse=falls)]
        assert list(order.all(falls=falls)) == plain
        assert order.at(700, 50, falls=falls) == plain[700:750]
        behind = [n for n in plain if ((known[n], n) < (place, -1)) == falls]
        assert list(order.behind((place, -1), falls=falls)) == behind
