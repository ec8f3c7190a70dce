"""Named reports count as somebody would who asked each machine about each update."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.compliance.bit_counts import BitCounts
from patchtide.domain.compliance.judgement import Compliance, Doubt
from patchtide.domain.compliance.shares import share
from patchtide.domain.compliance.states import States
from patchtide.domain.errors import InvalidDocument, NotFound
from patchtide.server.alert_facts import compliance
from patchtide.server.collection_index import CollectionIndex
from patchtide.server.fleet_view import View
from patchtide.server.followed_view import FollowedView
from patchtide.server.history_counting import machine_count, on_list
from patchtide.server.known_updates import Catalog
from patchtide.server.machine_index import MachineIndex
from patchtide.server.member import Member
from patchtide.server.named_report import Report
from patchtide.server.named_reports import NAMED, compiled
from patchtide.server.ports.update_lists import StoredList
from patchtide.server.report_scope import AskReport
from patchtide.server.update_index import UpdateIndex
from tests.property.test_fleet_view_laws import (
    MACHINES,
    NAMES,
    a_view,
    catalogs,
    reports,
)
from tests.property.test_fleet_view_laws import (
    said as as_said,
)
from tests.simulator.catalogs import an_update_id
from tests.simulator.reports import NOON

chosen = st.sets(st.sampled_from(NAMES))
asked_machines = st.sampled_from(["", "web-1 or web-3", "name != web-2", "restart"])


def a_site(view: View) -> Any:
    """What reports are made with: one view, that nobody moves."""
    machines = MachineIndex()
    fleet = SimpleNamespace(
        ask=lambda question: question(view),
        ask_settled=lambda question: question(view),
        updates=UpdateIndex(),
        machines=machines,
        collections=CollectionIndex(machines),
        follow_facts=lambda: None,
        facts=machines.facts,
        store=SimpleNamespace(heard=lambda numbers: {}),
        scopes=frozenset(),
        lists=None,
    )
    return SimpleNamespace(
        fleet=fleet,
        silent_after=timedelta(hours=3),
        site_name="hq",
        reports_waiting=lambda: 0,
        lookups=SimpleNamespace(setting=lambda name: None),
        reading=SimpleNamespace(calendar=SimpleNamespace(entries=tuple)),
    )


OF_NOW = sorted(NAMED.keys() - {"history", "targets"})
"""The reports that say how machines stand; the others read what was counted day by day."""


def a_fleet(catalog: Catalog, told: list[tuple[int, States, str]], on: set[str]) -> FollowedView:
    view = a_view(catalog)
    for number, said, scan in told:
        view.put_rows([as_said(number, said, scan)])
    listed = frozenset(an_update_id(name) for name in on)
    view.put_lists([StoredList(name="some", note="", by="", at=NOON, updates=listed)])
    return view


def made(view: View, name: str, **asked: Any) -> Report:
    return compiled(a_site(view), AskReport(name=name, **asked), owner="", is_whole=True)  # type: ignore[arg-type]


def cells(report: Report, *keys: str) -> list[tuple[Any, ...]]:
    places = [[c.key for c in report.columns].index(key) for key in keys]
    return [tuple(row.cells[place] for place in places) for row in report.rows]


def judged(view: View, member: Member, on: set[UUID]) -> Compliance:
    """Say how a machine stands by asking it about one update after the other."""
    if view.doubt(member) is not Doubt.NONE:
        return Compliance.UNKNOWN
    stands = view.states_on(member)
    states = {stands(view.updates[update]) for update in on}
    if LeafState.REQUIRED in states:
        return Compliance.REQUIRED
    if member.number in view.restarting and LeafState.INSTALLED in states:
        return Compliance.RESTART
    return Compliance.UNKNOWN if LeafState.UNKNOWN in states else Compliance.COMPLIANT


@settings(max_examples=50)
@given(catalogs(), st.lists(reports, max_size=8), chosen, asked_machines)
def test_a_report_on_a_list_is_counting_machine_by_machine(
    catalog: Catalog, told: list[tuple[int, States, str]], on: set[str], machines: str
) -> None:
    view = a_fleet(catalog, told, on)
    updates = {an_update_id(name) for name in on}

    by_machine = made(view, "by-machine", list="some", machines=machines)
    overall = made(view, "overall", list="some", machines=machines)
    by_update = made(view, "by-update", list="some", machines=machines)

    members = [view.member(UUID(str(one))) for (one,) in cells(by_machine, "id")]
    assert len({m.number for m in members}) == by_machine.denominators.members == len(members)
    if updates != view.updates.keys():
        # Of all updates, a machine that waits for a restart is not asked for what it has.
        expected = [judged(view, member, updates).value for member in members]
        assert [how for (how,) in cells(by_machine, "standing")] == expected
    numbers = cells(by_machine, "required", "installed", "unknown")
    for member, counts in zip(members, numbers, strict=True):
        stands = view.states_on(member)
        states = Counter(stands(view.updates[update]) for update in updates & view.updates.keys())
        named = LeafState.REQUIRED, LeafState.INSTALLED, LeafState.UNKNOWN
        assert counts == tuple(states[state] for state in named)
    assert numbers == sorted(numbers, key=lambda counts: -counts[0])
    classes = Counter(how for (how,) in cells(by_machine, "standing"))
    summed = {
        how: n for how, doubt, n in cells(overall, "standing", "doubt", "machines") if not doubt
    }
    assert summed == {how.value: classes[how.value] for how in Compliance}
    reasons = [n for _, doubt, n in cells(overall, "standing", "doubt", "machines") if doubt]
    assert sum(reasons) == classes[Compliance.UNKNOWN.value]
    for update, *counts in cells(
        by_update, "id", "required", "installed", "not_required", "unknown"
    ):
        found = Counter(view.states_on(m)(view.updates[UUID(str(update))]) for m in members)
        assert counts == [
            found[LeafState.REQUIRED],
            found[LeafState.INSTALLED],
            found[LeafState.NOT_REQUIRED],
            found[LeafState.UNKNOWN],
        ]


@settings(max_examples=50)
@given(catalogs(), st.lists(reports, max_size=8), chosen)
def test_history_and_alerts_say_of_a_list_what_its_report_says(
    catalog: Catalog, told: list[tuple[int, States, str]], on: set[str]
) -> None:
    view = a_fleet(catalog, told, on)
    site = a_site(view)

    by_machine = made(view, "by-machine", list="some")
    counted = machine_count(view, on_list(view, view.lists["some"]))
    watched = compliance(site.fleet, view, "list = some")

    stand = Counter(how for (how,) in cells(by_machine, "standing"))
    assert {how.value: getattr(counted, how.value) for how in Compliance} == {
        how.value: stand[how.value] for how in Compliance
    }
    assert watched == (100 * stand[Compliance.COMPLIANT.value] / MACHINES if on else None)


@settings(max_examples=25)
@given(catalogs(), st.lists(reports, max_size=8))
def test_a_report_on_everything_says_what_the_overview_says(
    catalog: Catalog, told: list[tuple[int, States, str]]
) -> None:
    view = a_fleet(catalog, told, set())

    overall = made(view, "overall")

    said = {
        how: n for how, doubt, n in cells(overall, "standing", "doubt", "machines") if not doubt
    }
    counts = Counter[str]()
    for (_, how, _), count in view.alike().items():
        counts[how.value] += count
    assert said == {how.value: counts[how.value] for how in Compliance}


@settings(max_examples=25)
@given(catalogs(), st.lists(reports, max_size=8), chosen)
def test_groups_of_machines_add_up_to_all_of_them(
    catalog: Catalog, told: list[tuple[int, States, str]], on: set[str]
) -> None:
    view = a_fleet(catalog, told, on)

    grouped = made(view, "overall", list="some", by="site")
    matrix = made(view, "matrix", list="some", by="platform")

    total = sum(n for (n,) in cells(grouped, "members"))
    assert total == grouped.denominators.members == MACHINES
    for row in matrix.rows:
        everywhere, *groups = row.cells[3:-1]
        assert everywhere == sum(groups)  # type: ignore[arg-type]


@settings(max_examples=50)
@given(
    catalogs(),
    st.lists(reports, max_size=4),
    st.lists(reports, min_size=1, max_size=4),
    st.sampled_from(OF_NOW),
)
def test_in_a_stream_a_report_says_what_it_did_before_it_and_how_many_reported_since(
    catalog: Catalog,
    told: list[tuple[int, States, str]],
    since: list[tuple[int, States, str]],
    name: str,
) -> None:
    view = a_fleet(catalog, told, set())
    about = {"machine": view.members[1].id} if name == "machine" else {}
    before = made(view, name, **about)
    rows, moment = [row.cells for row in before.rows], view.now

    for report in since:
        view.put_rows([as_said(*report)], gathers=True)
        view.now += timedelta(seconds=1)
    after = made(view, name, **about)

    assert [row.cells for row in after.rows] == rows
    came = {number for number, _, _ in since if number == 1 or not about}
    assert (before.waiting, after.waiting) == (0, len(came))
    assert before.at == after.at == moment
    assert not view.is_settled


@settings(max_examples=25)
@given(catalogs(), st.lists(reports, max_size=8), st.sampled_from(OF_NOW), st.booleans())
def test_pages_of_a_report_are_the_whole_of_it(
    catalog: Catalog, told: list[tuple[int, States, str]], name: str, falls: bool
) -> None:
    view = a_fleet(catalog, told, set())
    about = {"machine": view.members[1].id} if name == "machine" else {}
    site, sort = a_site(view), f"{'-' if falls else ''}{NAMED[name].sort.removeprefix('-')}"
    whole = made(view, name, sort=sort if NAMED[name].sort else "", **about)

    paged = [
        compiled(
            site,
            AskReport(name=name, sort=whole.sort, page=page, limit=2, **about),  # type: ignore[arg-type]
            owner="",
        )
        for page in range(1, 2 + whole.total // 2)
    ]

    if name != "overall":
        assert [row.cells for one in paged for row in one.rows] == [r.cells for r in whole.rows]
    assert {one.total for one in paged} == {whole.total} == {len(whole.rows)}


@given(st.integers(0, 10**7), st.integers(1, 10**7))
def test_only_all_are_a_hundred_per_cent_and_only_none_are_none(part: int, whole: int) -> None:
    part = min(part, whole)

    found = share(part, whole)

    assert found is not None
    assert (found == 100) == (part == whole)
    assert (found == 0) == (part == 0)
    assert found <= max(0.1, 100 * part / whole)


@given(st.lists(st.sets(st.integers(0, 20)), max_size=12))
def test_bits_count_as_one_by_one(sets: list[set[int]]) -> None:
    counts = BitCounts(map(BitMap, sets))

    assert all(counts.of(n) == sum(n in one for one in sets) for n in range(21))
    assert set(counts.any()) == set().union(*sets)


@pytest.mark.parametrize("name", OF_NOW)
def test_every_report_answers_for_no_machines_and_no_updates(name: str) -> None:
    view = a_view(Catalog())
    about = {"machine": view.members[1].id} if name == "machine" else {"machines": "nobody"}

    report = made(view, name, **about)

    assert [c for r in report.rows for c in r.cells if isinstance(c, float)] == []


VAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "a state where there are none": ("errors", {"state": "required"}),
    "a reason where none is asked for": ("restarts", {"doubt": "stale"}),
    "no state of an update": ("by-update", {"state": "fine"}),
    "an order of what has one": ("overall", {"sort": "machines"}),
}


@pytest.mark.parametrize(("name", "asked"), VAIN.values(), ids=VAIN)
def test_what_a_report_does_not_take_is_refused_and_not_passed_over(
    name: str, asked: dict[str, Any]
) -> None:
    with pytest.raises(InvalidDocument) as refused:
        made(a_view(Catalog()), name, **asked)

    assert [one.where for one in refused.value.problems] == list(asked)


@pytest.mark.parametrize("field", ["update", "machine"])
def test_what_is_not_there_is_called_by_its_id(field: str) -> None:
    with pytest.raises(NotFound, match=f"there is no {field} {UUID(int=77)}"):
        made(a_view(Catalog()), "by-machine", **{field: UUID(int=77)})
