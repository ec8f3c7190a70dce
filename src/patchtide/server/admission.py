"""Who is calling: the signature of an agent's request, checked against its standing.

Identity comes from the verified key and nothing else; no header or body field is believed.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from patchtide.domain.errors import PatchtideError, TooMuch
from patchtide.server.ports.clients import ClientState
from patchtide.server.standings import Entry, Standings
from patchtide.wire.messages import AgainV1, JumpV1
from patchtide.wire.request_signature import (
    BadSignature,
    Flaw,
    Request,
    SignatureClaim,
    answer_base,
    claimed_key,
    read_signature,
)

Headers = Iterable[tuple[bytes, bytes]]
Foreseen = tuple[int, bytes]
"""Status of an answer, and what of it is signed."""


class Verify(Protocol):
    """Says whether a signature verifies; if it does, it may sign the answer in the same go."""

    def __call__(
        self, public_key: bytes, signature: bytes, message: bytes, answer: bytes = b""
    ) -> Awaitable[bool | bytes]: ...


JUMP_AHEAD = 1000
# A valid public key that belongs to no client: RFC 8032's first example.
_NOBODY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
PER_S = 1.0
BURST = 30.0
_CLOCK_FLAWS = frozenset({Flaw.TOO_OLD, Flaw.FROM_THE_FUTURE})


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified client and the claim that its request made."""

    entry: Entry
    claim: SignatureClaim
    signed: tuple[bytes, bytes] | None = None
    """What was signed already of the answer that was foreseen, and its signature."""


class SayAgain(PatchtideError):
    """The request must be made anew, with a newer time."""

    code = "say-again"

    def __init__(self, answer: AgainV1, signature: bytes) -> None:
        self.answer = answer
        self.request_signature = signature
        super().__init__(answer.reason)


class Jump(PatchtideError):
    """The counter lies in the past: the client must go on from a higher one."""

    code = "counter-jump"

    def __init__(self, answer: JumpV1) -> None:
        self.answer = answer
        super().__init__()


class NotAdmitted(PatchtideError):
    """This machine is not admitted: it waits for approval or is quarantined."""

    code = "not-admitted"

    def __init__(self, state: ClientState) -> None:
        self.state = state
        super().__init__(f"the machine is {state}")


class Door:
    """Admits requests of enrolled machines."""

    def __init__(
        self,
        standings: Standings,
        verify: Verify,
        *,
        authorities: frozenset[str],
        started: float,
        per_s: float = PER_S,
        burst: float = BURST,
    ) -> None:
        self._standings = standings
        self._verify = verify
        self._authorities = authorities
        self._started = started
        self._per_s = per_s
        self._burst = burst

    def read(self, request: Request, headers: Headers, *, now: float) -> SignatureClaim:
        """Return the claim; a clock that is off gets a signed time to compute its offset from.

        Raises:
            SayAgain: only the time is wrong.
            BadSignature: anything else.
        """
        try:
            return read_signature(request, headers, authorities=self._authorities, now=now)
        except BadSignature as refused:
            if refused.flaw in _CLOCK_FLAWS:
                answer = AgainV1(now=now, reason=refused.flaw.value)
                raise SayAgain(answer, refused.signature) from refused
            raise

    def claimed_by(self, headers: Headers) -> bytes | None:
        """Return which machine a request says that it is of, if one is known by that name.

        Nothing of that is verified.
        """
        try:
            uuid = UUID(claimed_key(headers)).bytes
        except ValueError:
            return None
        return uuid if self._standings.find(uuid) else None

    async def admit(
        self, request: Request, headers: Headers, *, now: float, foreseen: Foreseen | None = None
    ) -> Caller:
        """Return the caller, verified and within its rate.

        `foreseen` is what will most likely be answered: it may be signed where the request's
        signature is verified.

        Raises:
            BadSignature: not signed by a client of this site in the frozen profile.
            NotAdmitted: the key is known, but may not speak now.
            TooMuch: the client calls more often than its share.
            Unavailable: too many unknown machines call.
        """
        claim = self.read(request, headers, now=now)
        uuid = _uuid_of(claim.key_id)
        entry = self._standings.find(uuid) or await self._standings.look_up(uuid)
        # A stranger is refused in the same words and the same time as a forger (S09).
        key = _NOBODY if entry is None else entry.public_key
        base = b"" if foreseen is None else _base_of(foreseen, claim.signature)
        verdict = await self._verify(key, claim.signature, claim.base, base)
        if not verdict or entry is None:
            if entry is not None:
                await self._standings.look_up(uuid)
            raise BadSignature(Flaw.FORGED)
        if entry.state is ClientState.DECOMMISSIONED:
            raise BadSignature(Flaw.UNKNOWN_KEY)  # it is nobody's key any more (S43)
        if entry.state is not ClientState.ACTIVE:
            raise NotAdmitted(entry.state)
        if not entry.may_call(now, per_s=self._per_s, burst=self._burst):
            raise TooMuch
        return Caller(entry, claim, (base, verdict) if isinstance(verdict, bytes) else None)

    def take_counter(self, caller: Caller, *, now: float) -> None:
        """Use the request's counter up, for requests whose answer is not kept in the database.

        Raises:
            SayAgain: made before this node started; it cannot know whether it was used.
            Jump: used already, or far behind: a restored machine, a clone or a replay.
        """
        if caller.claim.created < int(self._started):
            reason = "made-before-this-node-started"
            raise SayAgain(AgainV1(now=now, reason=reason), caller.claim.signature)
        if not caller.entry.take_counter(caller.claim.counter):
            raise self.jump(caller.entry)

    @staticmethod
    def jump(entry: Entry, *, at_least: int = 0) -> Jump:
        expected = max(entry.counter, at_least) + JUMP_AHEAD
        return Jump(JumpV1(expected=expected, nonce=secrets.token_bytes(16)))


def _base_of(foreseen: Foreseen, request_signature: bytes) -> bytes:
    status, body = foreseen
    return answer_base(request_signature=request_signature, status=status, body=body)


def _uuid_of(key_id: str) -> bytes:
    try:
        return UUID(key_id).bytes
    except ValueError as error:
        raise BadSignature(Flaw.UNKNOWN_KEY) from error
