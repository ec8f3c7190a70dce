"""What tells people by itself - alerts and reports - and who brings it out, put together."""

from __future__ import annotations

import shutil

from patchtide.entry.server.node import Server
from patchtide.server.alert_facts import AlertFacts
from patchtide.server.alert_watch import AlertWatch
from patchtide.server.courier import Courier
from patchtide.server.subscription_watch import SubscriptionWatch


def alert_watch(server: Server) -> AlertWatch:
    context, storage = server.context, server.storage

    def disk_used() -> float:
        found = shutil.disk_usage(server.settings.home)
        # What only the system may still use is of no use to a server.
        return 100.0 * found.used / ((found.used + found.free) or 1)

    return AlertWatch(
        facts=AlertFacts(
            fleet=context.fleet,
            synchronisations=context.synchronisations,
            waiting_reports=lambda: storage.waiting()["reports"],
            disk_used=disk_used,
            silent_after=lambda: context.silent_after,
            calendar=storage.calendar,
        ),
        reading=storage,
        decisions=storage,
        clock=context.clock,
    )


def courier(server: Server) -> Courier:
    context, storage = server.context, server.storage
    return Courier(
        outbox=storage.outbox,
        lookups=storage,
        decisions=storage,
        sender=context.channels,
        threads=context.notifying,
        clock=context.clock,
    )


def subscription_watch(server: Server) -> SubscriptionWatch:
    return SubscriptionWatch(
        context=server.context, address=f"https://{server.settings.authority(server.port)}"
    )
