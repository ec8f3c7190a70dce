"""People vouch for an account: it is a person of her own, and not whoever was shown its link."""

from __future__ import annotations

from patchtide.domain.access.persons import USER
from patchtide.domain.access.principals import Principal, somebody
from patchtide.domain.errors import WrongState
from patchtide.server.context import Call
from patchtide.server.ports.decisions import Transaction
from patchtide.server.users import OneUser, check_reach_to, locked_user


async def vouch(call: Call, principal: Principal, asked: OneUser) -> None:
    """Say that this account is a person of her own, and nobody who counts as one already.

    Raises:
        WrongState: she counts as one.
    """
    creator = somebody(principal)

    def work(tx: Transaction) -> None:
        user = locked_user(tx, asked.user)
        check_reach_to(tx, creator, user)
        if not user.let_in_by:
            raise WrongState("nobody else let this user in: there is nothing to vouch for")
        other = tx.lock_user(user.let_in_by.removeprefix(USER))
        tx.set_let_in_by(user.id, "")
        tx.note(user.id, name=user.name, let_in_by=other.name if other else user.let_in_by)

    await call.decide(principal, work)
