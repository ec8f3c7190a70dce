"""A view that follows single reports counts as one that was made anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from pyroaring import BitMap

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.details import Severity
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.compliance.judgement import Doubt
from patchtide.domain.compliance.states import PlacedLeaf, States
from patchtide.domain.schedules.scanning import SCAN_EVERY_S, stale_after
from patchtide.server.fleet_view import View
from patchtide.server.followed_view import FollowedView
from patchtide.server.known_updates import SEVERITY_RANKS, Catalog, Counted, KnownUpdate
from patchtide.server.listing import paged
from patchtide.server.machine_index import MachineIndex
from patchtide.server.member import Said
from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.update_index import UpdateIndex
from patchtide.server.update_pages import SORTS, Wanted, look
from patchtide.server.updates import COLUMNS, ListUpdates, listed
from tests.simulator.catalogs import an_update_id, some_details
from tests.simulator.reports import NOON

LINEAGE = bytes(16)
SHARDS = ("debian-11", "debian-12")
UPDATES, MACHINES, SERIALS = 6, 4, 4
NAMES = [f"update-{number}" for number in range(UPDATES)]


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Updates of one or two leaves, some of which supersede others."""
    made: dict[UUID, KnownUpdate] = {}
    for place, name in enumerate(NAMES):
        older = draw(st.lists(st.sampled_from(NAMES), max_size=2))
        details = replace(some_details(name), supersedes=tuple(map(an_update_id, older)))
        leaves = tuple(
            PlacedLeaf(
                number=UpdateNumber(10 * place + n),
                shard=draw(st.sampled_from(SHARDS)),
                entered=draw(st.integers(1, SERIALS)),
            )
            for n in range(draw(st.integers(1, 2)))
        )
        made[details.update] = KnownUpdate(
            id=details.update, title=name, leaves=leaves, details=details, order=(0, name, "")
        )
    return Catalog(updates=made)


numbers = st.sampled_from([10 * place + n for place in range(UPDATES) for n in range(2)])
states = st.builds(
    lambda required, installed, unknown, shards: States(
        required=BitMap(required),
        installed=BitMap(installed),
        unknown=BitMap(unknown),
        shards=shards,
    ),
    st.sets(numbers),
    st.sets(numbers),
    st.sets(numbers, max_size=2),
    st.dictionaries(st.sampled_from(SHARDS), st.integers(1, SERIALS)),
)
reports = st.tuples(
    st.integers(1, MACHINES), states, st.sampled_from(["completed", "completed", "failed"])
)
days = st.integers(0, 3 * stale_after(SCAN_EVERY_S).days)


def a_machine(number: int) -> Client:
    return Client(
        number=number,
        uuid=number.to_bytes(16),
        name=f"web-{number}",
        public_key=b"",
        machine=b"",
        site="",
        state=ClientState.ACTIVE,
        enrolled_at=NOON,
    )


def said(number: int, states: States, scan: str, *, at: datetime | None = None) -> Said:
    return Said(
        client=number,
        lineage=LINEAGE,
        states=states,
        scan=scan,
        scan_error="",
        scanned_at=NOON,
        reported_at=at or NOON - timedelta(hours=1),
        aged_catalog=False,
    )


def a_view(catalog: Catalog) -> FollowedView:
    view = FollowedView(now=NOON)
    view.put_clients([a_machine(number) for number in range(1, MACHINES + 1)])
    view.put_catalog(LINEAGE, dict.fromkeys(SHARDS, SERIALS), catalog)
    view.put_heard({1: True, 2: True})
    return view


def counts(view: View) -> tuple[object, ...]:
    return (
        [view.counted(update) for update in view.updates.values()],
        [view.tally_on(member) for member in view.members.values()],
        dict(view.standings()),
        {group: number for group, number in view.alike().items() if number},
        [view.held(update).tally for update in view.updates.values()],
    )


@settings(max_examples=200)
@given(catalogs(), st.lists(reports, max_size=12))
def test_following_report_by_report_is_counting_anew(
    catalog: Catalog, told: list[tuple[int, States, str]]
) -> None:
    following = a_view(catalog)
    latest: dict[int, tuple[int, States, str]] = {}
    for report in told:
        number, there, scan = latest[report[0]] = report
        following.put_rows([said(number, there, scan)])
        followed = counts(following)

        anew = a_view(catalog)
        anew.put_rows(said(n, there, scan) for n, there, scan in latest.values())
        assert followed == counts(anew)
        for member in following.members.values():
            stands = following.states_on(member)
            tally = following.tally_on(member)
            found = [stands(update).value for update in following.updates.values()]
            assert (found.count("required"), found.count("not-required")) == (
                tally.required,
                tally.not_required,
            )


