"""The command line: derived from the table, safe for a terminal, honest in its exit codes."""

from __future__ import annotations

import io
import json
import runpy
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin
from uuid import UUID

import pytest
from msgspec.structs import fields
from rich.console import Console

import patchtide.entry.cli as cli
from patchtide.entry.cli.client import Answer, Misconfigured, Unreachable, request_of
from patchtide.entry.cli.commands import run
from patchtide.server.operations import OPERATIONS
from patchtide.server.table import Operation

ROOT = Path(__file__).parents[4]
COMMANDS = [o for o in OPERATIONS if o.plane.is_interface and not o.step_of and not o.only_people]
TABLES = [o for o in COMMANDS if o.columns]
MACHINE = "018f4d3e-6f9a-4a53-9f6e-1f2d3c4b5a69"

Asked = list[tuple[str, dict[str, Any]]]


def ran(
    command: str, *, status: int = 200, document: Any = None, body: bytes | None = None
) -> tuple[int, str, Asked]:
    """Run a command against a server that gives this one answer."""
    asked: Asked = []
    text = io.StringIO()

    def ask(operation: Operation, values: Mapping[str, Any]) -> Answer:
        asked.append((operation.name, dict(values)))
        return Answer(status=status, body=json.dumps(document).encode() if body is None else body)

    console = Console(file=text, width=100, color_system=None, force_terminal=False)
    return run(shlex.split(command), ask=ask, console=console), text.getvalue(), asked


DERIVED: Callable[[], dict[Path, str]] = runpy.run_path(
    str(ROOT / "scripts/reference_pages.py"), run_name="pages"
)["documents"]


def test_the_reference_page_and_the_help_are_what_the_table_says() -> None:
    stale = [
        str(path)
        for path, text in DERIVED().items()
        if not (ROOT / path).exists() or (ROOT / path).read_text() != text
    ]

    assert stale == [], "run scripts/reference_pages.py"


MACHINES = [{"id": "1", "name": "web-1"}, {"id": "2", "name": "web-2"}]
COLLECTIONS = [{"id": "3", "name": "Web servers"}, {"id": "4", "name": "Test servers"}]


