"""Explanations on a terminal: named updates, rules out of files, and trees in words."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from patchtide.adapters.publisher.folder import make_definition
from patchtide.entry.cli.client import Answer
from patchtide.entry.cli.commands import run
from patchtide.server.table import Operation

MACHINE = "018f4d3e-6f9a-4a53-9f6e-1f2d3c4b5a69"
UPDATES = [
    {"id": "018f4d3e-6f9a-4a53-9f6e-000000000001", "title": "openssl 3.0.15"},
    {"id": "018f4d3e-6f9a-4a53-9f6e-000000000002", "title": "openssl 3.0.15-2"},
]


def part(depth: int, says: str, verdict: bool | None, saw: str = "") -> dict[str, Any]:
    sentence = f"{says}: so it is."
    return {"depth": depth, "says": says, "verdict": verdict, "saw": saw, "sentence": sentence}


ABSENT = [part(1, f"deb lib{n} installed", False, "not installed") for n in range(5)]
LEAF = {
    "shard": "debian-12",
    "revision": 3,
    "state": "required",
    "why": "it is old",
    "lacking": [],
    "rules": [
        {
            "name": "applicable",
            "asks": "is what it concerns here?",
            "verdict": True,
            "parts": [part(0, "any of", True), *ABSENT, part(1, "deb toy installed", True, "1")],
        }
    ],
}
TOLD = {"facts_at": "2026-03-02T12:00:00Z", "packages_at": None, "untold": ["packages"]}
EXPLAINED = {
    "machine": MACHINE,
    "name": "web-1",
    "update": UPDATES[0]["id"],
    "title": "openssl 3.0.15",
    "state": "required",
    "why": "it is old",
    "reported": "installed",
    "doubt": "",
    "counted": "installed",
    "differs": ["the machine has told other facts since its last scan"],
    "wanted": ["facts", "packages"],
    "scanned_at": None,
    "told": TOLD,
    "leaves": [LEAF],
}


def ran(command: str, answer: Any = EXPLAINED) -> tuple[int, str, list[tuple[str, Any]]]:
    asked: list[tuple[str, Any]] = []
    text = io.StringIO()

    def ask(operation: Operation, values: Mapping[str, Any]) -> Answer:
        asked.append((operation.name, dict(values)))
        wanted = str(values.get("search", ""))
        listed = {"items": [u for u in UPDATES if wanted in u["title"]]}
        document = listed if operation.name == "updates.list" else answer
        return Answer(status=200, body=json.dumps(document).encode())

    console = Console(file=text, width=100, color_system=None, force_terminal=False)
    return run(shlex.split(command), ask=ask, console=console), text.getvalue(), asked


def test_an_explanation_is_a_tree_in_words() -> None:
    code, text, _ = ran(f"explain {MACHINE} {UPDATES[0]['id']}")

    assert code == 0
    assert text.splitlines() == [
        "openssl 3.0.15 on web-1",
        "  by the facts   required: it is old",
        "  reported       installed",
        "  may differ     the machine has told other facts since its last scan",
        "  facts told     2026-03-02 12:00",
        "  packages told  never",
        "  it is asked    for its facts and packages when it checks in next",
        "",
        "debian-12, revision 3: required",
        "",
        "is what it concerns here? yes",
        "  yes      any of",
        "             any of: so it is.",
        *(
            line
            for n in range(3)
            for line in (
                f"  no         deb lib{n} installed",
                f"               deb lib{n} installed: so it is.",
            )
        ),
        "  no         ...",
        "               2 more packages are not installed (--json names them).",
        "  yes        deb toy installed",
        "               deb toy installed: so it is.",
    ]


def test_for_programs_it_is_the_whole_answer() -> None:
    _, text, _ = ran(f"explain {MACHINE} {UPDATES[0]['id']} --json")

    assert json.loads(text) == EXPLAINED


@pytest.mark.parametrize(
    ("named", "code", "told"),
    [
        ("'openssl 3.0.15'", 0, ""),
        ("3.0.15-2", 0, ""),
        ("openssl", 2, "2 updates are meant by 'openssl'"),
        ("bash", 2, "holds 'bash'"),
    ],
)
def test_an_update_is_known_by_what_only_one_is_called(named: str, code: int, told: str) -> None:
    ended, text, asked = ran(f"explain {MACHINE} {named}")

    assert ended == code and told in " ".join(text.split())
    assert [name for name, _ in asked] == ["updates.list", "explain"][: 1 if code else 2]


def test_rules_come_out_of_a_file_or_as_they_are_typed(tmp_path: Path) -> None:
    file = tmp_path / "toy.rule"
    file.write_text("deb toy installed")

    said = [ran(f"machines whatif {MACHINE} {rule}")[2] for rule in (file, "'deb toy installed'")]

    assert (
        said[0]
        == said[1]
        == [("machines.whatif", {"machine": MACHINE, "rule": "deb toy installed"})]
    )


def test_a_definition_brings_all_three_rules(tmp_path: Path) -> None:
    make_definition(tmp_path)
    (tmp_path / "hello_2.10-3_amd64.deb").write_bytes(b"")
    definition = tmp_path / "update.yaml"

    code, said, asked = ran(f"machines whatif {MACHINE} {tmp_path}")
    beside, _, nothing = ran(f"machines whatif {MACHINE} {definition} --installed always")

    assert code == 0, said
    [(_, values)] = asked
    assert set(values) == {"machine", "rule", "prerequisite", "installed"}
    assert (beside, nothing) == (2, [])


def test_a_mistake_is_shown_under_its_line_and_nobody_is_asked() -> None:
    code, text, asked = ran(f"machines whatif {MACHINE} 'deb toy <'")
    _, document, _ = ran(f"machines whatif {MACHINE} 'deb toy <' --json")

    assert (code, asked) == (2, [])
    assert "  deb toy <\n" in text and "^" in text
    assert json.loads(document)["problems"][0]["column"] == 10


def test_the_fleet_is_asked_until_the_answer_is_complete() -> None:
    begun = {"is_complete": False, "stopped": "", "evaluated": 1, "of": 2, "items": []}
    answers = [begun, begun, {**begun, "is_complete": True, "evaluated": 2}]
    asked: list[str] = []
    text = io.StringIO()

    def ask(operation: Operation, values: Mapping[str, Any]) -> Answer:
        asked.append(operation.name)
        return Answer(status=200, body=json.dumps(answers[len(asked) - 1]).encode())

    console = Console(file=text, width=100, color_system=None, force_terminal=False)
    code = run(["whatif", "always", "--json"], ask=ask, console=console)

    assert (code, asked) == (0, ["whatif"] * 3)
    assert json.loads(text.getvalue())["evaluated"] == 2
