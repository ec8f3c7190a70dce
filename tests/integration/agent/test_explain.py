"""`patchtide agent explain`: from what the machine holds, with no server to ask."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
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
from patchtide.domain.catalog.updates import Evaluator, LeafFile, Origin
from patchtide.entry.agent.__main__ import main
from patchtide.wire.vendor_indexes import (
    PackedV1,
    VendorIndexesV1,
    VendorIndexV1,
    VendorListV1,
    encode_vendors,
    pack_index,
    vendors_target_of,
)
from tests.simulator.agent_command import Agent, a_leaf, environment
from tests.simulator.apt_repository import SigningKey, needs_apt
from tests.simulator.site_server import LINEAGE, Site, running


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
    loop.send_signal(signal.SIGSTOP)  # it holds its lock, and writes nothing of its own meanwhile
    try:
        before = {path: path.stat().st_mtime_ns for path in files(enrolled.state)}
        found = said(enrolled, "1")
        after = {path: path.stat().st_mtime_ns for path in files(enrolled.state)}
    finally:
        loop.send_signal(signal.SIGCONT)

    assert found["state"] == "required" and loop.poll() is None
    assert after == before


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


LIST = "main/binary-amd64/Packages"
PACKAGE = "Package: {}\nVersion: {}\nArchitecture: amd64\nSize: 1\nSHA256: {}\n\n"


def a_vendors(number: int, package: str, version: str) -> Leaf:
    file = LeafFile(name=package, version=version, sha256=b"\7" * 32, size_bytes=1)
    leaf = replace(a_leaf(number, package, version), files=(file,))
    return replace(leaf, origin=Origin("feed:debian-security"))


def keep_index(site: Site, key: SigningKey, packages: bytes) -> None:
    named = f" {sha256(packages).hexdigest()} {len(packages)} {LIST}\n"
    release = f"Label: Toys\nSuite: stable\nDate: Sat, 21 Nov 2026 10:00:00 UTC\nSHA256:\n{named}"
    files = [pack_index(data) for data in (key.sign(release.encode()), packages)]
    sizes = [len(key.sign(release.encode())), len(packages)]
    signed, listed = (
        PackedV1(sha256(data).digest(), len(data), size)
        for data, size in zip(files, sizes, strict=True)
    )
    site.content |= {sha256(data).hexdigest(): data for data in files}
    index = VendorIndexV1(kind="apt", name="x", signed=signed, lists=(VendorListV1(LIST, listed),))
    document = VendorIndexesV1(lineage=LINEAGE, shard="debian-12", indexes=(index,))
    files_signed = {vendors_target_of("debian-12"): encode_vendors(document)}
    site.repository.publish("feeds", files_signed, datetime.now(UTC))


@needs_apt
def test_a_machine_says_whose_signature_covers_an_update_and_why_none_does(
    agent: Agent, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    for folder in ("etc", "usr/share/keyrings", "var/lib/dpkg/info", "var/lib/dpkg/updates"):
        (root / folder).mkdir(parents=True)
    (root / "etc/os-release").write_text("ID=debian\nVERSION_ID=12\n")
    stanza = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}\n\n"
    have = (("dpkg", "1.21"), ("openssl", "3.0.1"), ("curl", "8.0"))
    (root / "var/lib/dpkg/status").write_text("".join(stanza.format(*each) for each in have))
    agent.platform = f"apt:{root}"

    def vendor(number: int) -> Any:
        words = [str(number), "--platform", agent.platform, "--verify"]
        assert main(agent.command("explain", *words, "--json")[3:]) == 0
        return json.loads(capsys.readouterr().out)["vendor"]

    with SigningKey("toys") as key, running(tmp_path / "site") as site:
        key.keyring(root / "usr/share/keyrings/debian-archive-keyring.gpg")
        site.publish("custom", a_leaf(3, "curl", "9.2"))
        site.publish("debian-12", a_vendors(1, "openssl", "3.0.2"), a_vendors(2, "curl", "9.0"))
        assert agent.enrol(site).returncode == 0
        assert agent.once().returncode == 0
        before = [vendor(number)["code"] for number in (1, 3)]
        listed = PACKAGE.format("openssl", "3.0.2", "07" * 32)
        keep_index(site, key, listed.encode())
        covered, left_out = vendor(1), vendor(2)
        with SigningKey("other") as other:
            keep_index(site, other, PACKAGE.format("curl", "9.0", "07" * 32).encode())
        refused = vendor(2)
        assert main(agent.command("explain", "1", "--platform", agent.platform)[3:]) == 0
        plain = capsys.readouterr().out

    [signature] = covered["signatures"]
    assert before == ["no-index", "other-role"]
    assert covered["verified"] and len(signature.pop("keys")) == 1
    assert signature == {"index": "Toys stable", "dated": "Sat, 21 Nov 2026 10:00:00 UTC"}
    assert (left_out["code"], refused["code"]) == ("not-listed", "vendor-refused")
    assert "vendor    not asked; --verify" in plain
