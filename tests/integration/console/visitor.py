"""Visitors of the console: each keeps cookies and sends forms as a browser does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from patchtide.domain.access.rights import ROLES
from patchtide.server.users import new_user
from tests.integration.http.plane import AdministratorsPlane, Answer
from tests.simulator.catalogs import Catalog
from tests.simulator.clock import FakeClock

HOST = "site.example:8540"
PASSWORD = "four words in a row"
_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


@dataclass
class Visitor:
    """One browser."""

    plane: AdministratorsPlane
    cookies: dict[str, str] = field(default_factory=dict)
    form_token: str = ""
    said: list[str] = field(default_factory=list)
    """Every Set-Cookie header."""

    async def get(self, path: str, **headers: str) -> Answer:
        return await self._ask("GET", path, headers={"sec-fetch-site": "none", **headers})

    async def post(
        self, path: str, fields: Mapping[str, Any] | None = None, **headers: str | None
    ) -> Answer:
        """Send a form with the token of the last page; a header given as None is not sent."""
        said = {"form_token": self.form_token, **(fields or {})}
        ours: dict[str, str | None] = {
            "origin": f"https://{HOST}",
            "sec-fetch-site": "same-origin",
            "content-type": "application/x-www-form-urlencoded",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        sent = {name: value for name, value in ours.items() if value is not None}
        return await self._ask(
            "POST", path, headers=sent, body=urlencode(said, doseq=True).encode()
        )

    async def upload(self, path: str, file: bytes, **fields: str) -> Answer:
        """Send a form with a file in its field `file`."""
        said = {"form_token": self.form_token, **fields}
        parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in said.items()]
        parts.append(b'name="file"; filename="m.csv"\r\nContent-Type: text/csv\r\n\r\n' + file)
        told = b"".join(
            b"--mark\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts
        )
        headers = {
            "origin": f"https://{HOST}",
            "sec-fetch-site": "same-origin",
            "content-type": "multipart/form-data; boundary=mark",
        }
        return await self._ask("POST", path, headers=headers, body=told + b"--mark--\r\n")

    async def sign_in(self, name: str) -> Answer:
        await self.get("/sign-in")
        answer = await self.post("/sign-in", {"name": name, "password": PASSWORD})
        await self.get("/tokens" if answer.status == 303 else "/sign-in")
        return answer

    async def _ask(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        pairs = [("host", HOST), ("accept", "text/html"), *headers.items()]
        if self.cookies:
            pairs.append(("cookie", "; ".join(f"{k}={v}" for k, v in self.cookies.items())))
        answer = await self.plane.ask(method, path, headers=pairs, body=body)
        self._keep(answer)
        return answer

    def _keep(self, answer: Answer) -> None:
        for line in answer.headers.get("set-cookie", "").split("\n"):
            if not line:
                continue
            self.said.append(line)
            name, _, rest = line.partition("=")
            value = rest.partition(";")[0]
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        if found := _TOKEN.search(answer.body.decode(errors="replace")):
            self.form_token = found[1]


@dataclass
class ConsoleSite:
    """A site with people; every one of them has the same password."""

    storage: Any
    clock: FakeClock = field(default_factory=FakeClock)
    catalog: Catalog = field(init=False)
    plane: AdministratorsPlane = field(init=False)

    def __post_init__(self) -> None:
        self.catalog = Catalog(self.storage)
        self.plane = AdministratorsPlane(
            storage=self.storage, clock=self.clock, catalog=self.catalog
        )

    def visitor(self) -> Visitor:
        return Visitor(self.plane)

    async def person(self, name: str = "maria", role: str = "full-administrator") -> str:
        now = self.clock.now()
        password_hash = await self.plane.context.passwords.hashed(PASSWORD, name=name)
        user = new_user(name, rights=ROLES[role], password_hash=password_hash, now=now, by="test")
        await self.storage.decide("test", "test", lambda tx: tx.add_user(user), now=now)
        return user.id

    async def signed_in(self, name: str = "maria", role: str = "full-administrator") -> Visitor:
        await self.person(name, role)
        visitor = self.visitor()
        assert (await visitor.sign_in(name)).status == 303
        return visitor

    async def machines(self, *names: str) -> list[UUID]:
        return [await self.plane.machine(name) for name in names]
