"""The roles that a site has made for itself, and what somebody's grants come to by them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import msgspec

from patchtide.domain.access.grants import ROLE, come_to
from patchtide.domain.access.rights import AT, ROLES, Right

ROLE_BOOK = "access.roles"
MOST = 100


class KeptRole(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    rights: tuple[str, ...]
    about: str = ""
    by: str = ""
    at: float = 0.0


def read_roles(data: bytes | None) -> dict[str, KeptRole]:
    found = msgspec.msgpack.decode(data, type=list[KeptRole]) if data else []
    return {role.name: role for role in found}


def pack_roles(roles: Iterable[KeptRole]) -> bytes:
    return msgspec.msgpack.encode(list(roles))


def rights_by(roles: Iterable[KeptRole]) -> Mapping[str, Collection[str]]:
    return {role.name: role.rights for role in roles}


def held_by(texts: Collection[str], setting: Callable[[str], bytes | None]) -> frozenset[Right]:
    """Return what these grants come to now; the book is opened only where one needs it."""
    if not any(_is_of_the_site(text) for text in texts):
        return come_to(texts, {})
    return come_to(texts, rights_by(read_roles(setting(ROLE_BOOK)).values()))


def hands_on(texts: Iterable[str], role: str) -> bool:
    """Say whether one of these grants is of that role."""
    return any(text.partition(AT)[0] == ROLE + role for text in texts)


def _is_of_the_site(text: str) -> bool:
    name = text.partition(AT)[0]
    return name.startswith(ROLE) and name.removeprefix(ROLE) not in ROLES
