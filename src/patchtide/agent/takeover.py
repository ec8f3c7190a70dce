"""Takes other updaters over when the site wants it, gives them back, and says so.

Whoever the site does not know any more gives them back: a machine that was retired is nobody's.
"""

from __future__ import annotations

from collections.abc import Sequence

from patchtide.agent.ports.link import Answer, LinkFailed, News, NoNews
from patchtide.agent.ports.takeover import Takeover, TakeoverFailed
from patchtide.agent.settings import Settings
from patchtide.domain.sequencer import events as ev

RETIRED = "not-recognised"


class NobodyElse:
    """Where nobody else installs updates: machines that are only described."""

    def at_work(self) -> Sequence[str]:
        return ()

    def taken(self) -> Sequence[str]:
        return ()

    def hold(self, *, wanted: bool) -> None: ...


def followed(
    takeover: Takeover, answer: Answer, settings: Settings
) -> tuple[list[ev.Note], str | None]:
    """Do what the site's answer means; return what happened, and why it is not done.

    What was written on the machine needs no answer. None: there is nothing to do.
    """
    wanted = settings.takes_over_here
    match answer:
        case News() | NoNews():
            wanted = settings.takes_over()
        case LinkFailed(code=code) if code == RETIRED:
            wanted = False
        case _:
            pass
    if wanted is None:
        return [], None
    before = set(takeover.taken())
    try:
        takeover.hold(wanted=wanted)
    except TakeoverFailed as error:
        return [], str(error)
    after = set(takeover.taken())
    notes = [
        ev.Note(code, ", ".join(sorted(who)))
        for code, who in (
            ("updaters-taken-over", after - before),
            ("updaters-given-back", before - after),
        )
        if who
    ]
    left = takeover.at_work() if wanted else ()
    return notes, f"{', '.join(left)}: still at work" if left else ""
