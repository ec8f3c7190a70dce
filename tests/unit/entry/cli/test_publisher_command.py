"""`patchtide publisher`, and the guide's own examples."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from patchtide.adapters.publisher.definition import read_definition
from patchtide.entry.cli.client import Answer
from patchtide.entry.cli.commands import run
from patchtide.server.table import Operation
from tests.simulator.debs import a_deb

GUIDE = Path(__file__).parents[4] / "docs/admin/guides/publish-your-own-updates.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)

MISSING = "No such file or directory; put the file there, or mend the path"


def ran(*arguments: str) -> tuple[int, str]:
    text = io.StringIO()
    console = Console(file=text, width=200, color_system=None, force_terminal=False)
    return run(["publisher", *arguments], console=console), text.getvalue()


STANDING = {
    "machine": "018f4d3e-6f9a-4a53-9f6e-1f2d3c4b5a69",
    "name": "web-1",
    "state": "unknown",
    "why": "facts",
    "told": {"facts_at": None, "packages_at": None, "untold": ["facts"]},
    "leaf": {
        "lacking": ["os"],
        "rules": [
            {
                "name": "installed",
                "asks": "",
                "verdict": None,
                "parts": [{"depth": 0, "says": "deb hello >= 2.10-3", "verdict": None, "saw": ""}],
            }
        ],
    },
}


def test_a_trial_on_a_machine_of_the_site_goes_by_what_it_has_told(tmp_path: Path) -> None:
    ran("new", str(tmp_path))
    (tmp_path / "hello_2.10-3_amd64.deb").write_bytes(a_deb())
    asked: list[tuple[str, dict[str, Any]]] = []

    def ask(operation: Operation, values: Mapping[str, Any]) -> Answer:
        asked.append((operation.name, dict(values)))
        found = {"items": [{"id": STANDING["machine"], "name": "web-1"}]}
        said = found if operation.name == "machines.list" else STANDING
        return Answer(status=200, body=json.dumps(said).encode())

    text = io.StringIO()
    console = Console(file=text, width=200, color_system=None, force_terminal=False)
    words = ["publisher", "test", str(tmp_path), "--machine", "web-1", "--json"]
    code = run(words, ask=ask, console=console)

    [_, (name, values)] = asked
    assert (code, name) == (0, "machines.whatif")
    assert values == {
        "machine": STANDING["machine"],
        "prerequisite": "arch amd64 and os debian 12",
        "rule": "deb hello installed",
        "installed": "deb hello >= 2.10-3",
    }
    said = json.loads(text.getvalue())
    assert [(row["state"], row["not_told"]) for row in said["items"]] == [
        ("unknown", ["facts", "os"])
    ]
    assert [(row["rule"], row["verdict"]) for row in said["rules"]] == [("installed", "unknown")]


def test_what_new_writes_is_valid_once_its_file_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "hello"

    assert ran("new", str(folder))[0] == 0
    code, text = ran("validate", str(folder))
    assert code == 1
    assert text.splitlines()[1:] == [
        f"  line 21, column 11: hello_2.10-3_amd64.deb cannot be read: {MISSING}",
        "      - path: hello_2.10-3_amd64.deb",
        "              ^^^^^^^^^^^^^^^^^^^^^^",
    ]
    (folder / "hello_2.10-3_amd64.deb").write_bytes(a_deb())
    code, text = ran("validate", str(folder), "--json")
    assert (code, json.loads(text)["items"][0]["id"]) == (0, "example/hello/2.10")


def test_new_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "update.yaml").write_text("mine")

    assert ran("new", str(tmp_path))[0] == 1
    assert (tmp_path / "update.yaml").read_text() == "mine"


def test_for_programs_a_mistake_has_its_file_and_numbers(tmp_path: Path) -> None:
    (tmp_path / "update.yaml").write_text("id: &a x")

    code, text = ran("validate", str(tmp_path), "--json")

    said = json.loads(text)
    assert (code, said["code"]) == (1, "invalid-definition")
    assert said["problems"] == [
        {
            "file": str(tmp_path / "update.yaml"),
            "where": "line 1, column 5",
            "what": "the anchor `a` is not read",
            "hint": "write the words themselves instead",
            "line": 1,
            "column": 5,
            "length": 4,
        }
    ]


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    code, text = ran("validate", str(tmp_path / "none"))

    assert code == 1
    assert "No such file" in text


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_the_guide_is_valid(example: str) -> None:
    made = read_definition(example, file="update.yaml", measure=lambda name: (b"\7" * 32, 1))

    assert made.files


def test_the_guide_has_an_example_of_a_package_and_one_of_a_program() -> None:
    assert [re.findall(r"kind: (\w+)", example) for example in EXAMPLES] == [["deb"], ["program"]]


@pytest.mark.parametrize(
    ("packages", "state"),
    [({}, "not-required"), ({"hello": "2.9-1"}, "required"), ({"hello": "2.10-3"}, "installed")],
)
def test_a_trial_says_how_the_update_would_stand_and_changes_nothing(
    tmp_path: Path, packages: dict[str, str], state: str
) -> None:
    ran("new", str(tmp_path))
    (tmp_path / "hello_2.10-3_amd64.deb").write_bytes(a_deb())
    machine = tmp_path / "machine.json"
    before = json.dumps({"os_id": "debian", "os_version": "12", "packages": packages})
    machine.write_text(before)

    code, text = ran("test", str(tmp_path), "--platform", f"simulated:{machine}", "--json")

    said = json.loads(text)
    assert (code, [(row["id"], row["state"]) for row in said["items"]]) == (
        0,
        [("example/hello/2.10", state)],
    )
    seen = f"{packages['hello']} (amd64)" if packages else "not installed"
    assert [(row["rule"], row["says"].strip(), row["saw"]) for row in said["rules"]][2:] == [
        ("prerequisite", "os debian 12", "debian 12"),
        ("applicable", "deb hello installed", seen),
        ("installed", "deb hello >= 2.10-3", seen),
    ]
    assert machine.read_text() == before


def test_a_trial_wants_valid_definitions_and_a_machine(tmp_path: Path) -> None:
    ran("new", str(tmp_path))

    code, text = ran("test", str(tmp_path))
    assert (code, "put the file there" in text) == (1, True)
    (tmp_path / "hello_2.10-3_amd64.deb").write_bytes(a_deb())
    code, text = ran("test", str(tmp_path), "--platform", "toaster")
    assert (code, "is auto, apt or dnf" in text) == (1, True)
