"""What the use cases need for security keys: what is kept of them, and who judges answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from patchtide.domain.access.places import Place
from patchtide.domain.errors import Unauthenticated


class WrongKey(Unauthenticated):
    """This is not the answer of a security key of yours to what was just asked."""

    code = "wrong-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a key tells of itself when it is registered."""

    id: bytes
    public: bytes
    """As the key wrote it: its model, its id and its public key."""
    counter: int
    """How often it says that it was used; many say 0 for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityKey:
    """A key that a person registered, for one name of the site."""

    id: str
    user: str
    name: str
    place: str
    credential: Credential
    added_at: datetime
    used_at: datetime | None = None
    stopped_at: datetime | None = None
    """Since then it counts no more: it was seen to be one of two."""


class SecurityKeyWriting(Protocol):
    """Inside one decision. Lock the person first."""

    def of(self, user: str) -> Sequence[SecurityKey]: ...

    def add(self, key: SecurityKey) -> None:
        """Raises WrongState: it is registered already."""
        ...

    def rename(self, id: str, name: str) -> None: ...

    def used(self, id: str, *, counter: int, at: datetime) -> None: ...

    def stop(self, id: str, *, at: datetime) -> None: ...

    def remove(self, id: str) -> None: ...

    def remove_all(self, user: str) -> int:
        """Return how many they were."""
        ...


class SecurityKeyReading(Protocol):
    def of(self, user: str) -> Sequence[SecurityKey]: ...

    def counts(self) -> Mapping[str, int]:
        """Return how many each person has; whoever has none is not among them."""
        ...


class Authenticators(Protocol):
    """Asks browsers for keys, in words that they hand to them, and judges what comes back."""

    def to_register(
        self, place: Place, *, user: str, name: str, known: Sequence[SecurityKey], challenge: bytes
    ) -> str: ...

    def registered(self, place: Place, *, challenge: bytes, said: str) -> Credential:
        """Raises WrongKey: for another name, origin or challenge, or not understood."""
        ...

    def to_show(self, place: Place, *, keys: Sequence[SecurityKey], challenge: bytes) -> str: ...

    def shown(
        self, place: Place, *, keys: Sequence[SecurityKey], challenge: bytes, said: str
    ) -> tuple[SecurityKey, int]:
        """Return which of the keys signed, and how often it says that it was used.

        Raises:
            WrongKey: none of them, for another name, origin or challenge, or not understood.
        """
        ...
