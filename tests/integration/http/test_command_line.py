"""The command line against a real server over real TLS (S23): verified, or not at all."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from rich.console import Console

from patchtide.adapters.http.protocol import ConnectionLimits
from patchtide.entry.cli.client import Client, Misconfigured
from patchtide.entry.cli.commands import run
from tests.integration.http.plane import CODE, AdministratorsPlane
from tests.integration.http.test_connections import serving


class Shell:
    """Runs commands with an environment, in a thread, as a process would."""

    def __init__(self, **environment: str) -> None:
        self.environment = environment

    async def __call__(self, *command: str) -> tuple[int, str]:
        text = io.StringIO()
        console = Console(file=text, width=200, color_system=None, force_terminal=False)
        client = Client.of(self.environment)
        code = await asyncio.to_thread(run, command, ask=client.ask, console=console)
        return code, text.getvalue()


def context_of(certificate: trustme.LeafCert, *, highest: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = highest
    certificate.configure_cert(context)
    return context


def with_server(
    scenario: Callable[[str], Any],
    ca: trustme.CA,
    *,
    name: str = "127.0.0.1",
    highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    plane: AdministratorsPlane | None = None,
) -> Any:
    tls = context_of(ca.issue_cert(name), highest=highest)

    async def story() -> Any:
        app = (plane or AdministratorsPlane()).app
        async with serving(app, ConnectionLimits(), tls=tls) as port:
            return await scenario(f"https://127.0.0.1:{port}")

    return asyncio.run(story())


@pytest.fixture
def ca(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


def test_from_the_first_claim_to_a_machine_in_quarantine(ca: trustme.CA, tmp_path: Path) -> None:
    plane = AdministratorsPlane()

    async def story(url: str) -> list[Any]:
        machine = str(await plane.machine())
        file = str(tmp_path / "ca.pem")
        nobody = Shell(PATCHTIDE_URL=url, PATCHTIDE_CA=file)
        claimed = json.loads((await nobody("site", "bootstrap", CODE, "--json"))[1])
        admin = Shell(PATCHTIDE_URL=url, PATCHTIDE_CA=file, PATCHTIDE_TOKEN=claimed["token"])
        refused = await nobody("machines", "list")
        made = await admin("tokens", "create", "--uses", "3", "--json")
        moved = await admin("machines", "quarantine", machine)
        listed = await admin("machines", "list", "--state", "quarantined", "--json")
        again = await admin("machines", "quarantine", machine)
        return [refused, json.loads(made[1])["token"][:4], moved, json.loads(listed[1]), again]

    refused, token, moved, listed, again = with_server(story, ca, plane=plane)
    assert refused[0] == 1 and refused[1].startswith("unauthenticated")
    assert token == "pt1." and moved == (0, "")
    assert [m["state"] for m in listed["items"]] == ["quarantined"]
    assert again == (1, "wrong-state: the machine is quarantined\n")


def test_the_description_is_printed_as_it_is(ca: trustme.CA, tmp_path: Path) -> None:
    plane = AdministratorsPlane()

    async def story(url: str) -> str:
        token = await plane.token(role="auditor")
        shell = Shell(
            PATCHTIDE_URL=url, PATCHTIDE_CA=str(tmp_path / "ca.pem"), PATCHTIDE_TOKEN=token
        )
        return (await shell("site", "description"))[1]

    assert json.loads(with_server(story, ca, plane=plane))["openapi"] == "3.1.0"


STRANGERS = {
    "another CA": {"other": True},
    "another name": {"name": "elsewhere.example"},
    "an old TLS": {"highest": ssl.TLSVersion.TLSv1_2},
}


@pytest.mark.parametrize("how", STRANGERS.values(), ids=STRANGERS)
def test_a_server_that_is_not_the_site_hears_no_token(
    how: dict[str, Any], ca: trustme.CA, tmp_path: Path
) -> None:
    how = dict(how)
    signer = trustme.CA() if how.pop("other", False) else ca

    async def story(url: str) -> tuple[int, str]:
        shell = Shell(
            PATCHTIDE_URL=url, PATCHTIDE_CA=str(tmp_path / "ca.pem"), PATCHTIDE_TOKEN="secret"
        )
        return await shell("whoami")

    code, text = with_server(story, signer, **how)
    assert code == 3 and "secret" not in text


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PATCHTIDE_URL": "http://127.0.0.1:1"},
        {"PATCHTIDE_URL": "patchtide.example"},
        {"PATCHTIDE_URL": "https://h", "PATCHTIDE_CA": "/nowhere/ca.pem"},
    ],
)
def test_an_environment_that_is_not_safe_is_not_used(environment: dict[str, str]) -> None:
    with pytest.raises(Misconfigured):
        Client.of(environment)


TYPED = {
    "a group": ("patchtide mach", "machines"),
    "a command": ("patchtide updates sh", "show"),
    "a process": ("patchtide ser", "serve"),
    "an option": ("patchtide machines list --comp", "--compliance"),
    "a word": ("patchtide machines list --compliance req", "required"),
}


@pytest.mark.parametrize(("line", "completed"), TYPED.values(), ids=TYPED)
def test_bash_completes_what_is_typed(line: str, completed: str, tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(printed("completion", "bash"))
    words = " ".join(line.split())
    asked = (
        f"source {script}; COMP_WORDS=({words}); COMP_CWORD={len(line.split()) - 1}; "
        "_patchtide; echo ${COMPREPLY[@]}"
    )

    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)

    assert done.stdout.split() == [completed]


def printed(*command: str) -> str:
    text = io.StringIO()
    assert run(command, console=Console(file=text, width=100, color_system=None)) == 0
    return text.getvalue()
