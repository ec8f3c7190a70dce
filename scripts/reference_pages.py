"""Write what is derived: the reference of operations, that of rules, and the commands' help.

    python scripts/reference_pages.py          writes them
    python scripts/reference_pages.py --check  says which of them are out of date (exit code 1)

They come from the operation table and the table of facts. A test compares them byte for byte, so
a change of a table carries its pages with it.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields
from rich.console import Console

from patchtide.domain.access.rights import ROLES, Kind, Verb
from patchtide.domain.catalog.rule_facts import FACTS, Declared
from patchtide.domain.catalog.rule_guide import COMBINATIONS, CONDITIONS, TESTS, Said
from patchtide.domain.catalog.rule_parser import MAX_LENGTH
from patchtide.domain.catalog.rule_values import BETWEEN, KINDS, MATCHES
from patchtide.domain.catalog.rules import MAX_DEPTH, MAX_NAMES, MAX_NODES, MAX_TEXT, Comparison
from patchtide.entry.cli.client import Answer
from patchtide.entry.cli.commands import example_of, run
from patchtide.entry.cli.publisher import COMMANDS as PUBLISHER
from patchtide.entry.cli.rules import COMMANDS as RULES
from patchtide.entry.cli.trust import COMMANDS as TRUST
from patchtide.server.operations import OPERATIONS
from patchtide.server.table import Operation, Plane

ROOT = Path(__file__).parents[1]
PAGE = Path("docs/reference/operations.md")
RULES_PAGE = Path("docs/reference/rules.md")
RULES_TEXT = ROOT / "scripts/rules_page.md"
"""What is the same in every version; names in braces stand for what the tables say."""
HELP = Path("tests/golden/cli_help")
WIDTH = 100
_HEADINGS = {
    Plane.ADMINISTRATORS: "The administrators' plane",
    Plane.PUBLIC: "Open to anybody",
    Plane.CONSOLE: "The console's pages and forms",
    Plane.AGENTS: "The agents' plane",
}
_HEAD = """\
# Operations

Everything that can be asked of a server, made by `scripts/reference_pages.py` from the operation
table. Each operation has one name, which is also the name of its audit entries and, with a blank
for the dot, of its command. Requests and answers are JSON; refusals are problem documents
(RFC 9457) with one of the [error codes](errors.md). A signed-in caller finds the OpenAPI 3.1
description under `/api/v1/openapi.json`.

Who asks is known by `Authorization: Bearer <API token>` and by nothing else. Whoever may not even
read a kind of object gets the answer of an address that does not exist; whoever may read it, but
lacks the right for more, is refused.

