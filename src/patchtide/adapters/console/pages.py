"""Which function serves which page."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from patchtide.adapters.console import (
    account,
    alerts,
    carried,
    channels,
    definitions,
    doors,
    explanations,
    history,
    lists,
    machines,
    overview,
    people,
    reports,
    searches,
    settings,
    subscriptions,
    synchronisations,
    tokens,
    trail,
    updates,
    whatif,
)
from patchtide.adapters.console.console import Desk, Serve
from patchtide.adapters.console.replies import Reply
from patchtide.adapters.console.visits import Visit


async def static(desk: Desk, visit: Visit) -> Reply:
    return desk.static.reply(visit.parameters["file"])


PAGES: Mapping[str, Serve] = MappingProxyType(
    {
        "sessions.sign-in": doors.sign_in,
        "sessions.welcome": doors.welcome,
        "sessions.enter": doors.enter,
        "sessions.sign-out": doors.sign_out,
        "console.sign-in": doors.sign_in_page,
        "console.welcome": doors.welcome_page,
        "console.enter": doors.enter_page,
        "console.static": static,
        "console.overview": overview.overview,
        "console.live": overview.live,
        "console.machines": machines.machines,
        "console.act": machines.act,
        "console.machine": machines.machine,
        "console.explanation": explanations.page,
        "console.whatif": whatif.page,
        "console.whatif-machine": whatif.machine,
        "console.history": history.page,
        "console.targets": history.targets,
        "console.updates": updates.updates,
        "console.completions": updates.completions,
        "console.searches": searches.page,
        "console.search-new": searches.new,
        "console.search-save": searches.save,
        "console.search-act": searches.act,
        "console.lists": lists.page,
        "console.list-new": lists.new,
        "console.list-create": lists.create,
        "console.list-choose": lists.choose,
        "console.list": lists.one,
        "console.list-act": lists.act,
        "console.reports": reports.index,
        "console.report": reports.page,
        "console.subscriptions": subscriptions.page,
        "console.subscription-new": subscriptions.new,
        "console.subscriptions-add": subscriptions.add,
        "console.subscriptions-act": subscriptions.act,
        "console.define": definitions.begin,
        "console.define-step": definitions.go,
        "console.define-file": definitions.take,
        "console.update": updates.update,
        "console.update-rate": updates.rate,
        "console.update-licence": updates.accept_licence,
        "console.synchronisations": synchronisations.page,
        "console.synchronise": synchronisations.begin,
        "console.test-feeds": synchronisations.test,
        "console.reschedule": synchronisations.reschedule,
        "console.select": synchronisations.select,
        "console.carried": carried.page,
        "console.carried-export": carried.export,
        "console.carried-trust": carried.trust,
        "console.carried-distrust": carried.distrust,
        "console.settings": settings.page,
        "console.settings-target": settings.set_target,
        "console.settings-agents": settings.set_agents,
        "console.settings-proxy": settings.set_proxy,
        "console.alerts": alerts.page,
        "console.alerts-define": alerts.define,
        "console.alerts-act": alerts.act,
        "console.channels": channels.page,
        "console.channels-define": channels.define,
        "console.channels-act": channels.act,
        "console.channels-test": channels.test,
        "console.tokens": tokens.page,
        "console.tokens-create": tokens.create,
        "console.tokens-revoke": tokens.revoke,
        "console.people": people.page,
        "console.people-create": people.create,
        "console.people-act": people.act,
        "console.audit": trail.page,
        "console.account": account.page,
        "console.account-password": account.password,
    }
)
