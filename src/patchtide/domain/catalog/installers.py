"""How an update's files are installed: by a package's own tool, or by one of the files itself.

There are only declared installers. A program is named by its file and given a list of arguments,
which reach it as they are: no shell splits or expands them, and no words of a command line can be
put in the place of a program (S05).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

RUN_TIME = timedelta(minutes=30)
"""How long an installation may take if nobody says otherwise."""
LONGEST_RUN = timedelta(hours=24)
MAX_ARGUMENTS = 256
MAX_ARGUMENT = 256
MAX_CODE = (1 << 32) - 1
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9+._~^-]{0,127}", re.ASCII)
"""A file in the folder where an installer's files lie: it leads nowhere else, and is no option."""
_UNSEEN = re.compile(r"[\x00-\x1f\x7f]")


class InstallerKind(StrEnum):
    """What installs an update's files."""

    DEB = "deb"
    RPM = "rpm"
    PROGRAM = "program"
    """One of the files is run, with a list of arguments; no shell reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installer:
    """How an update's files are installed, and what the program's exit code means.

    `program` is the name of the file that is run; only a program has one, with arguments.
    """

    kind: InstallerKind
    program: str = ""
    arguments: tuple[str, ...] = ()
    success_codes: frozenset[int] = frozenset((0,))
    restart_codes: frozenset[int] = frozenset()
    """It went well, and the machine has to restart."""
    run_time: timedelta = RUN_TIME
    """After which it counts as failed."""

    def flaw(self, files: Collection[str]) -> str:
        """Say what keeps it from being run with files of these names; empty: nothing does."""
        if not timedelta(0) < self.run_time <= LONGEST_RUN:
            return "it may run for a day at most"
        if self.kind is not InstallerKind.PROGRAM:
            return "only programs have arguments" if self.program or self.arguments else ""
        if not FILE_NAME.fullmatch(self.program) or self.program not in files:
            return "the program is none of its files"
        if len(self.arguments) > MAX_ARGUMENTS or not all(map(_is_one_word, self.arguments)):
            return "an argument is too long, or holds what nobody sees"
        codes = self.success_codes | self.restart_codes
        if not codes or not all(0 <= code <= MAX_CODE for code in codes):
            return "an exit code is none, or none means that it went well"
        if self.success_codes & self.restart_codes:
            return "an exit code means two things"
        return ""


def _is_one_word(argument: str) -> bool:
    return len(argument) <= MAX_ARGUMENT and not _UNSEEN.search(argument)
