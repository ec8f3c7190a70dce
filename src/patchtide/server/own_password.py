"""A person changes her own password: she says the old one, and every other browser is out."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.principals import Principal, SessionHolder, TokenHolder
from patchtide.domain.errors import InvalidDocument, Problem, Refused
from patchtide.server.context import Call
from patchtide.server.ports.accounts import User
from patchtide.server.ports.decisions import Transaction
from patchtide.server.sessions import WrongPassword, attempt
from patchtide.server.table import SECRET, Input

PERSON = "user:"


class ChangePassword(Input, kw_only=True, frozen=True):
    old: Annotated[
        str,
        Meta(
            min_length=1, max_length=1024, description="The current password.",
            extra_json_schema=SECRET,
        ),
    ]  # fmt: skip
    new: Annotated[
        str,
        Meta(
            min_length=1, max_length=1024, description="The one to sign in with from now on.",
            extra_json_schema=SECRET,
        ),
    ]  # fmt: skip


async def change(call: Call, principal: Principal, asked: ChangePassword) -> None:
    """Change it. API tokens stay: they are listed, and revoked one by one.

    Raises:
        WrongPassword: the old one is another.
        TooManyAttempts: it was guessed at too often.
        InvalidDocument: the new one is weak, or the old one.
        Refused: the asker is no person.
    """
    user = await person_of(call, principal)
    call.context.failed_sign_ins.note_person(user.name)
    # Whoever finds a browser that is signed in must not guess here as often as he likes; nor with
    # one token after the other: it is the person who has so many guesses.
    with attempt(call, peer=PERSON + user.id, own=user.name):
        if not await call.context.passwords.matches(user.password_hash, asked.old):
            raise WrongPassword("This is not your current password.")
        if asked.new == asked.old:
            raise InvalidDocument([Problem("new", "is the one that you have")])
        password_hash = await call.context.passwords.hashed(asked.new, name=user.name)
        here = principal.session if isinstance(principal, SessionHolder) else b""

        def work(tx: Transaction) -> None:
            current = tx.lock_user(user.id)
            if current is None or not current.is_able:
                raise WrongPassword
            if current.password_hash != user.password_hash:
                raise WrongPassword("Your password was changed meanwhile.")
            tx.set_password(user.id, password_hash)
            tx.drop_links(user.id)
            tx.note(user.id, name=user.name, sessions=tx.end_sessions(user.id, but=here))

        await call.decide(principal, work)


async def person_of(call: Call, principal: Principal) -> User:
    """Return who asks: in a browser, or with a token that she made herself.

    Raises:
        Refused: nobody does.
    """
    lookups = call.context.lookups

    def question() -> User | None:
        maker = principal.actor
        if isinstance(principal, TokenHolder):
            tokens = lookups.api_tokens()
            maker = next((t.created_by for t in tokens if t.id == principal.token_id), "")
        return next((u for u in lookups.users() if PERSON + u.id == maker), None)

    found = await call.read(question)
    if found is None:
        raise Refused("this token stands for no person: none made it herself")
    return found