@pytest.mark.parametrize("operation", COMMANDS, ids=lambda o: o.name)
def test_every_example_is_a_command_that_asks_its_operation(
    operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a secret\nanother\n"))
    example = operation.example or operation.name.replace(".", " ")

    code, _, asked = ran(example, document={"items": [*MACHINES, *COLLECTIONS]})

    named = [
        lookup
        for lookup, items in (("machines.list", MACHINES), ("collections.list", COLLECTIONS))
        for word in shlex.split(example)
        if word in [item["name"] for item in items]
    ]
    assert code == 0 and [name for name, _ in asked] == [*named, operation.name]


def test_only_what_was_said_is_sent() -> None:
    _, _, asked = ran("tokens create --uses 5 --hours 24 --approve")

    assert asked == [("tokens.create", {"uses": 5, "approve": True})]


def test_values_go_where_the_operation_wants_them() -> None:
    show, create = OPERATIONS["machines.show"], OPERATIONS["api-tokens.create"]
    some = OPERATIONS["machines.list"]

    assert request_of(show, {"machine": UUID(MACHINE)}) == (f"/api/v1/machines/{MACHINE}", None)
    assert request_of(some, {"search": "a&b=c"}) == ("/api/v1/machines?search=a%26b%3Dc", None)
    assert request_of(create, {"rights": ("audit.read",)}) == (
        "/api/v1/api-tokens",
        b'{"rights":["audit.read"]}',
    )
    assert request_of(OPERATIONS["tokens.revoke"], {"token": "../x?y"})[0] == (
        "/api/v1/tokens/..%2Fx%3Fy"
    )


CODES = {200: 0, 204: 0, 400: 2, 401: 1, 403: 1, 404: 1, 409: 1, 429: 1, 500: 1, 503: 3}


@pytest.mark.parametrize(("status", "code"), CODES.items())
def test_the_exit_code_says_how_it_went(status: int, code: int) -> None:
    assert ran("whoami", status=status, document={"code": "x", "detail": "y"})[0] == code


@pytest.mark.parametrize(
    "command", ["nonsense", "machines show", "updates show x", "tokens create --uses many"]
)
def test_a_misused_command_asks_nothing(command: str) -> None:
    code, _, asked = ran(command)

    assert (code, asked) == (2, [])


@pytest.mark.parametrize("command", ["whoami", "catalog export x"])
@pytest.mark.parametrize(("error", "code"), [(Misconfigured("m"), 2), (Unreachable("u"), 3)])
def test_without_a_server_the_command_says_so(error: Exception, code: int, command: str) -> None:
    def ask(operation: Operation, values: Mapping[str, Any]) -> Answer:
        raise error

    text = io.StringIO()
    assert run(command.split(), ask=ask, console=Console(file=text)) == code
    assert text.getvalue().strip() == str(error)


def test_json_is_the_answer_as_it_came() -> None:
    document = {"items": [{"name": "x" * 300, "state": "[bold]active"}], "next": None}

    _, text, _ = ran("machines list --json", document=document)

    assert json.loads(text) == document and text.count("\n") == 1


def test_a_list_is_a_table() -> None:
    document = {"items": [{"name": "web-1", "full_report": True}], "next": "n1"}

    _, text, _ = ran("tokens list", document=document)

    assert [line.split() for line in text.splitlines()] == [
        ["name", "full", "report"],
        ["web-1", "yes"],
        ["next", "n1"],
    ]


def test_a_row_that_is_wider_than_the_terminal_stays_one_line() -> None:
    row = {f"column {n}": f"value{n}-of-the-row" for n in range(12)}

    _, text, _ = ran("tokens list", document={"items": [row, row]})

    assert [line.count("-of-the-row") for line in text.splitlines()] == [0, 12, 12]


TWINS = [{"id": f"{n}", "name": name} for n, name in enumerate(["web-1", "web-10", "db", "db"])]


@pytest.mark.parametrize(
    ("said", "code", "asked_for", "told"),
    [
        ("web-1", 0, "0", ""),
        ("018f4d3e-6f9a-4a53-9f6e-1f2d3c4b5a69", 0, "018f4d3e-6f9a-4a53-9f6e-1f2d3c4b5a69", ""),
        ("web", 2, None, "no machine is called 'web'; there is web-1, web-10, db, db"),
        ("db", 2, None, "'db' is the name of 2 machines; say which: 2, 3"),
    ],
)
def test_a_machine_is_known_by_its_name_where_one_has_it(
    said: str, code: int, asked_for: str | None, told: str
) -> None:
    ended, text, asked = ran(f"machines show {said}", document={"items": TWINS})

    assert ended == code
    assert [v["machine"] for name, v in asked if name == "machines.show"] == (
        [] if code else [asked_for]
    )
    assert told in " ".join(text.split())


def test_several_machines_are_known_by_their_names_and_one_that_is_not_stops_all() -> None:
    def asked_of(names: str) -> tuple[int, list[list[str]]]:
        ended, _, asked = ran(f"machines describe {names} --owner a", document={"items": TWINS})
        return ended, [v["machines"] for name, v in asked if name == "machines.describe"]

    assert asked_of("web-1 web-10") == (0, [["0", "1"]])
    assert asked_of("web-1 db") == (2, [])


def test_collections_are_known_by_their_names_whatever_their_capitals() -> None:
    def asked_of(said: str) -> tuple[int, str, list[dict[str, Any]]]:
        ended, text, asked = ran(f"collections change {said}", document={"items": COLLECTIONS})
        return ended, " ".join(text.split()), [v for name, v in asked if "change" in name]

    found = asked_of("'web SERVERS' --limiting 'Test servers' --include 'Web servers'")
    _, told, _ = asked_of("servers")

    assert found[::2] == (0, [{"collection": "3", "limiting": "4", "include": ["3"]}])
    assert told == "no collection is called 'servers'; there is Web servers, Test servers"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("'web servers'", "3"),
        ("machine:web-2", "machine:2"),
        ("list:spring", "list:spring"),
        ("018f4d3e-6f9a-4a53-9f6e-1f2d3c4b5a69", "018f4d3e-6f9a-4a53-9f6e-1f2d3c4b5a69"),
    ],
)
def test_the_place_that_rights_end_at_is_known_by_its_name(said: str, meant: str) -> None:
    known = {"items": [*COLLECTIONS, *MACHINES]}

    ended, _, asked = ran(f"users create eve --role engineer --within {said}", document=known)

    assert ended == 0
    assert [v["within"] for name, v in asked if name == "users.create"] == [meant]


