"""An installer on the wire: what runs, with which arguments, and what its exit codes mean.

It is understood as a whole or not at all. A field, a kind or a value that this version does not
know may change what installing means, so such an installer is none, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from patchtide.domain.catalog.installers import Installer, InstallerKind
from patchtide.wire.messages import Text

MAX_ARGUMENTS = 256
MAX_CODES = 256
Code = Annotated[int, Meta(ge=0, lt=2**32)]
Codes = Annotated[tuple[Code, ...], Meta(max_length=MAX_CODES)]


class InstallerV1(
    Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True
):
    kind: InstallerKind
    program: Text = ""
    arguments: Annotated[tuple[Text, ...], Meta(max_length=MAX_ARGUMENTS)] = ()
    """Each reaches the program as it is: nothing splits or expands them."""
    success_codes: Codes = (0,)
    restart_codes: Codes = ()
    run_time_s: Annotated[int, Meta(ge=1, le=86_400)] = 1_800


def said_installer(installer: Installer) -> InstallerV1:
    return InstallerV1(
        kind=installer.kind,
        program=installer.program,
        arguments=installer.arguments,
        success_codes=tuple(sorted(installer.success_codes)),
        restart_codes=tuple(sorted(installer.restart_codes)),
        run_time_s=int(installer.run_time.total_seconds()),
    )


def read_installer(said: object, *, files: Collection[str]) -> Installer | None:
    """Return the installer, or None: there is none, or none that is known and sound here."""
    if said is None:
        return None
    try:
        known = msgspec.convert(said, InstallerV1)
    except (msgspec.ValidationError, RecursionError):
        return None
    installer = Installer(
        kind=known.kind,
        program=known.program,
        arguments=known.arguments,
        success_codes=frozenset(known.success_codes),
        restart_codes=frozenset(known.restart_codes),
        run_time=timedelta(seconds=known.run_time_s),
    )
    return None if installer.flaw(files) else installer
