"""What may be a password."""

from __future__ import annotations

import pytest

from patchtide.domain.access.passwords import weaknesses

PASSWORDS = {
    "long enough": ("correct horse battery", ()),
    "exactly long enough": ("twelve-chars", ()),
    "too short": ("eleven-char", ("is shorter than 12 characters",)),
    "too long": ("ab3-" + "xyz." * 64, ("is longer than 256 characters",)),
    "the same few characters": ("aaaaaaaabbbb", ("repeats the same few characters",)),
    "the name, again and again": ("JohannaJohanna", ("is only your name",)),
    "counting up": ("abcdefghijkl", ("only counts up or down",)),
    "counting down": ("zyxwvutsrqpo", ("only counts up or down",)),
    "nothing": ("", ("is shorter than 12 characters", "repeats the same few characters")),
}


@pytest.mark.parametrize(("password", "expected"), PASSWORDS.values(), ids=PASSWORDS)
def test_every_weakness_is_named(password: str, expected: tuple[str, ...]) -> None:
    assert weaknesses(password, name="johanna") == expected
