"""What roles and rights come to, everywhere and within collections."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.access.grants import (
    EVERYTHING,
    Scope,
    allowed,
    bounds,
    come_to,
    grants_of,
    left_out,
    limited,
    role_held,
    visible,
)
from patchtide.domain.access.rights import (
    LIST,
    MACHINE,
    ROLES,
    Kind,
    Right,
    Verb,
    beyond,
    holds,
    lost_without,
    right,
    rights_of,
)
from patchtide.domain.errors import InvalidDocument

WEB, DB = str(UUID(int=1)), f"{MACHINE}{UUID(int=2)}"
ANY = st.builds(Right, st.sampled_from(Kind), st.sampled_from(Verb))
PLACED = st.builds(
    lambda one, within: placed if (placed := replace(one, within=within)).can_be_limited else one,
    ANY,
    st.sampled_from(["", WEB, DB, f"{LIST}october"]),
)
SETS = st.frozensets(PLACED, max_size=8)
SEEING = Right(Kind.MACHINES, Verb.READ)


@given(PLACED)
def test_a_limited_right_is_read_back_from_its_text(given: Right) -> None:
    assert right(str(given)) == given


@given(SETS, PLACED)
def test_who_holds_a_right_everywhere_holds_it_in_each_place_and_never_the_other_way(
    held: frozenset[Right], wanted: Right
) -> None:
    there = Right(wanted.kind, wanted.verb, WEB)

    assert not holds(held, wanted.everywhere) or holds(held, there)
    assert not holds({there}, wanted.everywhere)


@given(SETS, SETS)
def test_nobody_hands_on_a_wider_place_than_his_own(
    wanted: frozenset[Right], held: frozenset[Right]
) -> None:
    handed_on = wanted - set(beyond(wanted, held))

    for one in handed_on:
        assert {one.within} <= (visible(held, one.everywhere).places or {one.within})


@given(SETS, PLACED, st.frozensets(st.sampled_from([WEB, DB])))
def test_what_is_allowed_is_what_is_visible_and_holds_somewhere(
    held: frozenset[Right], wanted: Right, places: frozenset[str]
) -> None:
    plain = wanted.everywhere
    each = holds(held, plain) or any(holds(held, Right(*_of(plain), w)) for w in places)

    assert allowed(held, plain, places) is each


def _of(one: Right) -> tuple[Kind, Verb]:
    return one.kind, one.verb


@given(SETS, SETS)
def test_more_rights_never_narrow_what_is_seen(
    held: frozenset[Right], more: frozenset[Right]
) -> None:
    before, after = visible(held, SEEING), visible(held | more, SEEING)

    assert after.places is None or (before.places or frozenset()) <= after.places


SEEN = {
    "everything everywhere": (["machines.read", "catalog.read"], EVERYTHING, set()),
    "one collection": (
        [f"machines.read@{WEB}", f"catalog.read@{WEB}"],
        Scope(frozenset({WEB})),
        {Scope(frozenset({WEB}))},
    ),
    "what he lacks is nowhere": (
        [f"machines.read@{WEB}"],
        Scope(frozenset({WEB})),
        {Scope(frozenset({WEB})), Scope(frozenset())},
    ),
    "updates everywhere show no machine more": (
        ["catalog.read", f"machines.read@{WEB}"],
        Scope(frozenset({WEB})),
        {Scope(frozenset({WEB}))},
    ),
    "updates within another collection are in both": (
        [f"catalog.read@{DB}", f"machines.read@{WEB}"],
        Scope(frozenset({WEB})),
        {Scope(frozenset({WEB})), Scope(frozenset({DB}))},
    ),
    "whoever sees no machine is counted all of them": (["catalog.read"], Scope(frozenset()), set()),
}


@pytest.mark.parametrize(("texts", "sees", "within"), SEEN.values(), ids=SEEN)
def test_what_keeps_an_answer_within(texts: list[str], sees: Scope, within: set[Scope]) -> None:
    held = rights_of(texts)

    assert visible(held, SEEING) == sees
    assert bounds(held, {Right(Kind.CATALOG, Verb.READ)}, SEEING) == within


def test_a_role_within_a_collection_gives_what_means_something_there() -> None:
    assert come_to([f"role:engineer@{WEB}"], {}) == rights_of(
        f"{right}@{WEB}"
        for right in ("machines.read", "catalog.read", "collections.read", "collections.modify")
    )
    assert come_to([f"role:engineer@{DB}"], {}) == rights_of(
        [f"machines.read@{DB}", f"catalog.read@{DB}"]
    )
    whole = limited(ROLES["full-administrator"], WEB)
    assert holds(whole, right(f"machines.delete@{WEB}")) and holds(
        whole, right(f"catalog.read@{WEB}")
    )
    assert not any(one.kind is Kind.ACCOUNTS for one in whole)


LEFT_OUT: dict[str, tuple[list[str], set[str]]] = {
    "a role everywhere": (["role:engineer"], set()),
    "a single right": ([f"machines.read@{WEB}"], set()),
    "a role at a collection": (
        [f"role:engineer@{WEB}"],
        {
            "catalog.create", "catalog.modify", "alerts.read", "alerts.approve",
            "collections.create",
        },
    ),
    "a role at a machine": (
        [f"role:machine-owner@{DB}", f"role:metrics@{WEB}"], {"collections.read", "metrics.read"},
    ),
    "what is held everywhere besides": (
        [f"role:machine-owner@{DB}", "collections.administer"], set(),
    ),
    "what administering comes to there": ([f"role:keeper@{WEB}"], {"catalog.administer"}),
}  # fmt: skip


@pytest.mark.parametrize(("texts", "lost"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_of_a_role_means_nothing_at_its_place_is_told(
    texts: list[str], lost: set[str]
) -> None:
    roles = {"keeper": ("machines.administer", "catalog.administer")}

    found = left_out(texts, roles)

    assert {str(one.everywhere) for one in found} == lost
    assert not any(holds(come_to(texts, roles), one) for one in found)


def test_a_role_of_the_site_is_what_its_book_says_now() -> None:
    texts = ["role:night-shift", "alerts.read"]

    assert come_to(texts, {"night-shift": ["machines.read"]}) == rights_of(
        ["machines.read", "alerts.read"]
    )
    assert come_to(texts, {"night-shift": ["machines.fly"]}) == rights_of(["alerts.read"])
    assert come_to(texts, {}) == rights_of(["alerts.read"])


def test_nobody_makes_a_ready_role_mean_something_else() -> None:
    assert come_to(["role:auditor"], {"auditor": ["site.administer"]}) == ROLES["auditor"]


def test_every_mistake_in_what_is_handed_on_is_named() -> None:
    with pytest.raises(InvalidDocument) as caught:
        grants_of(
            ["machines.fly", f"accounts.read@{WEB}", "machines.read@x"],
            role="ghost",
            within="",
            roles=(),
        )

    assert len(caught.value.problems) == 4


def test_a_place_is_added_to_what_has_none() -> None:
    assert grants_of(
        ["machines.modify", f"machines.read@{DB}"], role="deployer", within=WEB, roles=()
    ) == (f"machines.modify@{WEB}", f"machines.read@{DB}", f"role:deployer@{WEB}")


def test_only_a_role_that_is_all_and_everywhere_names_a_person() -> None:
    assert role_held(["role:auditor"]) == "auditor"
    assert role_held(["role:auditor", "site.read"]) == role_held([f"role:auditor@{WEB}"]) == ""
    assert role_held(["site.read"]) == ""


def test_who_keeps_accounts_of_one_collection_keeps_nobody_from_being_locked_out() -> None:
    administrator = ROLES["full-administrator"]

    assert lost_without(administrator, [limited(administrator, WEB)])
