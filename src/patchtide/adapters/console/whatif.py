"""What if these rules were an update's: which machines would need it, before it is published."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.explanations import trees
from patchtide.adapters.console.machine_page import machine_id
from patchtide.adapters.console.replies import Reply
from patchtide.adapters.console.visits import Visit
from patchtide.domain.catalog.rule_mistakes import InvalidRule
from patchtide.domain.catalog.rule_parser import parse_rule
from patchtide.domain.errors import NotFound

RULES: Mapping[str, str] = {"rule": "", "prerequisite": "always", "installed": "never"}
"""The fields of the form, and what stands for one that is left empty."""
EXAMPLES: tuple[tuple[str, str], ...] = (
    ("os debian 12 and deb openssl < 3.0.15-1~deb12u1", "an old openssl on Debian 12"),
    ("deb nginx installed and not deb fail2ban installed", "what is missing beside something"),
    ("kernel < 6.1.0-25 and service ssh enabled", "an old kernel on a server with ssh"),
)
PAGE = 100
_PLACES = ("state", "after")


async def page(desk: Desk, visit: Visit) -> Reply:
    said = _said(visit)
    mistakes = _mistakes(said)
    found = None
    if said["rule"] and not mistakes:
        asked = {name: visit.query[name] for name in _PLACES if visit.query.get(name)}
        found = await desk.ask(visit, "whatif", **_rules(said), **asked, limit=PAGE)

    def to(**values: str) -> str:
        """Return the address of the same question, at another place of its answer."""
        kept = {name: text for name, text in said.items() if text}
        return f"{visit.path}?{urlencode({**kept, **values})}"

    return desk.page(
        visit,
        "whatif.html",
        said=said,
        mistakes=mistakes,
        found=found,
        state=visit.query.get("state", ""),
        to=to,
        question=urlencode({name: text for name, text in said.items() if text}),
        rule_examples=EXAMPLES,
    )


async def machine(desk: Desk, visit: Visit) -> Reply:
    """Show why the rules come to what they do on one machine."""
    said = _said(visit)
    if not said["rule"] or _mistakes(said):
        raise NotFound
    found = await desk.ask(visit, "machines.whatif", machine=machine_id(visit), **_rules(said))
    back = f"/whatif?{urlencode({name: text for name, text in said.items() if text})}"
    return desk.page(
        visit, "whatif_machine.html", found=found, trees=list(trees(found.leaf)), back=back
    )


def _said(visit: Visit) -> dict[str, str]:
    return {name: visit.query.get(name, "").strip() for name in RULES}


def _rules(said: Mapping[str, str]) -> dict[str, str]:
    return {name: text or RULES[name] for name, text in said.items()}


def _mistakes(said: Mapping[str, str]) -> dict[str, InvalidRule]:
    found: dict[str, InvalidRule] = {}
    for name, text in said.items():
        try:
            if text:
                parse_rule(text)
        except InvalidRule as error:
            found[name] = error
    return found
