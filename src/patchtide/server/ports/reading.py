"""What the use cases read without deciding anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from patchtide.server.ports.accounts import AccountReading
from patchtide.server.ports.alerts import AlertReading
from patchtide.server.ports.api_tokens import ApiToken
from patchtide.server.ports.audit import AuditEntry, AuditFlaw, LostDecision
from patchtide.server.ports.calendar import CalendarReading
from patchtide.server.ports.clients import Client, EnrolmentToken, Standing
from patchtide.server.ports.collections import CollectionReading
from patchtide.server.ports.fact_history import FactHistoryReading
from patchtide.server.ports.following import Cursor, StateDelta
from patchtide.server.ports.history import HistoryReading
from patchtide.server.ports.notifying import OutboxReading
from patchtide.server.ports.proposals import ProposalReading
from patchtide.server.ports.reports import StateRow
from patchtide.server.ports.security_keys import SecurityKeyReading
from patchtide.server.ports.update_lists import UpdateListReading


class Reading(Protocol):
    """Read-only connections; never waits for the writer (SQLite) nor takes its locks."""

    def standings(self, uuids: Sequence[bytes]) -> Sequence[Standing]: ...

    def standings_after(self, number: int, *, limit: int) -> Sequence[Standing]:
        """Return the next ones by number."""
        ...

    def clients(
        self, *, after: int = 0, limit: int = 100, search: str = "", state: str = ""
    ) -> Sequence[Client]: ...

    @property
    def update_lists(self) -> UpdateListReading: ...

    @property
    def collections(self) -> CollectionReading: ...

    @property
    def calendar(self) -> CalendarReading: ...

    @property
    def fleet_history(self) -> HistoryReading: ...

    @property
    def alerts(self) -> AlertReading: ...

    @property
    def outbox(self) -> OutboxReading: ...

    @property
    def proposals(self) -> ProposalReading: ...

    @property
    def fact_history(self) -> FactHistoryReading: ...

    def states(self, *, after: int = 0, limit: int = 1000) -> Sequence[StateRow]: ...

    def deltas(self, cursor: Cursor, *, limit: int = 1000) -> tuple[Cursor, Sequence[StateDelta]]:
        """Follow by change number; a cursor of another epoch, or trimmed, raises CursorLost."""
        ...

    def audit(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditEntry]: ...

    def verify_audit(self) -> AuditFlaw | None: ...

    def lost_decisions(self, segments: Iterable[bytes]) -> Sequence[LostDecision]:
        """Return what the segments tell of since the last restore that is known, and it does not.

        Segments that this site did not sign, or that are no chain, are passed over.
        """
        ...


class Lookups(AccountReading, Protocol):
    """Single reads that requests make."""

    def api_token(self, secret_hash: bytes) -> ApiToken | None: ...

    def api_tokens(self) -> Sequence[ApiToken]: ...

    def enrolment_tokens(self, ids: Sequence[str] | None = None) -> Sequence[EnrolmentToken]: ...

    @property
    def security_keys(self) -> SecurityKeyReading: ...

    @property
    def calendar(self) -> CalendarReading: ...

    def setting(self, name: str) -> bytes | None: ...

    def epoch(self) -> Cursor: ...
