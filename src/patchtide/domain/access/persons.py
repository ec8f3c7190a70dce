"""Who stands behind an actor: a token is known by who made it, and so is what was made with it."""

from __future__ import annotations

from collections.abc import Mapping

TOKEN, USER = "api-token:", "user:"


def behind(actor: str, makers: Mapping[str, str]) -> str:
    """Return who let the actor in, in the end; `makers`: of each token's id, by whom it was made.

    That is a person, or a token that no person made: whose that is nobody can tell.
    """
    seen: set[str] = set()
    while actor.startswith(TOKEN) and actor not in seen:
        seen.add(actor)
        maker = makers.get(actor.removeprefix(TOKEN), "")
        if not maker.startswith((TOKEN, USER)):
            return actor
        actor = maker
    return actor


def is_person(actor: str) -> bool:
    return actor.startswith(USER)
