"""One site, one publisher with a key of his own, and one machine: all of them real."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from patchtide.adapters.agentstate.sqlite import open_journal
from patchtide.adapters.platforms.simulated import Description, Model, SimulatedPlatform
from patchtide.adapters.transport.blobs import ContentBlobs
from patchtide.adapters.transport.https import HttpsGetter
from patchtide.adapters.transport.lines import Lines
from patchtide.adapters.trust.client import TrustClient
from patchtide.adapters.trust.keys import KeyFolder, make_key_file, raw_public_key
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.agent.catalog import LocalCatalog
from patchtide.domain.catalog.leaves import Leaf
from patchtide.entry.cli.client import Client
from patchtide.entry.cli.commands import run
from patchtide.server.operations import OPERATIONS
from patchtide.wire.sets import decode_set
from tests.simulator.site_process import SiteProcess, site

DEFINITION = """\
id: acme/backup
title: Backup 2.4
vendor: Acme
classification: security
products: [Backup]
rules:
  prerequisite: os debian 12
  applicable: deb acme-backup installed
  installed: deb acme-backup >= VERSION
installer:
  kind: deb
files:
  - path: acme-backup_VERSION_amd64.deb
    package: acme-backup
    version: VERSION
"""
PROGRAM = """\
id: acme/sensor
title: Sensor 7
vendor: Acme
classification: application
products: [Sensor]
rules:
  prerequisite: os debian 12
  applicable: deb acme-sensor installed
  installed: deb acme-sensor >= 7
installer:
  kind: program
  program: sensor.run
  arguments: [--target, "/opt/acme; reboot"]
  restart_codes: [194]
files:
  - path: sensor.run
"""


@dataclass
class Publisher:
    """Runs `patchtide publisher` and `patchtide trust` as a person would, on his own machine."""

    folder: Path
    home: Path
    url: str
    token: str

    def __call__(self, *command: str) -> tuple[int, Any]:
        """Return the exit code and the document that is printed."""
        text = io.StringIO()
        console = Console(file=text, width=200, color_system=None, force_terminal=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATCHTIDE_URL", self.url)
            patch.setenv("PATCHTIDE_TOKEN", self.token)
            patch.setenv("PATCHTIDE_CA", str(self.home / "keys/site-ca.pem"))
            patch.setenv("XDG_DATA_HOME", str(self.folder / "data"))
            code = run([*command, "--json"], console=console)
        said = text.getvalue()
        return code, json.loads(said) if said.startswith("{") else said

    def root(self) -> str:
        """Return what an administrator reads on the server, and brings to whoever signs."""
        code, said = self("trust", "status", "--home", str(self.home))
        assert code == 0, said
        return str(said["first_root"])

    def publishes(self, *arguments: str | Path, word: str = "publish") -> Mapping[str, Any]:
        code, said = self("publisher", word, *map(str, arguments))
        assert code == 0, said
        found: Mapping[str, Any] = said
        return found

    def repository(self) -> TrustRepository:
        return TrustRepository(self.home / "published", KeyFolder(self.home / "keys/trust"))

    def takes_the_keys(self, *names: str, threshold: int = 1) -> list[Path]:
        """Have these keys count for the publisher's role, and none that lies on the server."""
        files = [self.folder / f"{name}.pem" for name in names]
        raw = [raw_public_key(make_key_file(file)).hex() for file in files]
        options = [word for key in raw for word in ("--key", key)]
        options += [word for file in files for word in ("--sign-with", str(file))]
        where = ("--home", str(self.home))
        changed = ("--replace", "--threshold", str(threshold))
        code, said = self("trust", "raise", "publisher", *options, *changed, *where)
        assert code == 0, said
        unused = self("trust", "status", *where)[1]["unused_keys"]
        code, said = self("trust", "forget", *unused, *where)
        assert code == 0, said
        return files


@dataclass
class Machine:
    """An agent's catalog with its trust, on a simulated Debian."""

    catalog: LocalCatalog

    def looks(self) -> dict[str, str]:
        """Fetch and verify what is published; return each title and how it stands here."""
        now = time.time()
        self.catalog.refresh({}, now=now)
        scan = self.catalog.scan(now=now)
        assert scan.states is not None, scan
        return {leaf.title: _stands(leaf, scan.states) for leaf in self.leaves().values()}

    def leaves(self) -> dict[str, Leaf]:
        return {leaf.title: leaf for leaf, _ in self.catalog.leaves().values()}


def _stands(leaf: Leaf, states: Any) -> str:
    named = ("required", "installed", "unknown")
    return next(
        (name for name in named if leaf.number in decode_set(getattr(states, name))), "not required"
    )


@contextmanager
def machine_of(publisher: Publisher, folder: Path, **packages: str) -> Iterator[Machine]:
    client = Client(publisher.url, ca=publisher.home / "keys/site-ca.pem")
    getter = HttpsGetter(Lines(client.context))
    journal, _ = open_journal(folder / "journal.db", boot_id="b" * 32, check=False)
    trust = TrustClient(
        folder / "trust",
        publisher.repository().root()[1],
        metadata_url=f"{publisher.url}/catalog/metadata",
        targets_url=f"{publisher.url}/catalog/targets",
        getter=getter,
        build_time=0.0,
    )
    names = {name.replace("_", "-"): version for name, version in packages.items()}
    described = Description(os_id="debian", os_version="12", packages=names)
    platform = SimulatedPlatform(Model(described), name="web-1")
    catalog = LocalCatalog(
        journal,
        trust=trust,
        blobs=ContentBlobs(publisher.url, getter),
        platform=platform,
        followed=["custom"],
    )
    try:
        yield Machine(catalog)
    finally:
        trust.close()
        journal.close()
        client.close()


@contextmanager
def publisher_at(folder: Path) -> Iterator[tuple[SiteProcess, Publisher]]:
    """Run a fresh site within the block, claimed by its publisher."""
    home = folder / "home"
    with site(home, f"sqlite:///{folder / 'site.db'}") as server:
        client = Client(server.url, ca=home / "keys/site-ca.pem")
        code = (home / "bootstrap-code").read_text().strip()
        answer = client.ask(OPERATIONS["site.bootstrap"], {"code": code})
        client.close()
        token = json.loads(answer.body)["token"]
        yield server, Publisher(folder=folder, home=home, url=server.url, token=token)
