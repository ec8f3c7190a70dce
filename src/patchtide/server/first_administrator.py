"""Whoever holds the server's home folder gets in: he could read the database and the keys anyway.

No route leads here; the process that runs on the home folder calls it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from patchtide.domain.access.rights import ROLES
from patchtide.server.bootstrap import DONE
from patchtide.server.ports.accounts import LinkUse, User
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.role_book import held_by
from patchtide.server.sign_in_links import IssuedLink, issue
from patchtide.server.users import new_user

ACTOR = "home-folder"
OPERATION = "users.sign-in-link"
LASTS = timedelta(minutes=10)
NAME = "admin"


async def sign_in_link(decisions: Decisions, *, now: datetime) -> IssuedLink:
    """Return a link that works once, within ten minutes, for a full administrator.

    Nobody is there yet: the first one is made, and the site claimed by it. Whoever has no
    password yet chooses one with the link; whoever has is simply signed in.
    """

    def work(tx: Transaction) -> IssuedLink:
        user = _administrator(tx) or _made(tx, now=now)
        use = LinkUse.SIGN_IN if user.password_hash else LinkUse.CHOOSE_PASSWORD
        link, answer = issue(user, now=now, use=use, lasts=LASTS)
        tx.put_link(link)
        tx.note(user.id, name=user.name, until=link.expires_at.isoformat())
        return answer

    return await decisions.decide(ACTOR, OPERATION, work, now=now)


def _administrator(tx: Transaction) -> User | None:
    """Return the full administrator who has been there longest, one with a password first.

    Of those who are disabled none counts, nor whoever has less than every right.
    """
    everything = ROLES["full-administrator"]
    found = [user for user in tx.lock_users() if held_by(user.rights, tx.setting) >= everything]
    return min(found, key=lambda user: (not user.password_hash, user.created_at), default=None)


def _made(tx: Transaction, *, now: datetime) -> User:
    taken = tx.user_names()
    free = (name for name in (NAME, *(f"{NAME}{n}" for n in range(2, 1000))) if name not in taken)
    user = new_user(
        next(free), rights=ROLES["full-administrator"], password_hash="", now=now, by=ACTOR
    )
    tx.put_setting(DONE, b"1")
    tx.add_user(user)
    return user
