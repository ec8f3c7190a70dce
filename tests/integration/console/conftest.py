"""A console over a real database, and visitors with cookies as browsers keep them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from patchtide.adapters.storage import Storage
from tests.integration.console.visitor import ConsoleSite
from tests.simulator.databases import sqlite_url


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[ConsoleSite]:
    storage = Storage.open(sqlite_url(tmp_path / "patchtide.db"))
    yield ConsoleSite(storage=storage)
    await storage.close()
