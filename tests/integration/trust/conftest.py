"""A bendable repository over loopback, and agents that look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from patchtide.adapters.trust.client import TrustClient
from patchtide.entry.agent.trust_cli import PlainGetter
from tests.simulator.tuf_repository import START, TufRepository

NOW = START.timestamp()
Agent = Callable[..., TrustClient]


@pytest.fixture
def repository() -> TufRepository:
    return TufRepository()


@pytest.fixture
def base(repository: TufRepository) -> Iterator[str]:
    with repository.served() as address:
        yield address


@pytest.fixture
def agent(repository: TufRepository, base: str, tmp_path: Path) -> Iterator[Agent]:
    opened: list[TrustClient] = []
    embedded = repository.first_root

    def start(**options: object) -> TrustClient:
        """As after a start of the process: the same folder each time."""
        settings: dict[str, object] = {"build_time": NOW - 86_400, **options}
        client = TrustClient(
            tmp_path / "trust",
            embedded,
            metadata_url=f"{base}/metadata",
            targets_url=f"{base}/targets",
            getter=PlainGetter(),
            **settings,  # type: ignore[arg-type]
        )
        opened.append(client)
        return client

    yield start
    for client in opened:
        client.close()
