"""The administrators' plane for tests: the real application over a storage, asked as ASGI."""

from __future__ import annotations

import json
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote
from uuid import UUID, uuid5

from patchtide.adapters.authenticators.webauthn import WebAuthn
from patchtide.adapters.console.compose import build_console
from patchtide.adapters.http.application import Application, build_application
from patchtide.adapters.http.limits import Rate, Rates
from patchtide.adapters.http.problems import status_of
from patchtide.adapters.notify.metrics import Metrics
from patchtide.adapters.passwords.argon2id import Argon2Passwords
from patchtide.adapters.publisher.checking import mistakes_in
from patchtide.adapters.reports.writer import ReportFiles
from patchtide.domain.access.credentials import ApiTokenText, hash_of
from patchtide.domain.access.principals import SignedIn
from patchtide.domain.access.rights import ROLES, Right
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.errors import StaleRevision
from patchtide.server.api_tokens import CreateApiToken, RoleName
from patchtide.server.attempts import Attempts
from patchtide.server.authentication import ApiTokens
from patchtide.server.bootstrap_code import BootstrapCode
from patchtide.server.catalog_export import CatalogExports
from patchtide.server.catalog_files import CatalogExchange
from patchtide.server.catalog_import import CatalogImports
from patchtide.server.context import Context
from patchtide.server.descriptions import Descriptions
from patchtide.server.drafts import Drafted
from patchtide.server.failed_sign_ins import FailedSignIns
from patchtide.server.fleet import Fleet
from patchtide.server.held_drafts import Signatures
from patchtide.server.operations import OPERATIONS
from patchtide.server.passwords import PasswordDesk
from patchtide.server.people_first import PeopleFirst
from patchtide.server.ports.accounts import User
from patchtide.server.ports.api_tokens import ApiToken
from patchtide.server.ports.audit import AuditSegment
from patchtide.server.ports.catalog_status import PublishedShard
from patchtide.server.ports.clients import ClientState, NewClient
from patchtide.server.ports.feed import ALL, FeedContent, FeedHead, Step, Tried, Wanted
from patchtide.server.ports.notifying import Channel, Message
from patchtide.server.report_desk import ReportDesk
from patchtide.server.synchronisation import Synchronisation
from patchtide.server.synchronisation_desk import Progress, SynchronisationDesk
from patchtide.server.table import Plane, perform
from tests.integration.http.memory_files import AnyVoucher, MemoryFiles
from tests.integration.http.memory_storage import MemoryStorage
from tests.simulator.clock import START, FakeClock
from tests.simulator.templates import Compiled

CODE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
QUICK = Argon2Passwords(passes=1, memory_bytes=8192)
"""The least that the library does: tests measure no effort."""
GENEROUS = Rate(per_s=1e6, burst=1e6)
COMPILED = Compiled()
NO_LIMIT = Rates(holder=GENEROUS, anonymous=GENEROUS, failure=GENEROUS, claim=GENEROUS)


class OneShard:
    def lineage(self) -> bytes:
        return bytes(16)

    def shards(self) -> Sequence[PublishedShard]:
        at = START.timestamp()
        return [PublishedShard(name="debian-12", serial=7, leaves=3000, published_at=at)]


class EmptyFeed:
    """A feed that tells of nothing."""

    def fetch(self, wanted: Wanted = ALL) -> None:
        """There is nothing to bring."""

    def head(self) -> FeedHead:
        return FeedHead(as_of={"suite": START}, stamp=b"")

    def read(self, *, now: datetime) -> FeedContent:
        return FeedContent(shards={}, as_of={"suite": now}, stamp=b"")

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        return updates


class TwoPlaces:
    """One of them answers."""

    def try_all(self) -> Sequence[Tried]:
        lost = Tried(address="https://lost.invalid/x", step=Step.PROXY, detail="it answered 403")
        return [Tried(address="https://here.invalid/x"), lost]


class NoPublisher:
    def serials(self) -> dict[str, int]:
        return {}

    async def publish(self, *_: Any, **__: Any) -> None:
        raise AssertionError("there is nothing to publish")


class Contents:
    """Files in memory."""

    def __init__(self) -> None:
        self.whole: dict[bytes, bytes] = {}
        self.parts: dict[bytes, bytes] = {}

    def size(self, digest: bytes) -> int | None:
        return len(self.whole[digest]) if digest in self.whole else None

    def begun(self, digest: bytes) -> int:
        return len(self.parts.get(digest, b""))

    def append(self, digest: bytes, part: bytes, *, offset: int) -> None:
        if self.begun(digest) != offset:
            raise StaleRevision
        self.parts[digest] = self.parts.get(digest, b"") + part

    def finish(self, digest: bytes) -> None:
        self.whole[digest] = self.parts.pop(digest)


