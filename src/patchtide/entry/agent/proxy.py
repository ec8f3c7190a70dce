"""By which way this agent reaches its server: what was written here, or what its site told."""

from __future__ import annotations

from pathlib import Path

from patchtide.adapters.agentstate.settings import read_kept
from patchtide.adapters.transport.ways import Way
from patchtide.agent.settings import LocalSettings, Source, proxy_in_force


def way_of(state: Path, local: LocalSettings) -> Way:
    """Return it; only from what the site told is there a way back."""
    proxy, source = proxy_in_force(read_kept(state), local)
    return Way(proxy, falls_back=source is Source.SITE)
