"""The second factor: what a session still owes before it may do what its person may."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.domain.errors import Unauthenticated


class Owed(StrEnum):
    """What is missing until somebody is signed in altogether."""

    NOTHING = "nothing"
    KEY = "key"
    """To show one of the security keys that she has."""
    REGISTRATION = "registration"
    """To register one, because the site requires it of who administers anything."""


class SecondFactorNeeded(Unauthenticated):
    """You are not signed in altogether: a security key is asked for too."""

    code = "second-factor-needed"


def is_privileged(rights: Iterable[Right]) -> bool:
    """Say whether somebody administers anything, be it within a collection, or lets people in."""
    return any(
        one.verb is Verb.ADMINISTER or (one.kind is Kind.ACCOUNTS and one.verb is not Verb.READ)
        for one in rights
    )


def owed(*, has_key: bool, has_shown: bool, is_privileged: bool, is_required: bool) -> Owed:
    """Return what a session owes; `has_shown`: a key was shown in it, or as good as one.

    | has shown one | has a key | privileged, and required | owes         |
    | ------------- | --------- | ------------------------ | ------------ |
    | yes           | any       | any                      | nothing      |
    | no            | yes       | any                      | a key        |
    | no            | no        | yes                      | registration |
    | no            | no        | no                       | nothing      |
    """
    if has_shown:
        return Owed.NOTHING
    if has_key:
        return Owed.KEY
    return Owed.REGISTRATION if is_privileged and is_required else Owed.NOTHING


def is_copied(*, kept: int, said: int) -> bool:
    """Say whether a key's count shows that there are two of it.

    It goes up with each use. Many keys count nothing and say 0 for ever.
    """
    return said <= kept and (said, kept) != (0, 0)
