"""S07: the file of the one-time code is private, goes with the code, and opens nothing itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from patchtide.domain.access.principals import Anonymous
from patchtide.domain.errors import NotFound, Unavailable
from patchtide.entry.server import serving
from patchtide.entry.server.code_file import CodeFile
from patchtide.entry.server.serving import Server
from patchtide.entry.server.settings import read_settings
from patchtide.server.bootstrap import Bootstrap, bootstrap
from patchtide.server.bootstrap_code import BootstrapCode
from patchtide.server.context import Call, nothing
from tests.integration.http.plane import CODE, AdministratorsPlane

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def a_server(home: Path) -> AsyncIterator[Server]:
    settings = read_settings(["--home", str(home), "--host", "127.0.0.1", "--port", "0"], {})
    async with serving.running(settings) as server:
        yield server


async def claim(server: Server, code: str) -> None:
    call = Call(context=server.context, operation="site.bootstrap", audited=True, body=nothing())
    await bootstrap(call, Anonymous(), Bootstrap(code=code))


async def test_a_fresh_server_names_a_private_file_with_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with a_server(tmp_path / "home") as server:
        serving._greet(server)
        path = server.code_file.path

        assert path.read_text() == f"{server.code}\n"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert str(path.absolute()) in capsys.readouterr().out


async def test_a_claim_removes_the_file_and_the_next_start_makes_none(tmp_path: Path) -> None:
    async with a_server(tmp_path / "home") as server:
        path = server.code_file.path
        await claim(server, path.read_text().strip())
        assert not path.exists()

    path.write_text("left over")
    async with a_server(tmp_path / "home") as server:
        assert server.code == "" and not path.exists()


async def test_a_server_that_ends_unclaimed_leaves_no_code(tmp_path: Path) -> None:
    async with a_server(tmp_path / "home") as server:
        first = server.code
    assert not server.code_file.path.exists()

    async with a_server(tmp_path / "home") as server:
        assert server.code_file.path.read_text().strip() == server.code != first


async def test_what_somebody_writes_into_the_file_claims_nothing(tmp_path: Path) -> None:
    async with a_server(tmp_path / "home") as server:
        server.code_file.path.write_text("chosen")
        with pytest.raises(NotFound):
            await claim(server, "chosen")

        assert server.storage.api_tokens() == []
        await claim(server, server.code)


async def test_a_link_that_waits_there_is_replaced_and_not_followed(tmp_path: Path) -> None:
    home, victim = tmp_path / "home", tmp_path / "victim"
    home.mkdir()
    victim.write_text("mine")
    (home / "bootstrap-code").symlink_to(victim)

    async with a_server(home) as server:
        assert not server.code_file.path.is_symlink()
    assert victim.read_text() == "mine"


def test_a_claim_that_could_not_be_stored_keeps_the_file(tmp_path: Path) -> None:
    file = CodeFile(tmp_path)

    async def statuses() -> list[tuple[int, bool]]:
        plane = AdministratorsPlane()
        code = BootstrapCode(CODE, spent=file.remove)
        object.__setattr__(plane.context, "bootstrap_code", code)
        found = []
        for breaks in (Unavailable(), None):
            plane.storage.breaks = breaks
            answer = await plane.ask("POST", "/api/v1/bootstrap", document={"code": CODE})
            found.append((answer.status, file.path.exists()))
        return found

    with file.holding(CODE):
        assert asyncio.run(statuses()) == [(503, True), (201, False)]


def test_a_file_that_cannot_be_removed_does_not_undo_the_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(Path, "unlink", refuse)

    CodeFile(tmp_path).remove()

    assert "cannot remove" in caplog.text
