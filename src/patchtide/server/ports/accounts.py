"""What the use cases need for people: accounts, sessions, one-time links, slow hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person who may sign in."""

    id: str
    name: str
    rights: tuple[str, ...]
    password_hash: str
    """Empty until the person has chosen a password."""
    created_at: datetime
    created_by: str
    disabled_at: datetime | None = None
    let_in_by: str = ""
    """To whom the link was shown with which the password was chosen, until others vouch for her:
    that may be who holds the account. Empty: she is known to be a person of her own."""

    @property
    def is_able(self) -> bool:
        """Say whether the person can sign in now."""
        return self.disabled_at is None and self.password_hash != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser in which somebody is signed in. Only the SHA-256 of its secret is kept."""

    secret_hash: bytes
    user: str
    began_at: datetime
    seen_at: datetime
    proved_at: datetime
    """When its person last proved who she is."""
    keyed_at: datetime | None = None
    """When a security key was last shown in it, or what counts as one."""
    has_key: bool = False
    """Its person has one; known of a session that was read."""


class LinkUse(StrEnum):
    """What a one-time link lets a person do."""

    CHOOSE_PASSWORD = "choose-password"  # noqa: S105 - what for, no secret
    START_ANEW = "start-anew"
    """That, and the security keys are forgotten with it."""
    SIGN_IN = "sign-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInLink:
    """Lets a person in, once. Only the SHA-256 of its secret is kept."""

    secret_hash: bytes
    user: str
    use: LinkUse
    expires_at: datetime
    shown_to: str = ""
    """The person behind whoever asked for it; empty: whoever holds the home folder."""


class AccountWriting(Protocol):
    """Inside one decision."""

    def add_user(self, user: User) -> None:
        """Raises WrongState: the name is taken."""
        ...

    def lock_user(self, user_id: str) -> User | None:
        """Return that person; until the end of this transaction no other one can change her."""
        ...

    def lock_users(self) -> Sequence[User]:
        """Return all that are not disabled. Until the end of this transaction no other one can
        change any of them."""
        ...

    def disabled_users(self) -> Sequence[User]: ...

    def count_users(self) -> int: ...

    def user_names(self) -> frozenset[str]:
        """Return every name that is taken, also by those who are disabled."""
        ...

    def disable_user(self, user_id: str, *, at: datetime | None) -> bool:
        """Disable or, without a time, enable; False when that was so before."""
        ...

    def set_rights(self, user_id: str, rights: Sequence[str]) -> None: ...

    def set_password(self, user_id: str, password_hash: str) -> None: ...

    def set_let_in_by(self, user_id: str, by: str) -> None: ...

    def add_session(self, session: Session) -> None: ...

    def touch_session(self, secret_hash: bytes, *, at: datetime) -> None: ...

    def prove_session(self, secret_hash: bytes, *, at: datetime) -> None:
        """Its person just proved who she is."""
        ...

    def key_session(self, secret_hash: bytes, *, at: datetime) -> None:
        """A security key was just shown in it."""
        ...

    def put_challenge(self, secret_hash: bytes, challenge: bytes, *, until: datetime) -> None:
        """Keep what its security key is asked to sign; what was asked before counts no more."""
        ...

    def take_challenge(self, secret_hash: bytes, *, now: datetime) -> bytes | None:
        """Return what was asked, once; None: nothing, or too long ago."""
        ...

    def has_session(self, secret_hash: bytes) -> bool: ...

    def end_session(self, secret_hash: bytes) -> bool: ...

    def end_sessions(self, user_id: str, *, but: bytes = b"") -> int:
        """End all sessions of that person but the one with this hash; return how many."""
        ...

    def put_link(self, link: SignInLink) -> None:
        """Keep the link; any other one of that person is useless from now on."""
        ...

    def api_token_makers(self) -> Mapping[str, str]:
        """Return by whom each API token was made, the revoked ones too."""
        ...

    def drop_links(self, user_id: str) -> None: ...

    def drop_short_lived(self) -> None:
        """Drop every session, link and enrolment token: nobody knows which of them was used up."""
        ...

    def take_link(self, secret_hash: bytes, *, use: LinkUse, now: datetime) -> str | None:
        """Use the link up and return whose it is; None: unknown, expired or for another use."""
        ...


class AccountReading(Protocol):
    """Single reads that requests make."""

    def user_named(self, name: str) -> User | None: ...

    def users(self) -> Sequence[User]: ...

    def session(self, secret_hash: bytes) -> tuple[Session, User] | None: ...

    def link(self, secret_hash: bytes) -> tuple[SignInLink, User] | None: ...


class Passwords(Protocol):
    """A hash that is slow on purpose. Both block for tens of milliseconds."""

    def hashed(self, password: str) -> str: ...

    def matches(self, password_hash: str, password: str) -> bool: ...

    def is_weak(self, password_hash: str) -> bool:
        """Say whether it was made with less effort than is asked today."""
        ...
