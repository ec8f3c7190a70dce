"""The door of a site that is up: a one-time link for whoever holds its home folder.

It is written into the database beside the server, as another node would write it: no route of the
server lets anybody in as somebody else, not with any token.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from patchtide.adapters.storage import Storage
from patchtide.entry.cli.up.home import Home
from patchtide.server.first_administrator import sign_in_link
from patchtide.server.sign_in_links import IssuedLink


def door(home: Home) -> IssuedLink:
    """Return a link for a full administrator who is not disabled; if there is none, make one.

    Raises:
        Unavailable: the database does not answer.
    """
    return asyncio.run(_door(home))


async def _door(home: Home) -> IssuedLink:
    storage = Storage.open(f"sqlite:///{home.database}")
    try:
        return await sign_in_link(storage, now=datetime.now(UTC))
    finally:
        await storage.close()
