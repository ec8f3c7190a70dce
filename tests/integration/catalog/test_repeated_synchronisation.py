"""A feed without news: one small request, and not a byte written."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from patchtide.entry.server.feed_process import FeedProcess
from patchtide.entry.server.node import SystemClock
from patchtide.server.synchronisation import Synchronisation
from tests.integration.catalog.node import node
from tests.simulator.apt_repository import SigningKey
from tests.simulator.rpm_repository import Rpm, RpmRepository, RpmSystem, Told, needs_rpm
from tests.simulator.scripted_web import ScriptedWeb

pytestmark = [needs_rpm, pytest.mark.anyio]
TOY = Rpm("toy", "1.1-1.el9")


def publish(folder: Path, key: SigningKey, address: str) -> tuple[RpmRepository, FeedProcess]:
    repository = RpmRepository(folder=folder / "repository", key=key)
    repository.add(TOY)
    repository.advisories = [Told(id="TOY-1", packages=(TOY,))]
    repository.publish()
    system = RpmSystem(root=folder / "root")
    system.source("base", address, key)
    spool = folder / "spool"
    return repository, FeedProcess(spool, kind="rpm", root=system.root, heard=lambda *_: None)


async def test_a_repeat_with_nothing_new_asks_once_and_writes_nothing(tmp_path: Path) -> None:
    database = tmp_path / "db.sqlite"
    with SigningKey("vendor") as key, ScriptedWeb(tmp_path / "repository") as web:
        repository, feed = await asyncio.to_thread(publish, tmp_path, key, web.address)
        async with node(f"sqlite:///{database}", tmp_path / "here") as here:
            synchronisation = Synchronisation(
                feed=feed, reading=here.storage, decisions=here.storage, publisher=here.catalog,
                details=here.details, clock=SystemClock(),
            )  # fmt: skip
            first = await synchronisation.run("admin")
            # It changes whenever another connection than this one has written.
            watching = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
            before = watching.execute("PRAGMA data_version").fetchone()
            handed, web.asked = (tmp_path / "spool/content").stat().st_ino, []
            again = await synchronisation.run("admin")
            after = watching.execute("PRAGMA data_version").fetchone()
            asked = [path for path, _ in web.asked]
            repository.advisories.append(Told(id="TOY-2", packages=(TOY,)))
            await asyncio.to_thread(repository.publish)
            news = await synchronisation.run("admin")
            written = watching.execute("PRAGMA data_version").fetchone()
            watching.close()

    assert (first.updates, again.updates, news.updates) == (1, 1, 2)
    assert again.changed == {} and asked == ["/repodata/repomd.xml"]
    assert before == after != written
    assert (tmp_path / "spool/content").stat().st_ino != handed
