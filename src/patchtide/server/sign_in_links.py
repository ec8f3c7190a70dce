"""Links that let a person in once, to choose a password or to sign in."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from patchtide.domain.access.credentials import hash_of
from patchtide.server.granting import LeftOut
from patchtide.server.ports.accounts import LinkUse, SignInLink, User
from patchtide.server.table import Output

LINK_LASTS = timedelta(hours=24)
LEADS_TO = {
    LinkUse.CHOOSE_PASSWORD: "/welcome#",
    LinkUse.START_ANEW: "/welcome#",
    LinkUse.SIGN_IN: "/enter#",
}
"""Where a link leads. The code follows the mark: a browser sends it to nobody by itself."""


class IssuedLink(Output, kw_only=True, frozen=True):
    id: str
    name: str
    link: str
    """The path that lets the person in, once; it is shown this once and kept nowhere."""
    expires_at: datetime
    sessions: int = 0
    tokens: int = 0
    """How many sessions ended and API tokens were revoked with it."""
    left_out: LeftOut = ()
    """What of her role means nothing at that place."""


def issue(
    user: User,
    *,
    now: datetime,
    use: LinkUse = LinkUse.CHOOSE_PASSWORD,
    lasts: timedelta = LINK_LASTS,
    shown_to: str = "",
) -> tuple[SignInLink, IssuedLink]:
    """Make a link: what is kept of it, and the answer that shows its secret."""
    code, until = secrets.token_hex(32), now + lasts
    link = SignInLink(
        secret_hash=hash_of(code), user=user.id, use=use, expires_at=until, shown_to=shown_to
    )
    answer = IssuedLink(id=user.id, name=user.name, link=LEADS_TO[use] + code, expires_at=until)
    return link, answer