@settings(max_examples=100)
@given(catalogs(), st.lists(reports, max_size=8), st.sets(st.sampled_from(NAMES)))
def test_of_several_updates_together_is_said_who_needs_has_or_doubts_one(
    catalog: Catalog, told: list[tuple[int, States, str]], names: set[str]
) -> None:
    view = a_view(catalog)
    view.put_rows(said(number, there, scan) for number, there, scan in told)
    some = [view.updates[an_update_id(name)] for name in names]

    found = view.part(view.active).together(some)

    for member in view.members.values():
        stands = view.states_on(member)
        states = {stands(update).value for update in some}
        if not some and view.doubt(member) is not Doubt.NONE:
            states.add("unknown")  # of whom nothing is believed, nothing is known
        assert (member.number in found.required) == ("required" in states)
        assert (member.number in found.installed) == ("installed" in states)
        assert (member.number in found.doubtful) == ("unknown" in states)
    for update in some:
        assert view.behind(update) <= view.tally_of(update).unknown


def settle_in_parts(view: FollowedView) -> None:
    for _ in range(2):  # what was begun, and what was put meanwhile
        while view.settle_some():
            pass


SETTLES: dict[str, Callable[[FollowedView], object]] = {
    "at once": lambda view: None,
    "in parts": settle_in_parts,
    "for a part": lambda view: view.part(view.active),
    "for a copy": lambda view: view.copied(),
    "with the next": lambda view: view.put_rows([]),
}
"""What counts speak of all that was gathered after, whoever wanted it."""


def page(index: UpdateIndex, view: View, wanted: Wanted) -> tuple[list[str], int, object]:
    found = look(index, view, wanted)
    return [row.update.title for row in found.rows], found.total, found.counts


