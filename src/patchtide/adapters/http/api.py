"""The administrators' plane: one ASGI endpoint per operation, all alike: parse, call, answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec

from patchtide.adapters.http.inputs import check_media_type, read_input
from patchtide.adapters.http.limits import body_of, caller_key, parts_of
from patchtide.adapters.http.problems import Reply
from patchtide.adapters.http.sign_in import SignIn
from patchtide.domain.access.principals import check
from patchtide.domain.errors import NotFound
from patchtide.server.context import Context
from patchtide.server.four_eyes import Proposed, waiting
from patchtide.server.table import File, Operation, perform

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Endpoint = Callable[[Scope, Receive, Send], Awaitable[None]]

PART_BYTES = 256 << 10
_JSON = (b"content-type", b"application/json")


class UseCase:
    """Serves one operation over HTTP."""

    def __init__(self, operation: Operation, *, context: Context, sign_in: SignIn) -> None:
        self._operation = operation
        self._context = context
        self._sign_in = sign_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(scope, receive)
        if isinstance(answer, File):
            await send_file(send, answer)
        else:
            await send_reply(send, answer)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply | File:
        operation = self._operation
        principal = await self._sign_in.principal(
            scope["headers"], caller=caller_key(scope.get("client")), policy=operation.policy
        )
        # `perform` checks again; here it keeps a stranger's input from being read at all.
        at = operation.place(scope["path_params"].get("name", ""))
        for policy in operation.needs:
            check(
                principal,
                policy,
                narrows=operation.narrows,
                narrows_updates=operation.narrows_updates,
                at=at,
            )
        body = b""
        if not operation.takes_file:
            body = await body_of(receive, limit=operation.largest_body)
            check_media_type(scope["headers"], body)
        asked = read_input(
            operation.input,
            path=scope["path_params"],
            query=scope["query_string"],
            body=body,
            in_body=not operation.asks_in_address,
        )
        try:
            answer = await perform(
                self._context,
                operation,
                principal=principal,
                asked=asked,
                body=parts_of(receive) if operation.takes_file else None,
            )
        except Proposed as outcome:
            return json_reply(202, msgspec.json.encode(waiting(outcome)))
        except NotFound as error:
            raise _naming(error, scope["path_params"]) from error
        if answer is None:
            return Reply(status=operation.status, headers=[])
        if isinstance(answer, File):
            return answer
        if isinstance(answer, bytes):
            return _plain_reply(operation, answer)
        return json_reply(operation.status, msgspec.json.encode(answer))


async def send_file(send: Send, file: File) -> None:
    with file.body as body:
        size = await asyncio.to_thread(body.seek, 0, os.SEEK_END)
        await asyncio.to_thread(body.seek, 0)
        disposition = f'attachment; filename="{file.name}"'
        headers = [
            (b"content-type", file.media_type.encode()),
            (b"content-length", str(size).encode()),
            (b"content-disposition", disposition.encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while part := await asyncio.to_thread(body.read, PART_BYTES):
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _naming(error: NotFound, named: Mapping[str, str]) -> NotFound:
    """Say what there is nothing of, where whoever looked for it did not."""
    if str(error) != NotFound.__doc__ or not named:
        return error
    return NotFound(f"nothing is known here as {' or '.join(named.values())}")


def _plain_reply(operation: Operation, body: bytes) -> Reply:
    headers = [
        (b"content-type", operation.media_types[0].encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    return Reply(status=operation.status, headers=headers, body=body)


def json_reply(status: int, body: bytes) -> Reply:
    length = (b"content-length", str(len(body)).encode())
    return Reply(status=status, headers=[_JSON, length], body=body)


async def send_reply(send: Send, reply: Reply) -> None:
    start = {"type": "http.response.start", "status": reply.status, "headers": reply.headers}
    await send(start)
    await send({"type": "http.response.body", "body": reply.body})
