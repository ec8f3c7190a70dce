"""The console leads to a custom update's definition, checked as the publisher's own is."""

from __future__ import annotations

import re

import pytest

from patchtide.adapters.publisher.definition import read_definition
from patchtide.domain.catalog.installers import InstallerKind
from tests.integration.console.visitor import ConsoleSite

pytestmark = pytest.mark.anyio
WHAT = {
    "id": "acme/backup/2.4",
    "title": 'Acme: "backup" <2.4>',
    "vendor": "Acme",
    "products": "Acme backup, Tools",
    "classification": "security",
    "severity": "important",
    "description": "One.\r\n\r\n  - Two: indented\r\n",
    "cves": "CVE-2026-12345",
}
PACKAGE = {"kind": "deb", "file": "acme_2.4-1_amd64.deb", "package": "acme", "version": "2.4-1"}
PROGRAM = {
    "kind": "program",
    "file": "sensor-7.run",
    "arguments": "--target\r\n/opt/acme dir\r\n#no comment",
    "restart_codes": "194, 3010",
    "maximum_run_time": "1 h",
}
RULES = {
    "prerequisite": "# both\r\narch in (amd64, arm64)",
    "applicable": 'file "/opt/acme: x" exists',
    "installed": "deb acme >= 2.4-1",
}


def shown(page: str, name: str) -> str:
    found = re.search(rf'<textarea id="{name}".*?>(.*?)</textarea>', page, re.DOTALL)
    return found[1] if found else ""


async def test_a_package_becomes_a_definition_that_the_publisher_reads(site: ConsoleSite) -> None:
    visitor = await site.signed_in("maria", "engineer")
    begin = (await visitor.get("/define")).body.decode()
    said = {**WHAT, **PACKAGE}
    second = (await visitor.post("/define", {**said, "step": "what", "go": "file"})).body.decode()
    third = (await visitor.post("/define", {**said, "step": "file", "go": "rules"})).body.decode()
    said |= {"prerequisite": "os debian 12"}
    said |= {name: shown(third, name) for name in ("applicable", "installed")}
    said["installed"] = said["installed"].replace("&gt;", ">")
    last = (await visitor.post("/define", {**said, "step": "rules", "go": "summary"})).body.decode()
    taken = await visitor.post("/define/file", said)

    assert "1. What it is" in begin and 'value="Acme: &#34;backup&#34; &lt;2.4&gt;"' in second
    assert (said["applicable"], said["installed"]) == ("deb acme installed", "deb acme >= 2.4-1")
    assert "patchtide publisher publish acme-backup-2.4 --sign-with KEY.pem" in last
    assert taken.headers["content-disposition"] == 'attachment; filename="update.yaml"'
    text = taken.body.decode()
    read = read_definition(text, file="update.yaml", measure=lambda path: (bytes(32), 7))
    assert (read.id, read.title, read.products) == (
        WHAT["id"], WHAT["title"], ("Acme backup", "Tools"),
    )  # fmt: skip
    assert read.description == "One.\n\n  - Two: indented"
    assert [(f.name, f.version, f.size_bytes) for f in read.files] == [("acme", "2.4-1", 7)]


async def test_a_program_keeps_each_argument_and_rule_as_it_was_said(site: ConsoleSite) -> None:
    visitor = await site.signed_in("maria", "engineer")
    await visitor.get("/define")

    taken = await visitor.post("/define/file", {**WHAT, **PROGRAM, **RULES})

    text = taken.body.decode()
    read = read_definition(text, file="update.yaml", measure=lambda path: (bytes(32), 7))
    assert (read.installer.kind, read.installer.program) == (InstallerKind.PROGRAM, "sensor-7.run")
    assert read.installer.arguments == ("--target", "/opt/acme dir", "#no comment")
    assert read.installer.restart_codes == {194, 3010}


async def test_a_step_with_mistakes_is_shown_again_with_each_at_its_field(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in("maria", "engineer")
    await visitor.get("/define")
    wrong = {**WHAT, **PACKAGE, **RULES, "installed": "deb acme >= 2.4-1 and\r\nfoo bar"}

    early = await visitor.post("/define", {"id": "ACME", "step": "what", "go": "file"})
    late = await visitor.post("/define", {**wrong, "step": "rules", "go": "summary"})
    back = await visitor.post("/define", {**wrong, "step": "rules", "go": "what"})
    forced = await visitor.post("/define/file", wrong)

    page = early.body.decode()
    assert early.status == 400 and 'id="id-wrong"' in page and 'id="title-wrong"' in page
    assert "no id of an update" in page and 'aria-current="step">1.' in page
    page = late.body.decode()
    assert late.status == 400 and 'aria-current="step">3.' in page
    assert re.search(
        r"no condition begins with `foo`.*?> *foo bar\n *\^\^\^</pre>", page, re.DOTALL
    )
    assert 'id="applicable-wrong"' not in page
    assert back.status == 200 and "problem" not in back.body.decode()
    assert forced.status == 400 and "yaml" not in forced.headers["content-type"]


async def test_only_whoever_may_publish_is_led_there(site: ConsoleSite) -> None:
    reader = await site.signed_in("ben", "auditor")

    assert (await reader.get("/define")).status == 403
    assert "/define" not in (await reader.get("/updates")).body.decode()
