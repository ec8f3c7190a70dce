"""`patchtide agent explain`: from what the machine holds, with no server to ask."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rule_parser import parse_rule
from patchtide.domain.catalog.rules import (
    Comparison,
    Not,
    OperatingSystem,
    Or,
    PackageFormat,
    PackageInstalled,
)
from patchtide.domain.catalog.updates import Evaluator
from tests.simulator.agent_command import Agent, a_leaf, environment
from tests.simulator.site_server import Site, running


def older(names: Sequence[str], version: str) -> Not:
    return Not(
        Or(
            tuple(
                PackageInstalled(PackageFormat.DEB, name, Comparison.LESS, version)
                for name in names
            )
        )
    )


@pytest.fixture
def knowing(agent: Agent, tmp_path: Path) -> Agent:
    """An agent whose server went away after one report. Its machine has openssl and curl."""
    agent.answers = (("file.size", ("/opt/toy",), "4"), ("service.running", ("toy",), False))
    agent.set_packages(openssl="3.0.1", curl="8.0")
    names = ["openssl", *(f"openssl-{n}" for n in range(20))]
    leaves: list[Leaf] = [
        replace(a_leaf(1, "openssl", "3.0.2"), installed=older(names, "3.0.2")),
        a_leaf(2, "curl", "7.0"),
        a_leaf(3, "nginx", "1.22"),
        replace(a_leaf(4, "curl", "9.0"), prerequisite=OperatingSystem("debian", ("13",))),
        replace(a_leaf(5, "curl", "9.1"), applicable=PackageInstalled(PackageFormat.RPM, "curl")),
        replace(a_leaf(6, "libcurl", "9.2"), evaluator=Evaluator.WINDOWS),
        replace(
            a_leaf(17, "toy", "1"),
            applicable=parse_rule('file "/opt/toy" size > 0'),
            installed=parse_rule("service toy running"),
        ),
        replace(a_leaf(18, "toy", "2"), applicable=parse_rule("query rack exists")),
    ]
    with running(tmp_path / "site") as site:
        site.publish("custom", *leaves)
        assert agent.enrol(site).returncode == 0
        assert agent.once().returncode == 0
    return agent


def said(agent: Agent, update: str) -> dict[str, Any]:
    done = agent.explain(update, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("number", "state", "why"),
    [
        (1, "required", "older version"),
        (2, "installed", "or a newer one"),
        (3, "not-required", "nothing that it concerns"),
        (4, "not-required", "not for this system"),
        (5, "unknown", "did not say what the rule asks"),
        (6, "unknown", "a program that this machine does not have"),
        (17, "required", "its own rule finds it missing"),
        (18, "unknown", "did not say what the rule asks"),
    ],
)
def test_each_state_has_its_reason(knowing: Agent, number: int, state: str, why: str) -> None:
    found = said(knowing, str(number))

    assert (found["number"], found["state"], found["reported"]) == (number, state, state)
    assert why in found["why"]


def test_each_condition_is_in_words_with_what_it_saw(knowing: Agent) -> None:
    text = knowing.explain("1").stdout
    rows = [" ".join(line.split()) for line in text.splitlines()]

    assert "from custom, serial 1, signed by publisher" in rows
    assert "is what it concerns here? yes" in rows
    assert "is it installed? no" in rows
    assert "yes deb openssl < 3.0.2 saw: 3.0.1 (amd64)" in rows
    assert "no 20 more packages (--all names them) saw: not installed" in rows
    assert "openssl-7" not in text and "openssl-7" in knowing.explain("1", "--all").stdout


def test_facts_that_only_a_rule_asks_for_are_shown_with_what_they_said(knowing: Agent) -> None:
    rows = [" ".join(line.split()) for line in knowing.explain("17").stdout.splitlines()]

    assert 'yes file "/opt/toy" size > 0 saw: 4' in rows
    assert "no service toy running saw: no" in rows


def test_what_the_machine_says_now_counts_and_what_was_told_is_told_apart(knowing: Agent) -> None:
    knowing.set_packages(openssl="3.0.2", curl="8.0")

    found = said(knowing, "1")

    assert (found["state"], found["reported"]) == ("installed", "required")
    assert "reported  required; the next scan tells" in knowing.explain("1").stdout


@pytest.mark.parametrize("words", ["1", str(UUID(int=1)), "openssl", "OpenSSL 3.0.2", "enSSL 3"])
def test_an_update_is_known_by_number_id_and_parts_of_names(knowing: Agent, words: str) -> None:
    assert said(knowing, words)["number"] == 1


def test_words_that_fit_several_list_them_and_the_required_ones_first(knowing: Agent) -> None:
    knowing.set_packages(openssl="3.0.1", curl="6.0")

    listed = knowing.explain("curl")
    found = json.loads(knowing.explain("curl", "--json").stdout)["matches"]

    assert listed.returncode == 1 and "explain one of them by its number" in listed.stderr
    assert [row.split()[:2] for row in listed.stdout.splitlines()] == [
        ["2", "required"],
        ["4", "not-required"],
        ["5", "unknown"],
    ]
    assert [match["number"] for match in found] == [2, 4, 5]


@pytest.mark.parametrize("words", ["7", str(UUID(int=7)), "apache2"])
def test_words_that_fit_nothing_say_what_would(knowing: Agent, words: str) -> None:
    done = knowing.explain(words)

    assert done.returncode == 1 and done.stdout == ""
    assert words in done.stderr and "what is in" in done.stderr


def test_without_a_catalog_it_says_how_to_get_one(enrolled: Agent) -> None:
    done = enrolled.explain("openssl")

    assert done.returncode == 1
    assert "no-catalog" in done.stderr and "agent once" in done.stderr


def test_nothing_that_a_feed_wrote_moves_the_terminal(enrolled: Agent, site: Site) -> None:
    site.publish("custom", replace(a_leaf(1, "curl", "9"), title="\x1b[2Jall is well"))
    enrolled.once()

    done = enrolled.explain("1")

    assert "all is well" in done.stdout and "\x1b" not in done.stdout


def test_it_may_look_while_the_loop_runs_and_changes_nothing(
    loop: subprocess.Popen[str], enrolled: Agent
) -> None:
    before = {path: path.stat().st_mtime_ns for path in files(enrolled.state)}

    found = said(enrolled, "1")

    assert found["state"] == "required" and loop.poll() is None
    assert {path: path.stat().st_mtime_ns for path in files(enrolled.state)} == before


def files(folder: Path) -> list[Path]:
    """What the agent wrote; whoever reads SQLite's log leaves the log's empty files behind."""
    return [p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".db-wal", ".db-shm")]


def test_it_needs_neither_tls_nor_tuf(knowing: Agent) -> None:
    arguments = knowing.command("explain", "1", "--platform", f"simulated:{knowing.machine}")[3:]
    script = (
        "import sys; from patchtide.entry.agent.__main__ import main; main(sys.argv[1:]);"
        " print(sorted({'ssl', 'tuf', 'urllib3', 'cryptography', 'sqlalchemy'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"
