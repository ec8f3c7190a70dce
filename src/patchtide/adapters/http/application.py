"""The web application, built from the operation table: an undeclared route cannot exist.

Each path is one route, and each route one endpoint that knows which methods are declared.
Whatever is not declared is not found, in whatever spelling.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import nullcontext
from dataclasses import replace
from time import monotonic
from typing import Any

import msgspec
from starlette.routing import Route, Router

from patchtide.adapters.http.api import Endpoint, Receive, Scope, Send, UseCase, send_reply
from patchtide.adapters.http.limits import Buckets, Rates, caller_key
from patchtide.adapters.http.noting import GONE, NONE, OPERATION, Answered, unnoted
from patchtide.adapters.http.openapi import describe
from patchtide.adapters.http.problems import Headers, Reply, WrongMethod, reply_of
from patchtide.adapters.http.sign_in import SignIn
from patchtide.domain.access.principals import Gate, Principal
from patchtide.domain.errors import NotFound, PatchtideError
from patchtide.server.context import Call, Context
from patchtide.server.people_first import PeopleFirst
from patchtide.server.table import SAFE_METHODS, Nothing, Operation, Plane, Table

Tell = Callable[[Scope, Send, PatchtideError], Awaitable[None]]
log = logging.getLogger(__name__)

DESCRIPTION = "site.description"
_NOSNIFF = (b"x-content-type-options", b"nosniff")
AGENTS_HEADERS: Headers = [_NOSNIFF]
"""Agents are no browsers, and a machine with nothing new has a budget of bytes."""
HEADERS: Headers = [
    _NOSNIFF,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
_HSTS = (b"strict-transport-security", b"max-age=31536000")
_PLANE = "patchtide.plane"


class NotServed(PatchtideError):
    """The operation table and what is served are not the same."""

    code = "not-served"


def build_application(
    table: Table,
    handlers: Mapping[str, Endpoint],
    *,
    context: Context,
    rates: Rates | None = None,
    tell: Tell | None = None,
    answered: Answered = unnoted,
    people: PeopleFirst | None = None,
) -> Application:
    """Return the application.

    `handlers` serve, by name, the operations that are declared without a use case, and all of
    the console's. `tell` tells people what programs get as a document. `answered` hears of each
    request that was. `people` is told while somebody waits for a page.

    Raises:
        NotServed: an operation nobody serves, or a handler for one that nobody declared.
    """
    sign_in = SignIn(context.api_tokens, rates or Rates())
    _check_handlers(table, handlers)
    visitors, people = Buckets((rates or Rates()).holder), people or PeopleFirst()
    served: dict[str, Endpoint] = dict(handlers)
    for operation in table:
        if operation.plane is Plane.CONSOLE:
            served[operation.name] = _paced(handlers[operation.name], visitors, people)
            continue
        if operation.name == DESCRIPTION:
            operation = replace(operation, handler=_description_of(table))
        if operation.handler is not None:
            served[operation.name] = UseCase(operation, context=context, sign_in=sign_in)
    routes = [
        Route(path, endpoint=Path(methods, served, context=context))
        for path, methods in table.paths().items()
    ]
    return Application(routes, tell=tell, answered=answered)


def _paced(endpoint: Endpoint, visitors: Buckets, people: PeopleFirst) -> Endpoint:
    async def paced(scope: Scope, receive: Receive, send: Send) -> None:
        visitors.take(caller_key(scope.get("client")))
        # Of what brings a body, the sender says how long it takes.
        with people.serving() if scope["method"] in SAFE_METHODS else nullcontext():
            await endpoint(scope, receive, send)

    return paced


def _check_handlers(table: Table, handlers: Mapping[str, Endpoint]) -> None:
    needed = {o.name for o in table if _needs_handler(o)}
    missing, extra = sorted(needed - handlers.keys()), sorted(handlers.keys() - needed)
    if missing or extra:
        raise NotServed(f"nobody serves {missing}; nobody declared {extra}")


def _needs_handler(operation: Operation) -> bool:
    if operation.plane is Plane.CONSOLE:
        return True
    return operation.handler is None and operation.name != DESCRIPTION


def _description_of(table: Table) -> Callable[[Call, Principal, Nothing], Awaitable[msgspec.Raw]]:
    @functools.cache
    def document() -> msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(describe(table)))

    async def description(call: Call, principal: Principal, asked: Nothing) -> msgspec.Raw:
        return document()

    return description


class Path:
    """One address: its declared methods, HEAD where there is GET, OPTIONS, nothing else."""

    def __init__(
        self, methods: Mapping[str, Operation], served: Mapping[str, Endpoint], *, context: Context
    ) -> None:
        self._endpoints = {method: served[o.name] for method, o in methods.items()}
        self._names = {method: o.name for method, o in methods.items()}
        if "GET" in self._endpoints:
            self._endpoints["HEAD"] = self._endpoints["GET"]
            self._names["HEAD"] = self._names["GET"]
        self._allowed = ", ".join(sorted({*self._endpoints, "OPTIONS"}))
        self._plane = next(iter(methods.values())).plane
        self._only_once = any(o.policy is Gate.ONE_TIME_CODE for o in methods.values())
        self._code = context.bootstrap_code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_PLANE] = self._plane
        if self._plane is not Plane.AGENTS and _is_disguised(scope):
            raise NotFound
        endpoint = self._endpoints.get(scope["method"])
        if self._only_once and (endpoint is None or not self._code.is_open):
            raise NotFound
        if endpoint is not None:
            scope[OPERATION] = self._names[scope["method"]]
            await endpoint(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await send_reply(send, Reply(status=204, headers=[(b"allow", self._allowed.encode())]))
        else:
            raise WrongMethod(self._allowed)


def _is_disguised(scope: Scope) -> bool:
    """Say whether the path was spelt with escapes: none of ours needs any."""
    raw = scope.get("raw_path")
    return raw is not None and raw.partition(b"?")[0] != scope["path"].encode()


class Application:
    """The outermost: routes, and turns whatever goes wrong into a problem document."""

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        tell: Tell | None = None,
        answered: Answered = unnoted,
    ) -> None:
        self.routes = tuple(routes)
        self._answered = answered
        self._tell = tell
        self._router = Router(self.routes, redirect_slashes=False, default=_not_found)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._router(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(scope, send, tell=self._tell)
        began = monotonic()
        try:
            await self._router(scope, receive, answer)
        except PatchtideError as error:
            await answer.refuse(error)
        except Exception as error:  # one request must not end the others'
            log.exception("request failed", extra={"path": scope["path"]})
            await answer.refuse(PatchtideError(), cause=error)
        finally:
            self._answered(scope.get(OPERATION, NONE), answer.status, monotonic() - began)


def _is_for_people(scope: Scope) -> bool:
    """Say whether a browser goes there for somebody to read it."""
    if scope.get(_PLANE) not in (None, Plane.CONSOLE):
        return False
    said = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return b"text/html" in said


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotFound


class _Answer:
    """Sends with the security headers of the plane; a HEAD gets no body."""

    def __init__(self, scope: Scope, send: Send, *, tell: Tell | None) -> None:
        self._scope = scope
        self._send = send
        self._tell = tell
        self._started = False
        self.status = GONE

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self._extra(message["headers"])]
        elif message["type"] == "http.response.body" and self._scope["method"] == "HEAD":
            message["body"] = b""
        await self._send(message)

    async def refuse(self, error: PatchtideError, *, cause: Exception | None = None) -> None:
        if self._started:
            # Too late for another status: the broken answer must not look whole.
            raise cause or error
        if self._tell is not None and _is_for_people(self._scope):
            await self._tell(self._scope, self, error)
        else:
            await send_reply(self, reply_of(error))

    def _extra(self, given: Headers) -> Headers:
        if self._scope.get(_PLANE) is Plane.AGENTS:
            return AGENTS_HEADERS
        names = {name.lower() for name, _ in given}
        extra = [pair for pair in HEADERS if pair[0] not in names]
        return [*extra, _HSTS] if self._scope.get("scheme") == "https" else extra