@pytest.mark.parametrize("name", ["\x1b[2J\x1b]0;owned\x07", "\x9b31m", "a\rb", "\u202e", "[red]"])
@pytest.mark.parametrize("flag", ["", "--json"])
def test_a_machines_name_cannot_command_the_terminal(name: str, flag: str) -> None:
    body = b'{"items":[{"name":' + json.dumps(name, ensure_ascii=False).encode() + b"}]}"

    _, text, _ = ran(f"machines list {flag}", body=body)

    assert all(c.isprintable() or c == "\n" for c in text)
    assert name != "[red]" or "[red]" in text


def test_a_refusal_names_every_mistake() -> None:
    problems = [{"where": "uses", "what": "too few"}, {"where": "hours", "what": "too many"}]

    _, text, _ = ran(
        "tokens create", status=400, document={"code": "invalid-document", "problems": problems}
    )

    assert text == "invalid-document:\n  uses: too few\n  hours: too many\n"


def test_an_answer_of_somebody_else_does_not_break_the_command() -> None:
    code, text, _ = ran("whoami", status=502, body=b"<html>Bad Gateway</html>")

    assert code == 3 and "Bad Gateway" in text


class Became(Exception):
    pass


@pytest.mark.parametrize("process", cli.PROCESSES)
def test_a_process_replaces_the_command_and_gets_its_arguments_untouched(
    process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def execv(path: str, command: list[str]) -> None:
        seen.append(command)
        raise Became

    monkeypatch.setattr(cli.os, "execv", execv)  # there is no other way to survive it
    monkeypatch.setitem(sys.modules, "cyclopts", None)
    with pytest.raises(Became):
        cli.main([process, "--help", "; rm -rf /"])

    assert seen[0][1:] == ["-P", "-m", cli.PROCESSES[process], "--help", "; rm -rf /"]


def test_without_the_servers_libraries_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cyclopts", None)
    monkeypatch.delitem(sys.modules, "patchtide.entry.cli.commands")

    assert cli.main(["whoami"]) == 2
    assert "patchtide[server]" in capsys.readouterr().err


def test_a_table_shows_the_columns_that_the_operation_names_and_json_shows_all() -> None:
    document = {"items": [{"id": "i1", "site": "hq", "name": "web-1", "required": 3}]}

    _, table, _ = ran("machines list", document=document)
    _, text, _ = ran("machines list --json", document=document)

    assert [line.split() for line in table.splitlines()] == [
        ["name", "required", "id"],
        ["web-1", "3", "i1"],
    ]
    assert json.loads(text) == document


def test_what_is_nested_is_said_in_words() -> None:
    document = {
        "counts": {"compliant": 2, "unknown": 1},
        "rating": {
            "exploited": False,
            "note": "",
            "targets": [{"risk": "high", "within_days": 14}],
        },
        "max_run_s": 1800,
        "released": "2026-03-02T12:30:00Z",
        "cves": None,
        "worst": [{"title": "openssl", "rules": [{"depth": 1, "text": "all of"}]}],
    }

    _, text, _ = ran("whoami", document=document)

    assert [line.rstrip() for line in text.splitlines()] == [
        "counts    compliant 2, unknown 1",
        "rating    exploited no",
        "          targets:",
        "          high 14 days",
        "max run   1,800 s",
        "released  2026-03-02 12:30",
        "cves      -",
        "",
        "worst",
        "title    rules",
        "openssl    all of",
    ]


@pytest.mark.parametrize("operation", TABLES, ids=lambda o: o.name)
def test_columns_are_fields_of_what_is_listed(operation: Operation) -> None:
    assert operation.output is not None
    lists = [get_args(f.type)[0] for f in fields(operation.output) if get_origin(f.type) is tuple]

    assert set(operation.columns) <= {field.name for kind in lists for field in fields(kind)}


def test_a_link_is_shown_as_people_open_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATCHTIDE_URL", "https://updates.example:8540/")

    _, text, _ = ran("users link 0f1e2d3c4b5a", document={"link": "/welcome#ab"})

    assert text.split() == ["link", "https://updates.example:8540/welcome#ab"]


def test_a_password_is_asked_for_and_is_no_word_of_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("old words\nnew words\n"))

    code, _, asked = ran("users password")

    assert code == 0
    assert asked == [("users.password", {"old": "old words", "new": "new words"})]
    assert ran("users password --old x")[0] == 2