class NoDrafts:
    """Nothing is ever to be signed."""

    async def draft(self, actor: str, document: bytes) -> Drafted:
        return Drafted(changed=(), draft=None)

    async def sign(self, actor: str, draft: bytes, signed: bytes) -> Signatures:
        return Signatures(frozenset(), 1)


def a_desk(storage: Any, clock: FakeClock, descriptions: Descriptions) -> SynchronisationDesk:
    synchronisation = Synchronisation(
        feed=EmptyFeed(),
        reading=storage,
        decisions=storage,
        publisher=NoPublisher(),
        details=descriptions,
        clock=clock,
    )
    return SynchronisationDesk(
        synchronisation=synchronisation,
        stop=lambda: None,
        progress=Progress(),
        decisions=storage,
        lookups=storage,
        clock=clock,
        node="here",
        connections=TwoPlaces(),
    )


def an_exchange(storage: Any, catalog: Any) -> CatalogExchange:
    files, vouching = MemoryFiles(), AnyVoucher()
    return CatalogExchange(
        exports=CatalogExports(
            reading=storage,
            catalog=catalog,
            files=files,
            vouching=vouching,
            signed=lambda _: {},
            site="hq",
        ),
        imports=CatalogImports(files=files, vouching=vouching, progress=Progress(), is_read=True),
    )


