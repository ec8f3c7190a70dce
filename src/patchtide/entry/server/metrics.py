"""What a node counts of itself, and where it looks for the rest."""

from __future__ import annotations

from patchtide.adapters.notify.metrics import Metrics
from patchtide.adapters.storage import Storage
from patchtide.entry.server.agents import AgentsSide
from patchtide.entry.server.settings import ServerSettings


def build_metrics(settings: ServerSettings, storage: Storage, agents: AgentsSide) -> Metrics:
    metrics = Metrics(feeds=settings.feed)
    storage.when_taken = metrics.group
    metrics.watch_each(
        "writer_waiting", "Jobs that wait for the one writer of the database.", "rank",
        storage.waiting,
    )  # fmt: skip
    metrics.watch(
        "event_connections", "Machines that hold a line open to be told to check in.",
        lambda: len(agents.events),
    )  # fmt: skip
    metrics.watch(
        "known_machines", "Machines that this node may let in.", lambda: len(agents.standings)
    )
    metrics.watch(
        "presence_unsaved", "Machines that were heard, which the database is yet to be told.",
        lambda: agents.standings.count_unsaved(),
    )  # fmt: skip
    return metrics