The command line reads `PATCHTIDE_URL`, `PATCHTIDE_TOKEN` and `PATCHTIDE_CA` (the file of the
site's CA); `--json` prints the answer as it came. Its exit codes:

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | refused |
| 2 | misused: the command, its input or its environment |
| 3 | the server cannot be reached or cannot answer now |
"""


def documents() -> dict[Path, str]:
    """Return every derived document: path below the root -> text."""
    helped = {HELP / f"{name}.txt": text for name, text in helps()}
    return {PAGE: page(), RULES_PAGE: rules_page(), **helped}


def page() -> str:
    return "\n".join([_HEAD, *_rights(), *_planes()]).rstrip("\n") + "\n"


def helps() -> Iterator[tuple[str, str]]:
    commands = [
        o for o in OPERATIONS if o.plane.is_interface and not o.step_of and not o.only_people
    ]
    groups = sorted({o.group for o in commands if o.group})
    names = ["", *groups, *(o.name.replace(".", " ") for o in commands), "completion"]
    names += ["catalog export", "catalog import"]
    names += ["up", "trust", *(f"trust {name}" for name in TRUST)]
    names += ["publisher", *(f"publisher {name}" for name in PUBLISHER)]
    names += ["rules", *(f"rules {name}" for name in RULES)]
    for name in names:
        yield name.replace(" ", "_") or "patchtide", _help_of(name)


def _help_of(name: str) -> str:
    text = io.StringIO()
    console = Console(file=text, width=WIDTH, color_system=None, force_terminal=False)
    run([*name.split(), "--help"], ask=_nobody, console=console)
    return "".join(line.rstrip() + "\n" for line in text.getvalue().splitlines())


def _nobody(operation: Operation, values: Any) -> Answer:
    raise LookupError(f"help asked for {operation.name}")


def _rights() -> Iterator[str]:
    yield "## Rights\n"
    yield f"A right is a verb on a kind of object: {_listed(Verb)}; on {_listed(Kind)}."
    yield "`administer` includes every other verb on its kind. The ready roles:\n"
    yield "| role | rights |"
    yield "| --- | --- |"
    for role, held in ROLES.items():
        yield f"| `{role}` | {_listed(sorted(held))} |"
    yield ""


def _listed(things: Any) -> str:
    return ", ".join(f"`{thing}`" for thing in things)


def _planes() -> Iterator[str]:
    for plane, heading in _HEADINGS.items():
        yield f"## {heading}\n"
        for operation in OPERATIONS:
            if operation.plane is plane:
                yield from _section(operation)


def _section(operation: Operation) -> Iterator[str]:
    yield f"### `{operation.name}`\n"
    yield f"{operation.sentence}\n"
    yield f"- Request: `{operation.method} {operation.path.replace(':path', '')}`"
    scoped = "; for the machines of a collection, there" if operation.narrows else ""
    scoped += "; for an update list, what is on it" if operation.narrows_updates else ""
    yield f"- Needs: {' and '.join(map(str, operation.needs))}{scoped}"
    if operation.needs_proof:
        who = "a person, and no program" if operation.only_people else "a person"
        yield f"- Proof: {who} must have [proved](errors.md#sign-in-again) lately who it is"
    yield f"- Audited: {'yes' if operation.audited else 'no'}"
    if operation.four_eyes is not None:
        where = "../admin/guides/four-eyes.md"
        yield f"- Four eyes: [may wait]({where}) for a second person, and then answers 202"
    if operation.plane.is_interface and not operation.only_people:
        command = operation.step_of or example_of(operation)
        step = "a step of " if operation.step_of else ""
        yield f"- Command: {step}`patchtide {command}`"
    if operation.takes_file:
        yield "- Body: a file, as it is"
    yield ""
    asked = fields(operation.input)
    if asked:
        yield from _table("asked with", [(f, _said(f)) for f in asked])
    if operation.output is not None:
        yield f"Answers {operation.status} with {_answers(operation.output)}.\n"
    elif operation.handler is not None:
        yield f"Answers {operation.status}.\n"


def _table(title: str, rows: list[tuple[FieldInfo, str]]) -> Iterator[str]:
    yield f"| {title} | |"
    yield "| --- | --- |"
    for field, text in rows:
        yield f"| `{field.encode_name}` | {text} |"
    yield ""


def _said(field: FieldInfo) -> str:
    schema = msgspec.json.schema(field.type)
    text = schema.pop("description", "")
    if field.required:
        return f"{text} Required."
    if field.default in ("", None, ()):
        return str(text)
    return f"{text} Default: `{msgspec.json.encode(field.default).decode()}`."


def _answers(kind: type[msgspec.Struct]) -> str:
    return _listed(f.encode_name for f in fields(kind))


def rules_page() -> str:
    limits = {
        "MAX_LENGTH": f"{MAX_LENGTH:,}",
        "MAX_NODES": f"{MAX_NODES:,}",
        "MAX_DEPTH": str(MAX_DEPTH),
        "MAX_NAMES": str(MAX_NAMES),
        "MAX_TEXT": str(MAX_TEXT),
    }
    text = RULES_TEXT.read_text()
    for name, number in limits.items():
        text = text.replace(f"{{{name}}}", number)
    parts = {
        "COMBINATIONS": _guide("said", COMBINATIONS),
        "CONDITIONS": _guide("condition", CONDITIONS),
        "TESTS": _guide("test", TESTS),
        "FACTS": _facts(),
        "KINDS": _kinds(),
    }
    for name, lines in parts.items():
        text = text.replace(f"{{{name}}}", "\n".join(lines))
    return text


def _guide(title: str, entries: tuple[Said, ...]) -> Iterator[str]:
    is_about_facts = any(entry.collected for entry in entries)
    more = (" where it comes from |", " --- |") if is_about_facts else ("", "")
    yield f"| {title} | holds when |{more[0]} for example |"
    yield f"| --- | --- |{more[1]} --- |"
    for entry in entries:
        examples = "<br>".join(f"`{example}`" for example in entry.examples)
        source = f" {entry.collected or 'nowhere: it is no fact'} |" if is_about_facts else ""
        yield f"| {entry.form} | {entry.says} |{source} {examples} |"


def _facts() -> Iterator[str]:
    yield "| fact | kind | what it says | where it comes from | for example |"
    yield "| --- | --- | --- | --- | --- |"
    for fact in FACTS.values():
        if fact.is_spoken:
            yield (
                f"| {_form(fact)} | {fact.kind.value} | {fact.says} | {fact.collected}"
                f" | `{fact.example}` |"
            )


def _form(fact: Declared) -> str:
    words = [f"`{fact.subject}`", *(key.upper() for key in fact.keys)]
    return " ".join([*words, f"`{fact.attribute}`"] if fact.attribute else words)


def _kinds() -> Iterator[str]:
    yield "| kind | what is written | tests |"
    yield "| --- | --- | --- |"
    order = [*Comparison, BETWEEN, MATCHES]
    for name, kind in KINDS.items():
        tests = ", ".join(f"`{test}`" for test in order if test in kind.tests)
        yield f"| {name.value} | {kind.says} | {tests or 'none: it is said alone'} |"


def main(arguments: list[str]) -> int:
    os.chdir(ROOT)
    made = documents()
    stale = [p for p, text in made.items() if not p.exists() or p.read_text() != text]
    strays = [p for p in HELP.glob("*.txt") if p not in made]
    if "--check" in arguments:
        sys.stdout.writelines(f"out of date: {path}\n" for path in [*stale, *strays])
        return 1 if stale or strays else 0
    for path in strays:
        path.unlink()
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made[path])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
