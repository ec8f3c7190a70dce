"""`patchtide rules check`: the canonical text, or every mistake with its place."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from patchtide.domain.catalog.rule_parser import MAX_LENGTH
from patchtide.entry.cli.commands import run


def ran(*arguments: str) -> tuple[int, str]:
    text = io.StringIO()
    console = Console(file=text, width=60, color_system=None, force_terminal=False)
    return run(["rules", "check", *arguments], console=console), text.getvalue()


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "toy.rule"


def test_a_rule_is_printed_in_its_canonical_text(written: Path) -> None:
    written.write_text("file /etc/nologin exists  # a comment\n")

    assert ran(str(written)) == (0, 'file "/etc/nologin" exists\n')


def test_for_programs_it_has_its_structured_form_and_what_it_asks_for(written: Path) -> None:
    written.write_text("not service ssh running or kernel < 6.1")

    code, text = ran(str(written), "--json")

    assert code == 0
    assert json.loads(text) == {
        "rule": "not service ssh running or kernel < 6.1",
        "structured": [
            "or",
            ["not", ["fact", "service.running", ["ssh"]]],
            ["fact", "kernel", [], "<", "6.1"],
        ],
        "asks": ["service.running ssh"],
    }


def test_every_mistake_is_shown_under_its_line(written: Path) -> None:
    written.write_text("os debian 12 an arch amd64\nor dbe openssl\n")

    code, text = ran(str(written))

    assert code == 2, "as for `whatif`: what it was given is wrong"
    nothing = "nothing is meant by `an` here: `and` or `or` follows"
    assert text.splitlines() == [
        f"line 1, column 14: {nothing}; did you mean `and`?",
        "  os debian 12 an arch amd64",
        "               ^^",
        "line 2, column 4: no condition begins with `dbe`; did you mean `deb`?",
        "  or dbe openssl",
        "     ^^^",
    ]


def test_for_programs_a_mistake_has_its_numbers(written: Path) -> None:
    written.write_text("always and\n  dbe openssl")

    code, text = ran(str(written), "--json")

    assert code == 2
    [problem] = json.loads(text)["problems"]
    assert (problem["line"], problem["column"], problem["length"]) == (2, 3, 3)
    assert (problem["where"], problem["hint"]) == ("line 2, column 3", "did you mean `deb`?")


def test_the_standard_input_is_read_for_a_hyphen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"always")))

    assert ran("-") == (0, "always\n")


REFUSED = {
    "no text": (b"\xff\xfe", 1, "is no text in UTF-8: byte 0 is not"),
    "too long": (b"x" * (4 * MAX_LENGTH + 1), 2, f"a rule has at most {MAX_LENGTH} characters"),
    "what cannot be published": (
        b'unsupported "pkg apk"',
        1,
        "operator 'pkg apk' is not known here",
    ),
}


@pytest.mark.parametrize(("content", "status", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_rule_is_refused(written: Path, content: bytes, status: int, why: str) -> None:
    written.write_bytes(content)

    for arguments in ([], ["--json"]):
        code, text = ran(str(written), *arguments)
        assert code == status
        assert why in text


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    code, text = ran(str(tmp_path / "none.rule"))

    assert code == 1
    assert text.startswith("refused: ") and "No such file or directory" in text
