"""What the machine's administrator wrote is judged by who is to read it: the agent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from patchtide.adapters.agentstate.local import local_or_nothing
from patchtide.agent.explaining import Kept
from patchtide.domain.errors import PatchtideError
from patchtide.entry.agent import compose
from patchtide.entry.agent.vouching import asked_of_vendor

AGENT = 12_345
SOMEBODY = 12_346


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")
@pytest.mark.parametrize(("owner", "counts"), [(AGENT, True), (SOMEBODY, False), (0, False)])
def test_a_proxys_account_is_the_agents_whoever_asks(
    tmp_path: Path, owner: int, counts: bool
) -> None:
    account, config, state = (tmp_path / name for name in ("account", "agent.toml", "state"))
    account.write_text("joe:secret\n")
    account.chmod(0o600)
    os.chown(account, owner, owner)
    state.mkdir()
    os.chown(state, AGENT, AGENT)
    config.write_text(f'proxy = "http://p.invalid:3128"\nproxy_account = "{account}"\n')

    local, flaw = local_or_nothing(config, state=state)

    assert (local.has_proxy, not flaw) == (counts, counts)


def test_a_vendor_is_asked_by_the_way_that_the_named_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    @contextmanager
    def vendors_asked(state: Path, keys: None, *, config: Path) -> Iterator[None]:
        asked.append(config)
        raise PatchtideError
        yield

    monkeypatch.setattr(compose, "vendors_asked", vendors_asked)

    asked_of_vendor(tmp_path, cast("Kept", None), None, config=tmp_path / "other.toml")

    assert asked == [tmp_path / "other.toml"]