@settings(max_examples=100)
@given(
    catalogs(),
    st.lists(reports, max_size=8),
    st.sampled_from(["", "required > 0", "state = unknown or installed >= 1", "not superseded"]),
    st.sampled_from(sorted(SORTS)),
    st.booleans(),
    st.sampled_from(sorted(SETTLES)),
)
def test_a_list_that_follows_shows_what_one_made_anew_does_and_pages_share_it_out(
    catalog: Catalog,
    told: list[tuple[int, States, str]],
    query: str,
    sort: str,
    falls: bool,
    settles: str,
) -> None:
    following, view = UpdateIndex(), a_view(catalog)
    wanted = Wanted(query=query, sort=sort, descending=falls)
    for number, there, scan in told:
        look(following, view, wanted)
        view.put_rows([said(number, there, scan)], gathers=settles != "at once")
    look(following, view, wanted)
    SETTLES[settles](view)

    whole = page(following, view, wanted)
    assert whole == page(UpdateIndex(), view, wanted)
    some = [replace(wanted, page=n, size=2) for n in range(1, -(-len(whole[0]) // 2) + 1)]
    assert whole[0] == [title for one in some for title in page(following, view, one)[0]]
    plain = [u for u in view.updates.values() if view.tally_of(u).required > 0]
    assert query != "required > 0" or {u.title for u in plain} == set(whole[0])


@settings(max_examples=100)
@given(catalogs(), st.lists(st.tuples(reports, days, st.booleans()), min_size=1, max_size=12))
def test_whoever_is_silent_too_long_is_stale_whichever_way_the_clock_went(
    catalog: Catalog, told: list[tuple[tuple[int, States, str], int, bool]]
) -> None:
    following = a_view(catalog)
    latest: dict[int, Said] = {}
    for (number, states_there, scan), day, is_asked in told:
        at = NOON + timedelta(days=day)
        latest[number] = said(number, states_there, scan, at=at)
        following.now = at
        following.put_rows([latest[number]])
        if is_asked:
            following.standings()

    anew = a_view(catalog)
    anew.now = following.now
    anew.put_rows(latest.values())
    assert counts(following) == counts(anew)


told_of = st.tuples(
    st.sampled_from(list(Severity)), st.sampled_from([None, NOON, NOON - timedelta(days=1)])
)
asked = st.builds(
    ListUpdates,
    state=st.sampled_from(["", "required"]),
    severity=st.sampled_from(["", "critical"]),
    status=st.sampled_from(["", "current", "superseded"]),
    search=st.sampled_from(["", "Update-1"]),
    sort=st.sampled_from([f"{sign}{name}" for name in COLUMNS for sign in ("", "-")]),
    limit=st.integers(1, 3),
)


@settings(max_examples=30)
@given(catalogs(), st.lists(reports, max_size=6), st.lists(told_of, min_size=6, max_size=6), asked)
def test_pages_found_by_sets_are_those_of_looking_at_every_update(
    catalog: Catalog,
    told: list[tuple[int, States, str]],
    details: list[tuple[Severity, datetime | None]],
    asked: ListUpdates,
) -> None:
    made = {
        key: replace(
            update,
            details=replace(update.details, severity=severity, released=released),  # type: ignore[type-var]
            order=(SEVERITY_RANKS[severity], update.title, key.hex),
            text=update.title,
        )
        for (key, update), (severity, released) in zip(
            catalog.updates.items(), details, strict=True
        )
    }
    view, index = a_view(Catalog(updates=made)), UpdateIndex()
    for number, there, scan in told:
        view.put_rows([said(number, there, scan)])

    def fits(one: Counted) -> bool:
        return (
            asked.severity in ("", one.update.severity)
            and asked.status in ("", one.status)
            and asked.search.casefold() in one.update.text
        )

    fitting = [one for one in map(view.counted, made.values()) if fits(one)]
    wanted = [one for one in fitting if not asked.state or one.tally.required]
    after: str | None = ""
    while after is not None:
        page = listed(index, view, structs.replace(asked, after=after))
        naive = paged(wanted, columns=COLUMNS, sort=asked.sort, after=after, limit=asked.limit)
        assert [item.id for item in page.items] == [one.update.id for one in naive.items]
        assert page.next == naive.next
        assert page.total == len(wanted)
        assert page.counts.required == sum(one.tally.required > 0 for one in fitting)
        after = page.next


steps = st.one_of(
    st.tuples(st.just("put"), reports),
    st.tuples(st.just("some"), st.integers(1, 4)),
    st.tuples(st.just("judge"), st.integers(1, 4)),
    st.tuples(st.just("ask"), st.none()),
    st.tuples(st.just("shut out"), st.integers(1, MACHINES)),
    st.tuples(st.just("later"), days),
)


@settings(max_examples=200)
@given(catalogs(), st.lists(steps, max_size=16))
def test_what_is_gathered_of_a_stream_is_counted_in_parts_as_at_once(
    catalog: Catalog, taken: list[tuple[str, Any]]
) -> None:
    stream, plain = a_view(catalog), a_view(catalog)
    for what, how in taken:
        match what:
            case "put":
                stream.put_rows([said(*how)], gathers=True)
                plain.put_rows([said(*how)])
            case "some":
                for _ in range(how):
                    stream.settle_some()
            case "judge":
                stream.judge_some(how)
            case "ask":
                machines = slice(1, 4)  # of these nothing is ever told too late
                assert counts(stream)[machines] == counts(plain)[machines]
            case "shut out":
                for view in (stream, plain):
                    view.put_clients([replace(a_machine(how), state=ClientState.QUARANTINED)])
            case "later":
                stream.now = plain.now = plain.now + timedelta(days=how)

    settle_in_parts(stream)

    assert counts(stream) == counts(plain)
    assert all(stream.index.required.values())


@settings(max_examples=60)
@given(
    catalogs(),
    st.lists(reports, max_size=10),
    st.sets(st.sampled_from(NAMES)),
    st.booleans(),
    st.booleans(),
)
def test_who_needs_some_of_several_updates_is_who_says_so_of_one_of_them(
    catalog: Catalog,
    told: list[tuple[int, States, str]],
    names: set[str],
    is_asked: bool,
    gathers: bool,
) -> None:
    view, index = a_view(catalog), MachineIndex()
    query = " or ".join(f"title = {name}" for name in sorted(names))
    text = f"requires({query})"
    if is_asked:  # what is kept follows, instead of being found anew
        index.kept(view, text)
    for number, there, scan in told:
        view.put_rows([said(number, there, scan)], gathers=gathers)
        index.kept(view, text)

    some = [one for one in catalog.updates.values() if not names or one.title in names]
    plain = {
        number
        for number, member in view.members.items()
        if any(view.states_on(member)(one) is LeafState.REQUIRED for one in some)
    }
    assert set(index.kept(view, text)) == set(MachineIndex().kept(view, text)) == plain
    settle_in_parts(view)
    assert set(view.needing(some)) == set(index.kept(view, text)) == plain
