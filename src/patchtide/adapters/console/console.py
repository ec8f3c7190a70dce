"""The console, put together: each declared page with whoever serves it.

Every page goes the same way: who visits, is the form our own, may he, and only then the page.
What goes wrong becomes a page too, with the same words and codes as in the interface.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from patchtide.adapters.console.done_words import done
from patchtide.adapters.console.fleet_rows import FleetRows, NarrowedRows
from patchtide.adapters.console.proof_fields import going_on
from patchtide.adapters.console.pulse import Pulse
from patchtide.adapters.console.rendering import Templates
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.static_files import StaticFiles
from patchtide.adapters.console.visits import (
    BACKGROUND,
    FORM_BYTES,
    FORM_TOKEN,
    PART,
    SESSION,
    VISITOR,
    Receive,
    Scope,
    Send,
    Visit,
    check_origin,
    check_token,
    cookie_of,
    form_of,
    headers_of,
    new_secret,
    query_of,
)
from patchtide.adapters.console.waiting import NOTHING, Waiting, What
from patchtide.domain.access.grants import visible
from patchtide.domain.access.principals import (
    Anonymous,
    Policy,
    Principal,
    SessionHolder,
    check,
    holds_at,
    may_read,
    may_read_updates,
    scopes_of,
)
from patchtide.domain.access.proofs import SignInAgain
from patchtide.domain.access.rights import LIST, Kind, Right, Verb, holds
from patchtide.domain.access.rights import right as right_of
from patchtide.domain.access.second_factor import SecondFactorNeeded
from patchtide.domain.catalog.rule_mistakes import Mistake
from patchtide.domain.errors import InvalidDocument, PatchtideError, Problem, Unauthenticated
from patchtide.server.context import Context
from patchtide.server.four_eyes import Proposed
from patchtide.server.session_holders import holder_of
from patchtide.server.showing_keys import AskedFor, to_show
from patchtide.server.table import SAFE_METHODS, Operation, Plane, Table, perform

T = TypeVar("T")
log = logging.getLogger(__name__)

Endpoint = Callable[[Scope, Receive, Send], Awaitable[None]]


class ProofNeeded(Exception):
    """What a form wants waits for a proof. No page shows it as a refusal of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What pages are made with."""

    context: Context
    table: Table
    templates: Templates
    static: StaticFiles
    rows: FleetRows
    narrowed_rows: NarrowedRows
    pulse: Pulse
    waiting: Waiting
    status_of: Callable[[PatchtideError], int]
    mistakes_in: Callable[[str], Sequence[Mistake]]
    """What is wrong with the definition of a custom update."""
    narrowing: frozenset[Policy]
    """The rights of what can be done by whoever has them for some machines only."""

    def may_read(self, visit: Visit, kind: Kind) -> bool:
        principal = visit.principal
        return isinstance(principal, SessionHolder) and may_read(principal.rights, kind)

    def may_read_updates(self, visit: Visit) -> bool:
        """Say whether there is any update that she may read, if only those on a list."""
        principal = visit.principal
        return isinstance(principal, SessionHolder) and may_read_updates(principal.rights)

    def may_read_everywhere(self, visit: Visit, kind: Kind) -> bool:
        principal = visit.principal
        needed = Right(kind, Verb.READ)
        return isinstance(principal, SessionHolder) and holds(principal.rights, needed)

    def within(self, principal: Principal, page: Operation) -> Desk:
        """Return the desk with only those machines that the visitor may see on that page."""
        scopes = scopes_of(principal, page.needs, narrows_updates=page.narrows_updates)
        context = self.context.within(scopes)
        if context is self.context:
            return self
        return replace(self, context=context, rows=self.narrowed_rows.of(context.fleet))

    async def of_fleet(self, question: Callable[[], T]) -> T:
        """Ask the fleet, in one of its own threads."""
        return await self.context.fleet.run(question)

    async def ask(self, visit: Visit, operation: str, /, **values: Any) -> Any:
        """Perform an operation as the visitor; rights are checked there.

        Raises:
            InvalidDocument: a value is out of the bounds of the operation's input.
            ProofNeeded: the visitor must prove anew who she is.
        """
        declared = self.table[operation]
        try:
            asked = msgspec.convert(values, declared.input, strict=False)
        except msgspec.ValidationError as error:
            what, _, place = str(error).partition(" - at `$.")
            raise InvalidDocument([Problem(place.rstrip("`") or "form", what)]) from error
        try:
            return await perform(self.context, declared, principal=visit.principal, asked=asked)
        except SignInAgain as error:
            raise ProofNeeded from error

    def page(self, visit: Visit, template: str, /, *, status: int = 200, **values: Any) -> Reply:
        """Render a template of a whole page; what it needs to know of the visitor is added."""
        holder = visit.principal if isinstance(visit.principal, SessionHolder) else None
        rights = holder.rights if holder else frozenset()

        def may_everywhere(right: str) -> bool:
            return holds(rights, right_of(right))

        def may(right: str) -> bool:
            wanted = right_of(right)
            within = wanted in self.narrowing and not visible(rights, wanted).is_nothing
            return holds(rights, wanted) or within

        def may_at(right: str, place: str) -> bool:
            return holds_at(rights, right_of(right), place)

        known = {
            "visit": visit,
            "user": holder,
            "may": may,
            "may_everywhere": may_everywhere,
            "may_at": may_at,
            "fills_lists": any(
                may_at("catalog.modify", r.within) for r in rights if r.within.startswith(LIST)
            ),
            "kinds": frozenset(kind.value for kind in Kind if may_read(rights, kind)),
            "sees_updates": may_read_updates(rights),
            "whole": frozenset(k.value for k in Kind if holds(rights, Right(k, Verb.READ))),
            "form_token": visit.form_token,
            "done": done(visit.query.get("done", "")),
            "nonce": (nonce := secrets.token_urlsafe(16)),
        }
        body = self.templates.render(template, {**known, **values})
        return Reply(status=status, body=body, nonce=nonce)


Serve = Callable[[Desk, Visit], Awaitable[Reply]]


class Page:
    """One declared page or form."""

    def __init__(self, operation: Operation, serve: Serve, desk: Desk) -> None:
        self._operation = operation
        self._serve = serve
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._reply(scope, receive)).send(send)

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        visit = _stranger(scope)
        try:
            visit, what_is_open = await asyncio.gather(
                self._visit(scope, receive), self._what_is_open(scope)
            )
            page = self._operation
            check(
                visit.principal,
                page.policy,
                narrows=page.narrows,
                narrows_updates=page.narrows_updates,
            )
            waiting = await self._desk.waiting.number_for(self._desk, visit, what_is_open)
            visit = replace(visit, waiting=waiting)
            reply = await self._serve(self._desk.within(visit.principal, self._operation), visit)
        except Proposed as outcome:
            return see_other(f"/proposals/{outcome.proposal.id}?done=proposed")
        except ProofNeeded:
            return await ask_for_proof(self._desk, visit, to=visit.path)
        except PatchtideError as error:
            return refusal(self._desk, visit, error)
        except Exception:  # one request must not end the others'
            log.exception("page failed", extra={"path": scope["path"]})
            return refusal(self._desk, visit, PatchtideError())
        return reply.with_cookie(VISITOR, visit.secret) if visit.is_new_visitor else reply

    async def _what_is_open(self, scope: Scope) -> What:
        """Return what may wait for the visitor; a part of a page says nothing of that."""
        headers = headers_of(scope)
        if headers.get(PART) == "true" or not cookie_of(headers, SESSION):
            return NOTHING
        return await self._desk.waiting.what_is_open(self._desk)

    async def _visit(self, scope: Scope, receive: Receive) -> Visit:
        headers = headers_of(scope)
        changes = self._operation.method not in SAFE_METHODS
        if changes:
            check_origin(headers)
        session, visitor = cookie_of(headers, SESSION), cookie_of(headers, VISITOR)
        secret = session or visitor or new_secret()
        principal = await self._principal(headers, session)
        form: Mapping[str, tuple[str, ...]] = {}
        if changes:
            kind, limit = headers.get("content-type", ""), FORM_BYTES
            if isinstance(principal, SessionHolder):  # of strangers nobody reads megabytes
                limit += self._operation.largest_file
            form = await form_of(receive, kind=kind, limit=limit)
            check_token(next(iter(form.get(FORM_TOKEN, ())), ""), session or visitor)
        return _visit_of(
            scope,
            headers,
            secret=secret,
            principal=principal,
            form=form,
            is_new_visitor=not session and not visitor,
        )

    async def _principal(self, headers: Mapping[str, str], session: str) -> Any:
        if not session:
            return Anonymous()
        try:
            is_use = BACKGROUND not in headers
            return await holder_of(self._desk.context, session, is_use=is_use)
        except Unauthenticated:
            return Anonymous()


def refusal(desk: Desk, visit: Visit, error: PatchtideError) -> Reply:
    """Return the page that says what went wrong; of what was not expected, nothing but that."""
    if type(error) is Unauthenticated:
        return _to_sign_in(visit, "/sign-in")
    if isinstance(error, SecondFactorNeeded):
        return _to_sign_in(visit, "/key")
    status = desk.status_of(error)
    shown = error if status != 500 else PatchtideError()
    template = "refusal_part.html" if visit.wants_fragment else "refusal.html"
    return desk.page(visit, template, status=status, error=shown, code=status)


async def ask_for_proof(
    desk: Desk, visit: Visit, *, to: str, error: PatchtideError | None = None
) -> Reply:
    """Return the page that asks who sits there, and then sends the form on to where it was sent."""
    asked = AskedFor()
    if isinstance(visit.principal, SessionHolder) and visit.principal.has_key:
        asked = await to_show(desk.context, visit.principal, host=visit.host)
    fields = going_on(visit.form)
    status = 200 if error is None else desk.status_of(error)
    return desk.page(
        visit, "prove.html", status=status, to=to, fields=fields, asked=asked, error=error
    )


def _stranger(scope: Scope) -> Visit:
    return _visit_of(scope, {}, secret=new_secret(), principal=Anonymous(), form={})


def _visit_of(
    scope: Scope,
    headers: Mapping[str, str],
    *,
    secret: str,
    principal: Any,
    form: Mapping[str, tuple[str, ...]],
    is_new_visitor: bool = False,
) -> Visit:
    peer = scope.get("client")
    return Visit(
        method=scope["method"],
        path=scope["path"],
        query=query_of(scope) if headers else {},
        raw_query=scope["query_string"].decode("ascii", "replace"),
        parameters=scope.get("path_params", {}),
        headers=headers,
        peer=peer[0] if peer else "",
        secret=secret,
        principal=principal,
        form=form,
        is_new_visitor=is_new_visitor,
    )


def _to_sign_in(visit: Visit, door: str) -> Reply:
    if visit.wants_fragment:
        # The script keeps what is being read on the screen, and offers the way to sign in.
        return Reply(status=401)
    is_worth_it = visit.method in SAFE_METHODS and visit.path != "/"
    query = f"?{urlencode({'next': visit.address})}" if is_worth_it else ""
    return see_other(f"{door}{query}")


class Console:
    """The pages by name of their operation, and a page for what goes wrong outside of them."""

    def __init__(self, pages: Mapping[str, Serve], desk: Desk) -> None:
        self._desk = desk
        self.endpoints: dict[str, Endpoint] = {
            operation.name: Page(operation, pages[operation.name], desk)
            for operation in desk.table
            if operation.plane is Plane.CONSOLE
        }

    async def refuse(self, scope: Scope, send: Send, error: PatchtideError) -> None:
        """Tell a person what a program would get as a document."""
        await refusal(self._desk, _stranger(scope), error).send(send)
