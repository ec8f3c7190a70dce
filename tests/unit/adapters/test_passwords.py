"""Slow hashes: of today's effort, of yesterday's, and what is none."""

from __future__ import annotations

import pytest

from patchtide.adapters.passwords.argon2id import Argon2Passwords

QUICK = Argon2Passwords(passes=1, memory_bytes=8192)


def test_a_password_matches_its_hash_and_nothing_else_does() -> None:
    made = QUICK.hashed("correct horse \N{SNOWMAN}")

    assert QUICK.matches(made, "correct horse \N{SNOWMAN}")
    assert not QUICK.matches(made, "correct horse")
    assert QUICK.hashed("correct horse \N{SNOWMAN}") != made


def test_the_effort_is_that_of_rfc_9106() -> None:
    assert Argon2Passwords().hashed("x").startswith("$argon2id$v=19$m=65536,t=3,p=1$")


def test_a_hash_of_less_effort_is_to_be_made_anew() -> None:
    made = QUICK.hashed("x")

    assert not QUICK.is_weak(made)
    assert Argon2Passwords(passes=2, memory_bytes=8192).is_weak(made)
    assert Argon2Passwords(passes=1, memory_bytes=16384).is_weak(made)


@pytest.mark.parametrize(
    "text", ["", "x", "$argon2id$v=19$m=7,t=1,p=1$", "$2b$12$abcdefgh", "\u2603"]
)
def test_what_is_no_hash_matches_nothing(text: str) -> None:
    assert not QUICK.matches(text, "")
    assert QUICK.is_weak(text)
