"""Operations on subscriptions."""

from __future__ import annotations

from patchtide.server import subscriptions
from patchtide.server.saved_searches import OneName
from patchtide.server.subscription_book import NEEDED
from patchtide.server.table import API, Operation, Plane

_READ, *_ALSO = NEEDED

SUBSCRIPTIONS = (
    Operation(
        name="subscriptions.list",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/subscriptions",
        policy=_READ,
        also=tuple(_ALSO),
        narrows=True,
        narrows_updates=True,
        sentence="List your subscriptions, and why one is not sent; who defines channels sees all.",
        output=subscriptions.SubscriptionList,
        handler=subscriptions.list_some,
        columns=("name", "report", "channel", "owner_name", "next_at", "sent_at", "halted"),
    ),
    Operation(
        name="subscriptions.add",
        plane=Plane.ADMINISTRATORS,
        method="PUT",
        path=API + "/subscriptions/{name}",
        policy=_READ,
        also=tuple(_ALSO),
        narrows=True,
        narrows_updates=True,
        sentence="Have a report sent on a schedule, with the rights that you have then.",
        input=subscriptions.AddSubscription,
        output=subscriptions.ShownSubscription,
        handler=subscriptions.add,
        audited=True,
        example="subscriptions add weekly --report overall --list october --channel ops"
        " --days monday --at 07:00",
    ),
    Operation(
        name="subscriptions.test",
        plane=Plane.ADMINISTRATORS,
        method="POST",
        path=API + "/subscriptions/{name}/test",
        policy=_READ,
        also=tuple(_ALSO),
        narrows=True,
        narrows_updates=True,
        sentence="Have one of your subscriptions sent within a minute, whatever its schedule says.",
        input=OneName,
        output=subscriptions.ShownSubscription,
        handler=subscriptions.send_soon,
        audited=True,
        example="subscriptions test weekly",
    ),
    Operation(
        name="subscriptions.remove",
        plane=Plane.ADMINISTRATORS,
        method="DELETE",
        path=API + "/subscriptions/{name}",
        policy=_READ,
        also=tuple(_ALSO),
        narrows=True,
        narrows_updates=True,
        sentence="Remove a subscription; what it put before a channel is still sent.",
        input=OneName,
        handler=subscriptions.remove,
        status=204,
        audited=True,
        example="subscriptions remove weekly",
    ),
)
