"""Signing in, choosing a password, signing out."""

from __future__ import annotations

from patchtide.adapters.console.account import keyless
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.visits import SESSION, VISITOR, Visit, local_path
from patchtide.domain.access.principals import SessionHolder
from patchtide.domain.errors import InvalidDocument, PatchtideError, Problem
from patchtide.server.sessions import Begun


async def sign_in_page(desk: Desk, visit: Visit) -> Reply:
    if isinstance(visit.principal, SessionHolder):
        return see_other(local_path(visit.query.get("next", "")))
    return _sign_in(desk, visit, going=visit.query.get("next", ""))


async def sign_in(desk: Desk, visit: Visit) -> Reply:
    going, name = visit.said("next"), visit.said("name")
    try:
        begun = await desk.ask(
            visit,
            "sessions.sign-in",
            name=name,
            password=visit.said("password"),
            peer=visit.peer,
            replaces=_session_of(visit),
        )
    except PatchtideError as error:
        return _sign_in(desk, visit, going=going, name=name[:64], error=error)
    return _in(begun, local_path(going))


async def welcome_page(desk: Desk, visit: Visit) -> Reply:
    return _welcome(desk, visit)


async def welcome(desk: Desk, visit: Visit) -> Reply:
    name, password = visit.said("name"), visit.said("password")
    try:
        if password != visit.said("again"):
            raise InvalidDocument([Problem("password", "is not the same both times")])
        begun = await desk.ask(
            visit,
            "sessions.welcome",
            name=name,
            password=password,
            code=visit.said("code"),
            peer=visit.peer,
            replaces=_session_of(visit),
        )
    except PatchtideError as error:
        return _welcome(desk, visit, name=name, code=visit.said("code"), error=error)
    return _in(begun, "/")


async def enter_page(desk: Desk, visit: Visit) -> Reply:
    return desk.page(visit, "enter.html", error=None)


async def enter(desk: Desk, visit: Visit) -> Reply:
    try:
        begun = await desk.ask(
            visit,
            "sessions.enter",
            code=visit.said("code"),
            peer=visit.peer,
            replaces=_session_of(visit),
        )
    except PatchtideError as error:
        return desk.page(visit, "enter.html", status=desk.status_of(error), error=error)
    return _in(begun, "/")


async def sign_out(desk: Desk, visit: Visit) -> Reply:
    await desk.ask(visit, "sessions.sign-out", secret=visit.secret)
    return see_other("/sign-in").with_cookie(SESSION, "")


def _session_of(visit: Visit) -> str:
    """Return the secret of the session that this browser has now, or nothing."""
    return visit.secret if isinstance(visit.principal, SessionHolder) else ""


def _in(begun: Begun, address: str) -> Reply:
    return see_other(address).with_cookie(SESSION, begun.secret).with_cookie(VISITOR, "")


def _sign_in(
    desk: Desk, visit: Visit, *, going: str, name: str = "", error: PatchtideError | None = None
) -> Reply:
    status = 200 if error is None else desk.status_of(error)
    return desk.page(
        visit,
        "sign_in.html",
        status=status,
        going=local_path(going),
        name=name,
        elsewhere=keyless(desk, visit),
        error=error,
    )


def _welcome(
    desk: Desk,
    visit: Visit,
    *,
    name: str = "admin",
    code: str = "",
    error: PatchtideError | None = None,
) -> Reply:
    status = 200 if error is None else desk.status_of(error)
    is_first = desk.context.bootstrap_code.is_open
    return desk.page(
        visit, "welcome.html", status=status, name=name, link_code=code, error=error,
        is_first=is_first,
    )  # fmt: skip
