"""Whose rights a command needs: those of the state folder's owner, and no more."""

from __future__ import annotations

import os
from pathlib import Path


def act_as_owner(state: Path) -> None:
    """Let root go on as the user that the folder belongs to.

    Where the agent's service has a user of its own, nothing that root does by hand may leave
    files behind that the service cannot write, and nobody should need root's rights for it.
    """
    if os.geteuid() != 0:
        return
    try:
        found = state.stat()
    except FileNotFoundError:
        return
    if found.st_uid != 0:
        os.setgroups([])
        os.setgid(found.st_gid)
        os.setuid(found.st_uid)
