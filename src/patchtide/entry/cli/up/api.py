"""The operations of the site that is being brought up, asked by name."""

from __future__ import annotations

from typing import Any

import msgspec

from patchtide.entry.cli.client import Client, Unreachable
from patchtide.entry.cli.up.errors import NotFinished
from patchtide.entry.cli.up.home import Home
from patchtide.server.operations import OPERATIONS

WRONG_STATE = "wrong-state"


class ServerRefused(NotFinished):
    """The server refused what bringing it up needs."""

    code = "server-refused"

    def __init__(self, operation: str, said: Any) -> None:
        known = said if isinstance(said, dict) else {}
        self.said_code = str(known.get("code", ""))
        super().__init__(f"{operation}: {self.said_code or said}: {known.get('detail', '')}")


class Api:
    def __init__(self, home: Home, url: str) -> None:
        self._home = home
        self._url = url
        self._client: Client | None = None

    def answers(self) -> bool:
        try:
            return bool(self.ask("site.health")["status"] == "ok")
        except Unreachable:
            return False

    def ask(self, operation: str, **values: Any) -> Any:
        """Return the answer, decoded.

        Raises:
            ServerRefused: the answer is a refusal.
            Unreachable: there is none.
        """
        if self._client is None:
            self._client = Client(self._url, token=self._home.token(), ca=self._home.authority)
        answer = self._client.ask(OPERATIONS[operation], values)
        said = msgspec.json.decode(answer.body) if answer.body else None
        if not answer.is_done:
            raise ServerRefused(operation, said)
        return said

    def hang_up(self) -> None:
        """The next question is asked on a new line, with the token that the home has by then."""
        if self._client is not None:
            self._client.close()
            self._client = None
