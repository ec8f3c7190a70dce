"""Commands that are more than a question to a server. Each is loaded when it is meant.

They bring storage, trust and the publisher's tools, which take longer to load than all that a
question needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from cyclopts import App

from patchtide.entry.cli.names import Ask
from patchtide.entry.cli.printing import Printer

Add = Callable[[App, Printer, Ask], None]


def add_apart(app: App, printer: Printer, ask: Ask, *, meant: str) -> None:
    """Add the command that is meant; where it is none of the others either, all of them."""
    if meant in APART:
        APART[meant](app, printer, ask)
    elif meant.startswith("-") or meant not in app:
        for add in APART.values():
            add(app, printer, ask)


def _up(app: App, printer: Printer, _: Ask) -> None:
    from patchtide.entry.cli.up.command import EXAMPLE, HELP, up_command

    app.command(
        up_command(printer),
        name="up",
        help=HELP,
        help_epilogue=f"Example: patchtide {EXAMPLE}",
    )


def _trust(app: App, printer: Printer, _: Ask) -> None:
    from patchtide.entry.cli.trust import trust_app

    app.command(trust_app(printer))


def _rules(app: App, printer: Printer, _: Ask) -> None:
    from patchtide.entry.cli.rules import rules_app

    app.command(rules_app(printer))


def _publisher(app: App, printer: Printer, ask: Ask) -> None:
    from patchtide.entry.cli.publisher import publisher_app

    app.command(publisher_app(printer, ask))


APART: Mapping[str, Add] = MappingProxyType(
    {"publisher": _publisher, "rules": _rules, "trust": _trust, "up": _up}
)
