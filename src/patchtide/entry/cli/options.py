"""What may stand on a line beside what must."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def option(text: str, *names: str) -> Parameter:
    """Say what it is for, and its other names; it cannot be denied, nor is its absence told."""
    return Parameter(help=text, negative=(), show_default=False, alias=list(names) or None)


AsJson = Annotated[bool, option("Print as JSON.")]
Raw = Annotated[bool, option("Print what the server answers.")]
