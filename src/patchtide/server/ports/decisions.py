"""What the use cases need for what people and the system decide.

One transaction, in which the decision, its log event and its audit entry become durable together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from patchtide.server.ports.accounts import AccountWriting
from patchtide.server.ports.alerts import AlertWriting
from patchtide.server.ports.api_tokens import ApiTokenWriting
from patchtide.server.ports.calendar import CalendarWriting
from patchtide.server.ports.catalog import CatalogWriting
from patchtide.server.ports.clients import ClientWriting
from patchtide.server.ports.collections import CollectionWriting
from patchtide.server.ports.history import HistoryWriting
from patchtide.server.ports.notifying import OutboxWriting
from patchtide.server.ports.proposals import ProposalWriting
from patchtide.server.ports.security_keys import SecurityKeyWriting
from patchtide.server.ports.update_lists import UpdateListWriting

T = TypeVar("T")


class Transaction(AccountWriting, ApiTokenWriting, CatalogWriting, ClientWriting, Protocol):
    """Inside one decision. Reads see the decision's own writes; every method is one statement."""

    def setting(self, name: str) -> bytes | None:
        """Return a small server-wide value (bootstrap done, lineage id, ...)."""
        ...

    def lock_setting(self, name: str) -> bytes | None:
        """Return the value; until the end of this transaction no other one can change it."""
        ...

    def put_setting(self, name: str, value: bytes) -> None:
        """Raises StaleRevision when another node put a new one at the same time."""
        ...

    @property
    def update_lists(self) -> UpdateListWriting: ...

    @property
    def collections(self) -> CollectionWriting: ...

    @property
    def calendar(self) -> CalendarWriting: ...

    @property
    def fleet_history(self) -> HistoryWriting: ...

    @property
    def alerts(self) -> AlertWriting: ...

    @property
    def outbox(self) -> OutboxWriting: ...

    @property
    def proposals(self) -> ProposalWriting: ...

    @property
    def security_keys(self) -> SecurityKeyWriting: ...

    def begin_epoch(self, *, numbers_above: int) -> None:
        """The database is older than what the fleet has seen: no old cursor means anything.

        Followers start anew and every client is asked for a full report. Update numbers that may
        have been given out since are left out, at least up to `numbers_above`. Several statements.
        """
        ...

    def note(self, subject: str, **detail: str | int | bool | None) -> None:
        """Say what this decision did: makes its log event and its audit entry."""
        ...

    def call_it(self, operation: str) -> None:
        """Give this decision the name of what it came to, where it is not what was asked."""
        ...

    @property
    def noted(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """What was noted up to here."""
        ...

    def remark(self, **detail: str) -> None:
        """Say this, too, in all that was noted up to here."""
        ...


class Decisions(Protocol):
    async def decide(
        self, actor: str, operation: str, work: Callable[[Transaction], T], *, now: datetime
    ) -> T:
        """Run `work` in one transaction on the writer. If it raises, nothing happened.

        A decision that noted nothing writes no event and no audit entry.
        """
        ...
