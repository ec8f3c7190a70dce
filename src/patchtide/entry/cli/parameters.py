"""What a command takes on its line, from what its operation takes, and what is typed unseen."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from getpass import getpass
from types import GenericAlias
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import Parameter
from msgspec import Meta
from msgspec.structs import FieldInfo

from patchtide.entry.cli.names import (
    COLLECTION,
    LIMITING,
    MACHINE,
    MACHINES,
    OTHERS,
    UPDATE,
    WITHIN,
)
from patchtide.entry.cli.options import option
from patchtide.entry.cli.rule_files import RULE
from patchtide.server.table import SECRET, Operation

BY_TITLE = frozenset({"explain", "history.show", "subscriptions.add"})
"""Ask about an update that people name by its title."""


def parted(asked: Sequence[FieldInfo]) -> tuple[list[FieldInfo], list[FieldInfo]]:
    """Return which fields are secret, and which are given on the line."""
    secret = [field for field in asked if _is_secret(field)]
    return secret, [field for field in asked if field not in secret]


def parameters(given: Sequence[FieldInfo], operation: Operation) -> list[inspect.Parameter]:
    """Return what the command takes, what is required first."""
    first = sorted(given, key=lambda field: not field.required)
    flags = [_WAIT, _JSON] if operation.watch else [_JSON]
    return [*(_parameter(field, operation) for field in first), *flags]


def typed(field: FieldInfo) -> str:
    """Ask without an echo; what comes through a pipe is taken line by line."""
    if sys.stdin.isatty():
        return getpass(f"{_plain(field.type)[1]} ")
    return sys.stdin.readline().rstrip("\n")


def _is_secret(field: FieldInfo) -> bool:
    """Say whether it is asked for: on a command line every user of the machine could read it."""
    metas = get_args(field.type)[1:] if get_origin(field.type) is Annotated else ()
    return any(isinstance(m, Meta) and m.extra_json_schema == SECRET for m in metas)


def _parameter(field: FieldInfo, operation: Operation) -> inspect.Parameter:
    kind = (
        inspect.Parameter.POSITIONAL_OR_KEYWORD
        if field.required
        else inspect.Parameter.KEYWORD_ONLY
    )
    plain, text = _plain(field.type)
    if field.name == MACHINE:
        plain = str if field.required else str | None
        text = f"{text.removesuffix('.')} or name."
    elif field.name == MACHINES and plain is not str:  # as one text they are a query
        plain, text = GenericAlias(tuple, (str, ...)), f"{text.removesuffix('.')} or names."
    elif field.name in (COLLECTION, LIMITING):
        plain = str if field.required else str | None
        text = f"{text.removesuffix('.').removesuffix(', by its id')}, by its id or its name."
    elif field.name == WITHIN:
        text = text.replace("The id of a collection", "A collection, by its id or its name")
        text = text.replace("the id of one machine", "one machine's id or name")
    elif field.name in OTHERS:
        plain = GenericAlias(tuple, (str, ...))
        text = text.replace("Ids", "Ids or names", 1)
    elif field.name == UPDATE and operation.name in BY_TITLE:
        plain = str if field.required else str | None
        text = f"{text.removesuffix('.')}, or words that only one has in its title."
    elif field.name == RULE and operation.is_question:
        text = f"{text.removesuffix('.')}, or a file with one or with a definition in YAML."
    default = default_of(field)
    says_default = default not in (inspect.Parameter.empty, None, "", (), False)
    if default in ("", ()):
        # Nothing said: the empty word need not be among those that may be said.
        plain, default = plain | None, None
    # What stays as it is unless it is said can be said both ways.
    negative = None if plain == bool | None else ()
    shown = Parameter(help=text, negative=negative, show_default=says_default)
    return inspect.Parameter(field.name, kind, default=default, annotation=Annotated[plain, shown])


def default_of(field: FieldInfo) -> Any:
    return inspect.Parameter.empty if field.required else field.default


def _plain(kind: Any) -> tuple[Any, str]:
    """Return the type without its bounds, which the server checks, and what it is for."""
    if get_origin(kind) is Annotated:
        inner, *metas = get_args(kind)
        text = next((m.description for m in metas if isinstance(m, Meta) and m.description), "")
        plain, described = _plain(inner)
        return plain, text or described
    if get_origin(kind) is tuple:
        return GenericAlias(tuple, (_plain(get_args(kind)[0])[0], ...)), ""
    if get_origin(kind) is Literal:
        # The empty word stands for none given, which on a command line is said by silence.
        return Literal.__getitem__(tuple(word for word in get_args(kind) if word)), ""
    return kind, ""


def _flag(name: str, text: str) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, option(text)],
    )


_JSON = _flag("json", "Print what the server answers.")
_WAIT = _flag("wait", "Wait for its end, and say how far it is meanwhile.")
