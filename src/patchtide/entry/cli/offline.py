"""Commands that ask no server: they work on files of this machine and say what came of it.

They print like those that ask one, end with the same codes, and have `--json` too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

import msgspec

from patchtide.domain.errors import InvalidDocument, PatchtideError, Refused
from patchtide.entry.cli.client import Misconfigured, Unreachable
from patchtide.entry.cli.options import AsJson
from patchtide.entry.cli.printing import Printer

DONE, REFUSED, MISUSED = 0, 1, 2
Document = Mapping[str, Any]
_JSON = inspect.Parameter(
    "json",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=AsJson,
)


class NoRepository(PatchtideError):
    """There is no signed repository in this folder."""

    code = "no-repository"


def offline_command(work: Callable[..., Document], printer: Printer) -> Callable[..., int]:
    """Return the command that does the work and prints the document that it returns."""

    def command(*positional: Any, json: bool = False, **named: Any) -> int:
        try:
            document, code = work(*positional, **named), DONE
        except (Misconfigured, Unreachable):
            raise
        except PatchtideError as error:
            document, code = _refusal(error)
        except OSError as error:
            document, code = _refusal(Refused(f"{error.filename}: {error.strerror}"))
        printer.show(msgspec.json.encode(document), is_done=code == DONE, as_json=json)
        return code

    hints = get_type_hints(work, include_extras=True)
    given = inspect.signature(work).parameters.values()
    signature = inspect.Signature([*(p.replace(annotation=hints[p.name]) for p in given), _JSON])
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    command.__name__, command.__doc__ = work.__name__, work.__doc__
    return command


def _refusal(error: PatchtideError) -> tuple[Document, int]:
    document: dict[str, Any] = {"code": error.code, "detail": str(error)}
    if isinstance(error, InvalidDocument):
        document["problems"] = [{"where": p.where, "what": p.what} for p in error.problems]
    return document, MISUSED if isinstance(error, InvalidDocument | NoRepository) else REFUSED
