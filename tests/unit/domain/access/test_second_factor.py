"""What a session still owes, and where a security key can be asked for at all."""

from __future__ import annotations

from itertools import product

import pytest

from patchtide.domain.access.places import Place, elsewhere, place_of
from patchtide.domain.access.rights import ROLES, rights_of
from patchtide.domain.access.second_factor import Owed, is_copied, is_privileged, owed

KNOWN = ("updates.example:443", "Web-1:8540", "localhost:8540", "127.0.0.1:8540", "[::1]:8540",
         "updates.example", "web-1", "localhost", "127.0.0.1", "[::1]")  # fmt: skip
OWED = {
    "nothing of who has shown a key": ({"has_shown"}, Owed.NOTHING),
    "the key of who has one": ({"has_key"}, Owed.KEY),
    "one to register, where it is required": ({"is_privileged", "is_required"}, Owed.REGISTRATION),
    "nothing of who administers nothing": ({"is_required"}, Owed.NOTHING),
    "nothing where it is only asked for": ({"is_privileged"}, Owed.NOTHING),
}
NAMES = ("has_key", "has_shown", "is_privileged", "is_required")


@pytest.mark.parametrize(("true", "expected"), OWED.values(), ids=OWED)
def test_what_is_owed(true: set[str], expected: Owed) -> None:
    assert owed(**{name: name in true for name in NAMES}) is expected


@pytest.mark.parametrize("said", list(product([False, True], repeat=4)))
def test_a_person_with_a_key_has_shown_it_or_owes_it(said: tuple[bool, ...]) -> None:
    told = dict(zip(NAMES, said, strict=True))
    if told["has_key"]:
        assert owed(**told) is (Owed.NOTHING if told["has_shown"] else Owed.KEY)


PLACES = {
    "a name with its port": ("web-1:8540", Place("web-1", "https://web-1:8540")),
    "a name on the port of the web": ("updates.example", Place("updates.example",
                                                             "https://updates.example")),
    "in capitals": ("WEB-1:8540", Place("web-1", "https://web-1:8540")),
    "the machine itself": ("localhost:8540", Place("localhost", "https://localhost:8540")),
    "numbers": ("127.0.0.1:8540", None),
    "longer numbers": ("[::1]:8540", None),
    "another port": ("web-1:9999", None),
    "a name that is not ours": ("evil.example:8540", None),
    "a name that only ends like ours": ("evil-web-1:8540", None),
    "nothing": ("", None),
}  # fmt: skip


@pytest.mark.parametrize(("host", "expected"), PLACES.values(), ids=PLACES)
def test_where_a_key_can_be_asked_for(host: str, expected: Place | None) -> None:
    assert place_of(host, KNOWN) == expected


def test_who_came_by_numbers_is_told_of_a_name() -> None:
    assert elsewhere("127.0.0.1:8540", KNOWN) == ("https://localhost:8540",)
    assert elsewhere("[::1]:8540", KNOWN) == ("https://localhost:8540",)
    assert elsewhere("192.0.2.7:8540", KNOWN) == ("https://updates.example:8540",)
    assert elsewhere("192.0.2.7", KNOWN, ["web-1", "web-1"]) == ("https://web-1",)


COUNTS = {(0, 0): False, (0, 1): False, (4, 5): False, (4, 4): True, (4, 3): True, (4, 0): True}


@pytest.mark.parametrize(("counts", "expected"), COUNTS.items())
def test_a_count_that_does_not_go_up_is_of_a_copy(counts: tuple[int, int], expected: bool) -> None:
    kept, said = counts
    assert is_copied(kept=kept, said=said) is expected


def test_who_administers_anything_is_privileged() -> None:
    privileged = {name for name, rights in ROLES.items() if is_privileged(rights)}

    assert privileged == {"full-administrator", "update-administrator"}
    within = "machines.administer@4f0c7a52-9f4b-8b1d-9d0e-0a1b2c3d4e5f"
    assert is_privileged(rights_of([within]))
    assert is_privileged(rights_of(["accounts.modify"]))
    assert not is_privileged(rights_of(["accounts.read", "machines.modify"]))
