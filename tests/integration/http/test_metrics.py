"""A running server tells its figures to a token of their own, and to nobody else (S37)."""

from __future__ import annotations

import ssl
from pathlib import Path

import anyio
import pytest
import urllib3
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from patchtide.domain.access.credentials import ApiTokenText, hash_of
from patchtide.entry.server import serving
from patchtide.entry.server.demo.furnish import furnish
from patchtide.entry.server.demo.releases import details_of, releases
from patchtide.entry.server.node import Server
from patchtide.entry.server.settings import read_settings
from patchtide.server.ports.api_tokens import ApiToken

pytestmark = pytest.mark.anyio
MACHINES = 30


async def a_token(server: Server, right: str) -> str:
    text = ApiTokenText(id=hash_of(right).hex()[:12], secret=hash_of(right).hex())
    token = ApiToken(
        id=text.id,
        name="prometheus",
        secret_hash=hash_of(text.secret),
        rights=(right,),
        created_at=server.context.clock.now(),
        expires_at=None,
        created_by="test",
    )
    now = server.context.clock.now()
    await server.storage.decide("test", "test", lambda tx: tx.add_api_token(token), now=now)
    return str(text)


async def asked(server: Server, path: str, *, token: str = "") -> tuple[int, str]:
    context = ssl.create_default_context(cafile=str(server.keys.ca_certificate))
    headers = {"authorization": f"Bearer {token}"} if token else {}
    address = f"https://localhost:{server.port}{path}"

    def ask() -> tuple[int, str]:
        with urllib3.PoolManager(ssl_context=context, retries=False) as pool:
            answer = pool.request("GET", address, headers=headers)
        return answer.status, answer.data.decode()

    return await anyio.to_thread.run_sync(ask)


def values(families: dict[str, Metric], name: str) -> dict[str, float]:
    """Return the samples of a figure of one label by its values."""
    return {next(iter(s.labels.values()), ""): s.value for s in families[name].samples}


async def test_a_server_tells_the_figures_of_its_fleet_and_its_own_to_one_right_alone(
    tmp_path: Path,
) -> None:
    settings = read_settings(
        ["--home", str(tmp_path), "--host", "127.0.0.1", "--port", "0", "--poll-s", "60"], {}
    )
    async with serving.running(settings) as server:
        details = list(map(details_of, releases(12, now=server.context.clock.now())))
        clients = await furnish(server, machines=MACHINES, details=details)
        token = await a_token(server, "metrics.read")

        refused = [
            (await asked(server, "/metrics"))[0],
            (await asked(server, "/metrics", token=await a_token(server, "machines.read")))[0],
            (await asked(server, "/api/v1/machines", token=token))[0],
        ]
        status, text = await asked(server, "/metrics", token=token)

    assert refused == [401, 404, 404]
    assert status == 200
    told = {family.name: family for family in text_string_to_metric_families(text)}
    assert values(told, "patchtide_machines")["active"] == MACHINES
    assert sum(values(told, "patchtide_machines_by_compliance").values()) == MACHINES
    assert sum(values(told, "patchtide_machines_by_scan").values()) == MACHINES
    assert values(told, "patchtide_updates") == {"": len(details)}
    assert values(told, "patchtide_machines_silent")[""] > 0
    assert told["patchtide_requests"].samples[0].labels == {
        "operation": "site.metrics",
        "status": "401",
    }
    assert values(told, "patchtide_reports")["accepted"] > MACHINES / 2
    assert set(values(told, "patchtide_writer_waiting")) == {
        "decision", "reports", "bulk", "presence",
    }  # fmt: skip
    assert values(told, "process_resident_memory_bytes")[""] > 1e7
    named = {c.name for c in clients} | {d.title for d in details} | {d.vendor_id for d in details}
    assert not [name for name in named if name in text]
