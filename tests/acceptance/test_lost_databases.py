"""The database under a running site goes away, and comes back as it was or as it was yesterday.

F32: while it is gone nothing is acknowledged and everybody is told to come again. F44: put back
from a backup, the site goes on above everything that machines have seen, asks them for full
reports, and names what was decided since.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from patchtide.entry.simulator.fleet import Fleet, Plan
from tests.simulator.databases import Postgres, postgres
from tests.simulator.living import live, told
from tests.simulator.processes import wait_for
from tests.simulator.site_process import ROOT, SiteProcess, site

MACHINES = 30


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    """One of our own, since it is stopped."""
    with postgres() as server:
        yield server


def a_fleet(server: SiteProcess, folder: Path) -> Fleet:
    token = server.tell(f"token {MACHINES}")["token"]
    plan = Plan(url=server.url, token=token, machines=MACHINES, hours=0, threads=4)
    fleet = Fleet(plan, folder)
    assert max(fleet.enrol()) == MACHINES
    return fleet


def whoami(server: SiteProcess, home: Path, token: str) -> tuple[int, str]:
    """Return the status, and when to come again."""
    tls = ssl.create_default_context(cafile=str(home / "keys" / "site-ca.pem"))
    asked = urllib.request.Request(
        f"{server.url}/api/v1/whoami", headers={"authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(asked, context=tls, timeout=30) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("retry-after", "")


@pytest.mark.timeout(300)
def test_without_its_database_a_site_acknowledges_nothing_and_goes_on_with_it(
    database: Postgres, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    with site(home, database.create(), burst="1000") as server:
        token = claimed(server, home)
        server.tell("publish 100")
        fleet = a_fleet(server, tmp_path)
        live(fleet, 0.5)
        server.tell("revise 50")
        before = fleet.tally.counts["report: Taken"]
        living = threading.Thread(target=live, args=(fleet, 0.4))
        living.start()
        wait_for(lambda: fleet.tally.counts["report: Taken"] > before or not living.is_alive())

        database.stop(signal.SIGQUIT)
        try:
            answers = [whoami(server, home, token) for _ in range(3)]
        finally:
            living.join()
            database.restart()

        assert {status for status, _ in answers} == {503}
        assert all(int(later) > 0 for _, later in answers)
        live(fleet, 1.5)
        after = server.tell("states")
        assert after["digests"] == told(fleet)
        assert after["machines"] == MACHINES
        assert after["audit"] == "None"


def command(server: SiteProcess, home: Path, *words: str, token: str = "") -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "patchtide.entry.cli", *words, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "PATCHTIDE_URL": server.url,
            "PATCHTIDE_CA": str(home / "keys" / "site-ca.pem"),
            "PATCHTIDE_TOKEN": token,
        },
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def claimed(server: SiteProcess, home: Path) -> str:
    """Return the token of the first administrator."""
    code = (home / "bootstrap-code").read_text().strip()
    return str(command(server, home, "site", "bootstrap", "--code", code)["token"])


def versions(folder: Path) -> dict[str, int]:
    """Return what this fleet's verified trust has seen of each role."""
    with closing(sqlite3.connect(folder / "trust" / "floors.db", timeout=20)) as floors:
        return dict(floors.execute("SELECT name, version FROM role").fetchall())


@pytest.mark.timeout(300)
def test_put_back_from_yesterday_a_site_goes_on_above_what_was_seen_and_names_what_is_lost(
    database: Postgres, tmp_path: Path
) -> None:
    home, url = tmp_path / "home", database.create()
    with site(home, url, burst="1000") as server:
        token = claimed(server, home)
        server.tell("publish 100")
        fleet = a_fleet(server, tmp_path)
        live(fleet, 0.5)
        backup = database.dump(url)

        made = command(server, home, "tokens", "create", "--uses", "3", token=token)
        command(server, home, "roles", "define", "auditors", "audit.read", token=token)
        last = server.tell("publish 20")["serial"]
        live(fleet, 1.5)
        server.tell("archive")
        seen = versions(tmp_path)

    with site(home, database.put_back(backup), burst="1000", port=server.port) as server:
        named = command(server, home, "site", "mark-restored", token=token)
        lost = {(one["operation"], one["subject"]) for one in named["items"]}
        assert ("tokens.create", made["id"]) in lost
        assert named["items"][0]["operation"] == "roles.define"  # what shuts somebody out
        assert {operation for operation, _ in lost} >= {"catalog.publish", "tokens.create"}
        assert named["lost"] == len(named["items"])
        assert named["named_until"] == named["items"][-1]["at"]

        assert server.tell("publish 5")["serial"] > last  # revisions of the first five
        live(fleet, 3)
        wait_for(lambda: server.tell("view")["updates"] == 100)
        after = server.tell("states")
        assert after["digests"] == told(fleet)
        wait_for(lambda: server.tell("view")["unknown"] == 0)
        risen = versions(tmp_path)
        assert all(risen[role] >= version for role, version in seen.items())
        assert risen["timestamp"] > seen["timestamp"]
        again = command(server, home, "site", "mark-restored", token=token)
        assert (again["lost"], again["named_until"]) == (0, None)
