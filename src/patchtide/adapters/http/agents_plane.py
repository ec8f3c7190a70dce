"""The agents' plane over HTTP, where nearly all of a fleet's requests come.

Each dynamic request is verified, answered and signed in one pass. A request that came whole is
answered past the application (`whole`), any other as an ASGI application (`handlers`). Whatever
is refused before a signature was verified costs next to nothing.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from patchtide.adapters.http.agents_answers import TYPE, Answer, come_back, refusal
from patchtide.adapters.http.api import Receive, Scope, Send, send_reply
from patchtide.adapters.http.exchange import AnswerWhole, Handed
from patchtide.adapters.http.limits import caller_key
from patchtide.adapters.http.problems import Headers, Reply, TooLarge
from patchtide.domain.errors import (
    PatchtideError,
    Unavailable,
)
from patchtide.server.admission import Caller, Door, Foreseen
from patchtide.server.checkins import CheckIns
from patchtide.server.crowd import Crowd
from patchtide.server.enrolment import Enrolment
from patchtide.server.people_first import PeopleFirst
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.site import Site
from patchtide.server.reports import ReportIntake
from patchtide.wire.messages import CheckInV1, EnrolV1, InventoryV1, ReportV1, decode, encode
from patchtide.wire.request_signature import Request, answer_base, brief

ENROL_LIMIT = 64 << 10
CHECKIN_LIMIT = 64 << 10
REPORT_LIMIT = 4 << 20
INVENTORY_LIMIT = 4 << 20
FREE_BODY = 16 << 10
LARGE_BODIES_LIMIT = 64 << 20
"""What bodies still being read may hold together beyond `FREE_BODY` each: nobody knows yet
whether whoever sends them is a machine of this site."""
LARGE_SHARES = 8
"""One address may hold an eighth of it."""
FAILED_ENROLMENTS_PER_MIN = 30
ENROLLING_AT_ONCE = 100
"""Of one address, known for failing or not: it may not take all places for unknown tokens."""


@dataclass(frozen=True, slots=True)
class _Call:
    request: Request
    headers: Headers
    peer: str


class AgentsPlane:
    """The dynamic requests of agents, by operation name."""

    def __init__(
        self,
        *,
        door: Door,
        enrolment: Enrolment,
        checkins: CheckIns,
        intake: ReportIntake,
        site: Site,
        clock: Clock,
        people: PeopleFirst | None = None,
        capacity_per_s: float = 500.0,
    ) -> None:
        self._door = door
        self._enrolment = enrolment
        self._checkins = checkins
        self._intake = intake
        self._site = site
        self._clock = clock
        self._people = people or PeopleFirst()
        self._crowd = Crowd(capacity_per_s=capacity_per_s)
        self._large: dict[str, int] = {}
        self._large_in_all = 0
        self._failed: dict[str, tuple[int, int]] = {}
        self._enrolling: Counter[str] = Counter()
        self._operations: dict[str, tuple[int, Callable[[_Call], Awaitable[Answer]]]] = {
            "agents.enrol": (ENROL_LIMIT, self._enrol),
            "agents.checkin": (CHECKIN_LIMIT, self._checkin),
            "agents.report": (REPORT_LIMIT, self._report),
            "agents.inventory": (INVENTORY_LIMIT, self._inventory),
        }

    def handlers(self) -> dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]]:
        """Return an ASGI application per operation, for the operation table to route to."""
        return {name: self._application(name) for name in self._operations}

    def whole(self) -> dict[str, AnswerWhole]:
        """Return per operation what answers requests that have been read already."""
        return {name: self._whole(name) for name in self._operations}

    def _application(self, name: str) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        limit, work = self._operations[name]

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            peer = (scope.get("client") or ("",))[0]
            try:
                body = await self._body_of(receive, limit, peer=caller_key((peer, 0)))
                request = request_of(
                    scope["headers"],
                    method=scope["method"],
                    path=scope["raw_path"],
                    query=scope["query_string"],
                    body=body,
                )
            except PatchtideError as error:
                reply = self._signed(refusal(error))
            else:
                reply = await self._reply(_Call(request, scope["headers"], peer), work)
            await send_reply(send, reply)

        return application

    def _whole(self, name: str) -> AnswerWhole:
        _, work = self._operations[name]

        def answer(asked: Handed) -> Awaitable[Reply]:
            request = request_of(
                asked.headers,
                method=asked.method,
                path=asked.raw_path,
                query=asked.query,
                body=asked.body,
            )
            return self._reply(_Call(request, asked.headers, asked.peer), work)

        return answer

    async def _reply(self, call: _Call, work: Callable[[_Call], Awaitable[Answer]]) -> Reply:
        caller = self._door.claimed_by(call.headers) if self._crowd.is_full else None
        wait = self._crowd.enter(monotonic(), caller)
        if wait is not None:
            return self._signed(come_back(wait))
        counts = False
        try:
            async with self._people.giving_way():
                answer = await work(call)
            counts = True
        except _Signed as refused:
            answer, counts = refusal(refused.error, refused.signature), refused.is_verified
        except PatchtideError as error:
            answer = refusal(error)
        finally:
            self._crowd.leave(monotonic(), counts=counts)
        return self._signed(answer)

    async def _body_of(self, receive: Receive, limit: int, *, peer: str) -> bytes:
        message = await receive()
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise TooLarge
        if not message.get("more_body"):
            return body
        return await self._rest_of(body, receive, limit, peer=peer)

    async def _rest_of(self, first: bytes, receive: Receive, limit: int, *, peer: str) -> bytes:
        parts, size, large, more = [first], len(first), 0, True
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise TooLarge("the connection ended within the body")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                more = bool(message.get("more_body"))
                if size > limit:
                    raise TooLarge
                grown = max(0, size - FREE_BODY) - large
                large += grown
                self._grow(peer, grown)
        finally:
            self._shrink(peer, large)
        return b"".join(parts)

    def _grow(self, peer: str, by: int) -> None:
        """Note that half-read bodies take more memory: of everybody, and of one address."""
        self._large[peer] = self._large.get(peer, 0) + by
        self._large_in_all += by
        of_one = self._large[peer] * LARGE_SHARES
        if max(of_one, self._large_in_all) > LARGE_BODIES_LIMIT:
            raise Unavailable("too many large requests at once")

    def _shrink(self, peer: str, by: int) -> None:
        left = self._large.get(peer, 0) - by
        self._large_in_all -= by
        if left > 0:
            self._large[peer] = left
        else:
            self._large.pop(peer, None)

    async def _enrol(self, call: _Call) -> Answer:
        now = self._clock.now()
        peer = caller_key((call.peer, 0))
        minute = int(now.timestamp()) // 60
        failures = self._failures(peer, minute)
        # Who has failed lately may not try the rest all at once, either.
        if failures and failures + self._enrolling.get(peer, 0) >= FAILED_ENROLMENTS_PER_MIN:
            return Answer(429, b"", ((b"retry-after", b"60"),))
        if self._enrolling.get(peer, 0) >= ENROLLING_AT_ONCE:
            raise Unavailable("too many machines of this address enrol at once")
        claim = self._door.read(call.request, call.headers, now=now.timestamp())
        asked = decode(call.request.body, EnrolV1)
        self._enrolling[peer] += 1
        try:
            enrolled = await self._enrolment.enrol(asked, claim, now=now)
        except PatchtideError as error:
            if not isinstance(error, Unavailable):  # our own trouble is not theirs
                self._failed[peer] = (minute, self._failures(peer, minute) + 1)
            raise _Signed(error, claim.signature, is_verified=False) from error
        finally:
            self._enrolling[peer] -= 1
            if not self._enrolling[peer]:
                del self._enrolling[peer]
        return Answer(200, encode(enrolled), (TYPE,), claim.signature)

    def _failures(self, peer: str, minute: int) -> int:
        if len(self._failed) > 10_000:
            self._failed = {p: f for p, f in self._failed.items() if f[0] == minute}
        at, count = self._failed.get(peer, (minute, 0))
        return count if at == minute else 0

    async def _checkin(self, call: _Call) -> Answer:
        named = self._door.claimed_by(call.headers)
        told = self._checkins.told.settings_of(named) if named else self._checkins.told.usual()
        no_news = brief(poll_s=told.poll_s, root_version=self._site.root()[0])
        caller = await self._admit(call, foreseen=(204, no_news))
        try:
            news = await self._checkins.answer(caller, decode(call.request.body, CheckInV1))
        except PatchtideError as error:
            raise _Signed(error, caller.claim.signature) from error
        if news is None:
            return self._no_news(caller)
        return Answer(200, encode(news), (TYPE,), caller.claim.signature)

    async def _report(self, call: _Call) -> Answer:
        caller = await self._admit(call, foreseen=(202, b""))
        try:
            await self._intake.take(caller, decode(call.request.body, ReportV1))
        except PatchtideError as error:
            raise _Signed(error, caller.claim.signature) from error
        return Answer(202, b"", (), caller.claim.signature, signed=caller.signed)

    async def _inventory(self, call: _Call) -> Answer:
        caller = await self._admit(call)
        try:
            await self._intake.take_inventory(caller, decode(call.request.body, InventoryV1))
        except PatchtideError as error:
            raise _Signed(error, caller.claim.signature) from error
        return Answer(202, b"", (), caller.claim.signature)

    async def _admit(self, call: _Call, *, foreseen: Foreseen | None = None) -> Caller:
        return await self._door.admit(
            call.request,
            call.headers,
            now=self._clock.now().timestamp(),
            foreseen=foreseen,
        )

    def _no_news(self, caller: Caller) -> Answer:
        """Say when to ask again, and which root there is: who has it need not look for more."""
        poll_s = self._checkins.told.settings_of(caller.entry.uuid).poll_s
        root_version = self._site.root()[0]
        headers = (
            (b"patchtide-next-poll", str(poll_s).encode()),
            (b"patchtide-root", str(root_version).encode()),
        )
        said = brief(poll_s=poll_s, root_version=root_version)
        return Answer(204, b"", headers, caller.claim.signature, said, caller.signed)

    def _signed(self, answer: Answer) -> Reply:
        headers = list(answer.headers)
        if answer.signature:
            base = answer_base(
                request_signature=answer.signature,
                status=answer.status,
                body=answer.brief or answer.body,
            )
            # What came otherwise than was foreseen is signed for what it is.
            of, signature = answer.signed or (b"", b"")
            if of != base:
                signature = self._site.sign_answer(base)
            headers.append((b"patchtide-signature", base64.b64encode(signature)))
        if answer.status != 204:
            headers.append((b"content-length", str(len(answer.body)).encode()))
        return Reply(status=answer.status, headers=headers, body=answer.body)


class _Signed(Exception):
    """A refusal that is told in a signed answer."""

    def __init__(
        self, error: PatchtideError, signature: bytes, *, is_verified: bool = True
    ) -> None:
        self.error = error
        self.signature = signature
        self.is_verified = is_verified
        super().__init__(str(error))


def request_of(
    headers: Headers, *, method: str, path: bytes, query: bytes, body: bytes = b""
) -> Request:
    """Return the request as its signature sees it: path and query as they came."""
    hosts = [value for name, value in headers if name == b"host"]
    return Request(
        method=method,
        authority=hosts[0].decode("latin-1") if len(hosts) == 1 else "",
        path=path.decode("latin-1"),
        query=query.decode("latin-1"),
        body=body,
    )