class Told:
    """Notes what is sent; `fails` says how that goes wrong."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.fails: Exception | None = None

    def secret_of(self, salt: bytes) -> str:
        return salt.hex()

    def send(self, channel: Channel, message: Message) -> None:
        self.sent.append((channel.name, message))
        if self.fails is not None:
            raise self.fails


def token_text(text: str) -> ApiTokenText:
    found = ApiTokenText.read(text)
    assert found is not None
    return found


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class NothingKept:
    """An archive of the audit that has no segment yet."""

    def keep(self, segment: AuditSegment) -> None:
        raise AssertionError("nothing here keeps up an archive")

    def kept(self) -> Iterable[bytes]:
        return ()


@dataclass
class AdministratorsPlane:
    """A site with its clock, its storage and its application."""

    storage: Any = field(default_factory=MemoryStorage)
    clock: FakeClock = field(default_factory=FakeClock)
    rates: Rates = NO_LIMIT
    code: str | None = CODE
    catalog: Any = field(default_factory=lambda: OneShard())
    exchange: CatalogExchange | None = None
    desk: SynchronisationDesk | None = None
    changed: list[bytes] = field(default_factory=list)
    told: Told = field(default_factory=lambda: Told())
    content: Any = field(default_factory=lambda: Contents())
    people: PeopleFirst = field(default_factory=PeopleFirst)
    app: Application = field(init=False)

    def __post_init__(self) -> None:
        fleet = Fleet(self.storage, self.catalog, self.clock, patience_s=10)
        descriptions = Descriptions(
            feed=None,
            decisions=self.storage,
            reading=self.storage,
            fleet=fleet,
            clock=self.clock,
        )
        self.context = Context(
            decisions=self.storage,
            reading=self.storage,
            lookups=self.storage,
            clock=self.clock,
            catalog=self.catalog,
            fleet=fleet,
            api_tokens=ApiTokens(self.storage, self.clock),
            bootstrap_code=BootstrapCode(self.code),
            passwords=PasswordDesk(QUICK),
            attempts=Attempts(),
            failed_sign_ins=FailedSignIns(self.storage, self.clock),
            synchronisations=self.desk or a_desk(self.storage, self.clock, descriptions),
            descriptions=descriptions,
            exchange=self.exchange or an_exchange(self.storage, self.catalog),
            content=self.content,
            drafts=NoDrafts(),  # type: ignore[arg-type]
            exposition=Metrics().exposition,
            audit_archive=NothingKept(),
            channels=self.told,
            authenticators=WebAuthn(),
            hosts=("site.example:8540", "site.example", "127.0.0.1:8540"),
            site_name="hq",
            site_ca="ab" * 32,
            machines_changed=self.note_changed,
            report_files=ReportDesk(ReportFiles()),
        )
        agents = {o.name: _agents_answer for o in OPERATIONS if o.plane is Plane.AGENTS}
        console = build_console(
            self.context,
            OPERATIONS,
            status_of=status_of,
            mistakes_in=mistakes_in,
            compiled=COMPILED,
        )
        self.app = build_application(
            OPERATIONS,
            {**agents, **console.endpoints},
            context=self.context,
            rates=self.rates,
            tell=console.refuse,
            people=self.people,
        )

    async def note_changed(self, uuids: Sequence[bytes]) -> None:
        self.changed.extend(uuids)

    async def token(self, *, role: str = "", rights: frozenset[Right] = frozenset()) -> str:
        """Return an API token with these rights, made without the API."""
        number = len(self.storage.api_tokens()) + 1
        text = ApiTokenText(id=f"{number:012x}", secret=hash_of(f"{role}{number}").hex())
        token = ApiToken(
            id=text.id,
            name=role or "limited",
            secret_hash=hash_of(text.secret),
            rights=tuple(str(r) for r in sorted(rights | ROLES.get(role, frozenset()))),
            created_at=self.clock.now(),
            expires_at=None,
            created_by="test",
        )
        await self.storage.decide(
            "test", "test", lambda tx: tx.add_api_token(token), now=self.clock.now()
        )
        return str(text)

    async def minted(
        self, by: str | SignedIn, *, role: RoleName = "full-administrator", days: int = 90
    ) -> str:
        """Return an API token that somebody made, as a person or with a token of his own."""
        if isinstance(by, str):
            by = await self.context.api_tokens.holder(token_text(by))
        asked = CreateApiToken(name="minted", role=role, days=days)
        operation = OPERATIONS["api-tokens.create"]
        made = await perform(self.context, operation, principal=by, asked=asked)
        return str(made.token)

    async def opens(self, *tokens: str) -> list[bool]:
        """Return which of these tokens the site takes."""
        asked = [await self.ask("GET", "/api/v1/whoami", token=token) for token in tokens]
        return [answer.status == 200 for answer in asked]

    async def person(
        self,
        name: str,
        *,
        role: str = "auditor",
        is_disabled: bool = False,
        let_in_by: str = "",
        password: str = "",
    ) -> str:
        """Return the id of a person with that role, made without the API."""
        now = self.clock.now()
        user = User(
            id=hash_of(name).hex()[:12],
            name=name,
            rights=tuple(str(r) for r in sorted(ROLES.get(role, frozenset()))),
            password_hash=QUICK.hashed(password) if password else "",
            created_at=now,
            created_by="test",
            disabled_at=now if is_disabled else None,
            let_in_by=let_in_by,
        )
        await self.storage.decide("test", "test", lambda tx: tx.add_user(user), now=now)
        return user.id

    async def machine(self, name: str = "web-1", state: ClientState = ClientState.ACTIVE) -> UUID:
        uuid = uuid5(UUID(int=0), name)
        client = NewClient(
            uuid=uuid.bytes,
            name=name,
            public_key=hash_of(f"key of {name}"),
            machine=hash_of(f"machine of {name}"),
            site="hq",
            state=state,
        )
        now = self.clock.now()
        await self.storage.decide(
            "test", "test", lambda tx: tx.add_client(client, now=now), now=now
        )
        return uuid

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str = "",
        document: Any = None,
        body: bytes | None = None,
        headers: Sequence[tuple[str, str]] = (),
        client: tuple[str, int] = ("192.0.2.1", 4711),
    ) -> Answer:
        sent = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers]
        if token:
            sent.append((b"authorization", f"Bearer {token}".encode()))
        if document is not None:
            body = json.dumps(document).encode()
            sent.append((b"content-type", b"application/json"))
        return await request(self.app, method, path, sent, body or b"", client)


async def request(
    app: Any,
    method: str,
    target: str,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    client: tuple[str, int],
) -> Answer:
    """Ask an ASGI application as a server would."""
    raw, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "client": client,
        "scheme": "https",
        "root_path": "",
    }
    got: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        got.append(message)

    await app(scope, receive, send)
    start = got[0]
    named: dict[str, str] = {}
    for raw_name, value in start["headers"]:
        name = raw_name.decode("latin-1")
        said = value.decode("latin-1")
        named[name] = f"{named[name]}\n{said}" if name in named else said
    return Answer(start["status"], named, b"".join(m.get("body", b"") for m in got[1:]))


async def _agents_answer(scope: Any, receive: Any, send: Any) -> None:
    """Stands for the agents' plane, which has tests of its own: no key, no entry."""
    await send({"type": "http.response.start", "status": 401, "headers": []})
    await send({"type": "http.response.body", "body": b""})
