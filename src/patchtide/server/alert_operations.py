"""Operations on alerts."""

from __future__ import annotations

from typing import Any

from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.server import alerts, channels
from patchtide.server.saved_searches import OneName
from patchtide.server.table import API, SAFE_METHODS, Operation, Plane

TELLS_OF = (Right(Kind.MACHINES, Verb.READ), Right(Kind.CATALOG, Verb.READ))
"""An alert tells of the whole fleet and its updates, also to whoever only defines what it watches:
so it is for those alone whose reading ends nowhere."""


def _alert(name: str, method: str, path: str, verb: Verb, sentence: str, **more: Any) -> Operation:
    return Operation(
        name=f"alerts.{name}",
        plane=Plane.ADMINISTRATORS,
        method=method,
        path=f"{API}/alerts{path}",
        policy=Right(Kind.ALERTS, verb),
        also=TELLS_OF,
        sentence=sentence,
        audited=method not in SAFE_METHODS,
        **more,
    )


ALERTS = (
    _alert(
        "list",
        "GET",
        "",
        Verb.READ,
        "List the rules of alerts, how each stands, and what is raised.",
        output=alerts.RuleList,
        handler=alerts.list_rules,
        columns=("name", "watched", "limit", "unit", "shown", "is_raised", "query"),
    ),
    _alert(
        "history",
        "GET",
        "-history",
        Verb.READ,
        "List the alerts that were raised, the newest first.",
        output=alerts.AlertHistory,
        handler=alerts.history,
        columns=("rule", "text", "raised_at", "ended_at", "acknowledged_by"),
    ),
    _alert(
        "show",
        "GET",
        "/{name}",
        Verb.READ,
        "Show one rule and when it was raised.",
        input=OneName,
        output=alerts.RuleWhole,
        handler=alerts.show,
        columns=("text", "raised_at", "ended_at", "acknowledged_by"),
        example="alerts show silent",
    ),
    _alert(
        "define",
        "PUT",
        "/{name}",
        Verb.MODIFY,
        "Define when an alert is raised, in place of the rule of the same name.",
        input=alerts.DefineAlert,
        output=alerts.ShownRule,
        handler=alerts.define,
        example="alerts define behind --watched compliance --limit 95 --query 'risk >= high'",
    ),
    _alert(
        "remove",
        "DELETE",
        "/{name}",
        Verb.DELETE,
        "Remove a rule; what it raised ends.",
        input=OneName,
        handler=alerts.remove,
        status=204,
        example="alerts remove behind",
    ),
    _alert(
        "acknowledge",
        "POST",
        "/{name}/acknowledgement",
        Verb.APPROVE,
        "Take a raised alert on, so that others know that somebody does.",
        input=OneName,
        output=alerts.ShownAlert,
        handler=alerts.acknowledge,
        example="alerts acknowledge behind",
    ),
    _alert(
        "test",
        "POST",
        "-channels/{name}/test",
        Verb.ADMINISTER,
        "Tell a channel that this is a test, and say which step failed if one did.",
        input=OneName,
        output=channels.Tested,
        handler=channels.test,
        example="alerts test on-call",
    ),
)


def _channel(name: str, method: str, verb: Verb, sentence: str, **more: Any) -> Operation:
    return Operation(
        name=f"channels.{name}",
        plane=Plane.ADMINISTRATORS,
        method=method,
        policy=Right(Kind.ALERTS, verb),
        also=TELLS_OF,
        sentence=sentence,
        audited=method not in SAFE_METHODS,
        **more,
    )


CHANNELS = (
    _channel(
        "list",
        "GET",
        Verb.READ,
        "List the channels by which alerts are told, and what waits there.",
        path=API + "/channels",
        output=channels.ChannelList,
        handler=channels.list_all,
        columns=("name", "kind", "to", "waiting", "given_up", "error", "sent_at", "sent"),
    ),
    _channel(
        "define",
        "PUT",
        Verb.ADMINISTER,
        "Define a webhook or e-mail; a webhook's secret is shown once.",
        path=API + "/channels/{name}",
        input=channels.DefineChannel,
        output=channels.MadeChannel,
        handler=channels.define,
        example="channels define on-call --address https://hooks.example.org/patchtide",
    ),
    _channel(
        "remove",
        "DELETE",
        Verb.ADMINISTER,
        "Remove a channel; what waits for it is not told.",
        path=API + "/channels/{name}",
        input=OneName,
        handler=channels.remove,
        status=204,
        example="channels remove on-call",
    ),
)
