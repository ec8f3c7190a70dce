"""A machine asks for an identity: by token, with a key it made itself.

The request is signed by the very key it brings, so nobody enrols a key he does not hold. The
same machine asking again with the same key gets the same answer: its first one was lost.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from uuid import uuid4

from patchtide.domain.errors import Refused
from patchtide.server.admission import Verify
from patchtide.server.building import build_ends
from patchtide.server.makers import held_now
from patchtide.server.ports.clients import Client, ClientState, EnrolmentToken, NewClient
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.ports.site import Site
from patchtide.server.standings import Standings
from patchtide.server.token_book import TokenBook
from patchtide.server.token_vouching import Place, Places, nowhere, vouches
from patchtide.wire.messages import EnrolledV1, EnrolV1
from patchtide.wire.request_signature import BadSignature, Flaw, SignatureClaim

MISSES = 10
"""So many machines of other names may show a token that is for one; then it is spent."""
MISSED = "tokens.miss"
"""What it is called in the audit that one did."""
VOID = "tokens.void"
"""What it is called in the audit that nobody answers for a token any more."""
_TOKEN = re.compile(r"pt1\.([0-9a-z]{1,32})\.([0-9A-Za-z_-]{16,128})(?:\.[0-9a-f]{64})?")


class EnrolmentRefused(Refused):
    """The token is unknown, spent or expired, or this key is not welcome."""

    code = "enrolment-refused"


class TokenForAnother(EnrolmentRefused):
    """The token is for a machine of another name: take that (--name), or make another token."""

    code = "token-for-another-machine"


class TokenVoid(EnrolmentRefused):
    """Whoever made the token may not let this machine in any more: have another one made."""

    code = "token-void"


class KeySeenElsewhere(Refused):
    """This key is in use on another machine; both are quarantined."""

    code = "key-seen-elsewhere"


@dataclass(frozen=True, slots=True)
class _Enrolled:
    client: Client


@dataclass(frozen=True, slots=True)
class _Clones:
    uuids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Missed:
    """The token is for another; that it was shown is counted, so this is no exception."""


@dataclass(frozen=True, slots=True)
class _Void:
    """Nobody answers for the token; it is gone, and that is written down."""


_Outcome = _Enrolled | _Clones | _Missed | _Void


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    decisions: Decisions
    standings: Standings
    site: Site
    verify: Verify
    tokens: TokenBook
    places: Places = nowhere

    async def enrol(self, asked: EnrolV1, claim: SignatureClaim, *, now: datetime) -> EnrolledV1:
        """Return the new (or the same) identity.

        Raises:
            BadSignature: not signed by the key that it brings.
            EnrolmentRefused: the token does not admit it.
            TokenForAnother: it admits one machine, which is called otherwise.
            TokenVoid: whoever made it could not make it any more.
            KeySeenElsewhere: the key belongs to another machine.
        """
        await self._check_possession(asked, claim)
        token = _TOKEN.fullmatch(asked.token)
        if token is None:
            raise EnrolmentRefused
        secret_hash = sha256(token[2].encode()).digest()
        shown = await self.tokens.found(token[1], secret_hash)
        if shown is None:
            raise EnrolmentRefused
        place = await self.places(shown.machine) if shown.machine else Place()
        work = partial(self._decide, asked=asked, shown=shown, place=place, now=now)
        outcome = await self.decisions.decide("agent", "agents.enrol", work, now=now)
        if isinstance(outcome, _Void):
            raise TokenVoid
        if isinstance(outcome, _Missed):
            raise TokenForAnother
        if isinstance(outcome, _Clones):
            await self.standings.refresh(outcome.uuids)
            raise KeySeenElsewhere
        await self.standings.refresh([outcome.client.uuid])
        return EnrolledV1(
            client=outcome.client.uuid,
            site=self.site.name,
            root=self.site.root()[1],
            answer_key=self.site.answer_key,
            waiting=outcome.client.state is ClientState.WAITING,
        )

    async def _check_possession(self, asked: EnrolV1, claim: SignatureClaim) -> None:
        if not hmac.compare_digest(claim.key_id, sha256(asked.public_key).hexdigest()):
            raise BadSignature(Flaw.UNKNOWN_KEY)
        if not await self.verify(asked.public_key, claim.signature, claim.base):
            raise BadSignature(Flaw.FORGED)

    def _decide(
        self, tx: Transaction, *, asked: EnrolV1, shown: EnrolmentToken, place: Place, now: datetime
    ) -> _Outcome:
        alike = tx.clients_like(public_key=asked.public_key, machine=asked.machine)
        same_key = [c for c in alike if c.public_key == asked.public_key]
        if elsewhere := [c for c in same_key if c.machine != asked.machine]:
            return _quarantine(tx, elsewhere, why="the same key came from another machine")
        if same_key:
            return _Enrolled(_again(same_key[0]))
        held = held_now(tx, shown.created_by, now=now)  # before the token, as who revokes it locks
        taken = tx.use_enrolment_token(shown.id, secret_hash=shown.secret_hash, now=now)
        if taken is None or taken.site != self.site.name:
            raise EnrolmentRefused
        if not vouches(held, taken, place):
            return _void(tx, taken, asked)
        # A machine that is known under another key may be a copy: a person decides.
        double = any(c.state is not ClientState.DECOMMISSIONED for c in alike)
        waits = taken.approve or double
        new = NewClient(
            uuid=uuid4().bytes,
            name=asked.name,
            public_key=asked.public_key,
            machine=asked.machine,
            site=taken.site,
            state=ClientState.WAITING if waits else ClientState.ACTIVE,
            group=taken.group,
            platform=asked.platform,
            agent_version=asked.agent_version,
            build_until=0 if waits or alike else build_ends(tx, now),
        )
        was_expected = (_the_one if taken.machine else _one_of_that_name)(tx, new, taken, now)
        if taken.machine and was_expected is None:
            return _miss(tx, taken, asked)
        client = was_expected or _another(tx, new, now)
        said = {"name": client.name, "token": taken.id, "state": client.state.value}
        tx.note(client.uuid.hex(), **said, **({"was": "expected"} if was_expected else {}))
        return _Enrolled(client)


def _one_of_that_name(
    tx: Transaction, new: NewClient, taken: EnrolmentToken, now: datetime
) -> Client | None:
    # Whoever has a token can take any name, and with it what people said of the machine that
    # they expect, its collections and its schedule: so a person says whether this is the one.
    waiting = replace(new, state=ClientState.WAITING, build_until=0)
    return tx.enrol_expected(waiting, now=now)


def _another(tx: Transaction, new: NewClient, now: datetime) -> Client:
    # One of that name is kept for whoever brings the token made for it, so a person looks at this.
    alike = tx.clients_named({new.name, new.name.lower()})
    if any(c.state is ClientState.EXPECTED and c.site == new.site for c in alike):
        new = replace(new, state=ClientState.WAITING, build_until=0)
    return tx.add_client(new, now=now)


def _the_one(
    tx: Transaction, new: NewClient, taken: EnrolmentToken, now: datetime
) -> Client | None:
    """That this is the one said whoever made the token for it. None: it is called otherwise."""
    client = tx.enrol_expected(new, now=now, machine=taken.machine)
    if client is not None:
        return client
    meant = tx.client(taken.machine)
    if meant is None or meant.state is not ClientState.EXPECTED:
        raise EnrolmentRefused("the machine that this token is for is not expected any more")
    return None


def _miss(tx: Transaction, taken: EnrolmentToken, asked: EnrolV1) -> _Missed:
    # Whoever has the token only has to guess the name, from however many addresses and all at
    # once: so the guess and its count are one decision.
    tx.call_it(MISSED)
    tx.note(taken.id, name=asked.name, spent=tx.miss_enrolment_token(taken.id, limit=MISSES))
    return _Missed()


def _void(tx: Transaction, taken: EnrolmentToken, asked: EnrolV1) -> _Void:
    tx.call_it(VOID)
    tx.drop_enrolment_token(taken.id)
    tx.note(taken.id, name=asked.name, by=taken.created_by)
    return _Void()


def _again(client: Client) -> Client:
    if client.state in (ClientState.QUARANTINED, ClientState.DECOMMISSIONED):
        raise EnrolmentRefused
    return client


def _quarantine(tx: Transaction, clients: Sequence[Client], *, why: str) -> _Clones:
    uuids = tuple(c.uuid for c in clients)
    tx.set_client_state(uuids, ClientState.QUARANTINED)
    for client in clients:
        tx.note(client.uuid.hex(), name=client.name, state="quarantined", why=why)
    return _Clones(uuids)
