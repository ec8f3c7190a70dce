"""A form that waits for a proof: what of it is the proof, and what goes on to where it was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from patchtide.adapters.console.visits import FORM_TOKEN

TO, PASSWORD, CREDENTIAL = "proof_to", "proof_password", "proof_credential"
_STAYS = frozenset({TO, PASSWORD, CREDENTIAL, FORM_TOKEN})


def going_on(form: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Return the fields as they go on: no page tells a proof again, and none sends it further."""
    return [(n, value) for n, values in form.items() if n not in _STAYS for value in values]
