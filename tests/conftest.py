"""What every test shares. On CI a skipped test is a failed one: all must be at hand there."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from patchtide.adapters.storage import Storage
from tests.simulator.databases import Postgres, postgres, sqlite_url

ON_CI = os.environ.get("CI", "").lower() == "true"

# A shared machine may stall for a second: a deadline would report that as a fault of the code.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("own machine", deadline=None)
settings.load_profile("ci" if ON_CI else "own machine")

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)


def pytest_runtest_logstart() -> None:
    """Each test begins as from a shell: commands that run within this process narrow the umask."""
    os.umask(0o022)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    del item, call
    report = yield
    return _strict(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    del collector
    report = yield
    return _strict(report)


def _strict(report: R) -> R:
    if ON_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {reason}"
    return report


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """A command of ours that runs in this process narrows the mask: not for the tests after it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with nothing in its tables, on both kinds."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "home/patchtide.db")
        return
    server: Postgres = request.getfixturevalue("postgres_server")
    with server.lent() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_without_tables(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database, on both kinds, whose tables whoever opens it makes."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/home/patchtide.db"
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.create()


@pytest.fixture
async def storage(database_url: str) -> AsyncIterator[Storage]:
    opened = Storage.open(database_url)
    yield opened
    await opened.close()
