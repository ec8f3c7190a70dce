"""Rights, roles and who passes which policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.access.principals import Anonymous, Gate, Policy, TokenHolder, check
from patchtide.domain.access.rights import (
    KEEPING,
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
from patchtide.domain.errors import (
    InvalidDocument,
    NotFound,
    PatchtideError,
    Refused,
    Unauthenticated,
)

RIGHTS = st.builds(Right, st.sampled_from(Kind), st.sampled_from(Verb))
ALL_RIGHTS = [Right(kind, verb) for kind in Kind for verb in Verb]
SETS = st.frozensets(RIGHTS, max_size=8)


def a_holder(*texts: str) -> TokenHolder:
    return TokenHolder(token_id="0" * 12, name="t", rights=rights_of(texts), expires_at=None)


@given(RIGHTS)
def test_a_right_is_read_back_from_its_text(given: Right) -> None:
    assert right(str(given)) == given


@given(SETS, RIGHTS)
def test_a_wider_set_never_holds_less(held: frozenset[Right], wanted: Right) -> None:
    assert holds(held | {wanted}, wanted)
    assert not holds(held, wanted) or holds(held | ROLES["auditor"], wanted)


@given(SETS, SETS)
def test_what_is_handed_on_gives_nobody_a_right_that_its_giver_lacks(
    wanted: frozenset[Right], held: frozenset[Right]
) -> None:
    handed_on = wanted - frozenset(beyond(wanted, held))

    assert all(holds(held, r) for r in ALL_RIGHTS if holds(handed_on, r))


def test_administering_one_kind_gives_nothing_on_another() -> None:
    administrator = a_holder("machines.administer").rights

    assert {r.kind for r in ALL_RIGHTS if holds(administrator, r)} == {Kind.MACHINES}
    assert all(holds(administrator, Right(Kind.MACHINES, verb)) for verb in Verb)


def test_every_unknown_right_is_named_with_its_place() -> None:
    with pytest.raises(InvalidDocument) as refused:
        rights_of(["machines.read", "machines.fly", "", "x.read"])

    assert [p.where for p in refused.value.problems] == ["rights[1]", "rights[2]", "rights[3]"]


FULL = ROLES["full-administrator"]
LEAVING: dict[str, tuple[frozenset[Right], list[frozenset[Right]], set[Kind]]] = {
    "the last administrator takes everything along": (FULL, [], set(Kind)),
    "another one keeps it": (FULL, [FULL], set()),
    "who cannot hand on keeps nothing": (FULL, [FULL - {KEEPING}], set(Kind)),
    "two who hold halves keep the whole": (
        FULL,
        [
            frozenset({KEEPING, *(r for r in FULL if r.kind < Kind.MACHINES)}),
            frozenset({KEEPING, *(r for r in FULL if r.kind >= Kind.MACHINES)}),
        ],
        set(),
    ),
    "what no keeper has is lost": (
        FULL,
        [FULL - {Right(Kind.SITE, Verb.ADMINISTER)}],
        {Kind.SITE},
    ),
    "who could not hand on loses nothing": (ROLES["auditor"], [], set()),
}


@pytest.mark.parametrize(("leaving", "staying", "lost"), LEAVING.values(), ids=LEAVING)
def test_what_is_lost_when_a_holder_leaves(
    leaving: frozenset[Right], staying: list[frozenset[Right]], lost: set[Kind]
) -> None:
    assert {r.kind for r in lost_without(leaving, staying)} == lost


CASES: dict[str, tuple[Anonymous | TokenHolder, Policy, type[PatchtideError] | None]] = {
    "nobody asks for a right": (Anonymous(), right("audit.read"), Unauthenticated),
    "nobody asks what the signed in may": (Anonymous(), Gate.SIGNED_IN, Unauthenticated),
    "nobody asks what is public": (Anonymous(), Gate.PUBLIC, None),
    "a holder without any right is signed in": (a_holder(), Gate.SIGNED_IN, None),
    "who may not read does not learn that it exists": (
        a_holder("machines.administer"),
        right("audit.read"),
        NotFound,
    ),
    "who may modify but not read does not learn more": (
        a_holder("machines.modify"),
        right("machines.delete"),
        NotFound,
    ),
    "who may read hears what is lacking": (
        a_holder("machines.read"),
        right("machines.delete"),
        Refused,
    ),
    "who holds the right passes": (a_holder("machines.delete"), right("machines.delete"), None),
    "who administers passes": (a_holder("machines.administer"), right("machines.delete"), None),
}


@pytest.mark.parametrize(("principal", "policy", "refusal"), CASES.values(), ids=CASES)
def test_policy(
    principal: Anonymous | TokenHolder, policy: Policy, refusal: type[PatchtideError] | None
) -> None:
    if refusal is None:
        check(principal, policy)
    else:
        with pytest.raises(refusal) as refused:
            check(principal, policy)
        assert type(refused.value) is refusal


LIMITED_ADMINISTRATOR = {
    "read and distribute on updates": {"catalog.read", "catalog.distribute"},
    "read and deploy on the collection": {"collections.read", "machines.read", "machines.deploy"},
    "read on the site": {"site.read"},
}
"""What SEC-3 lists; of packages, templates and deployments there are no rights yet."""


def test_a_deployer_may_do_just_what_deploying_a_list_by_a_template_takes() -> None:
    wanted = set[str]().union(*LIMITED_ADMINISTRATOR.values())

    assert set(map(str, ROLES["deployer"])) == wanted
    assert not {"packages", "templates", "deployments"} & set(Kind)
