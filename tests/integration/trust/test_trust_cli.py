"""The command line that the TUF conformance suite drives."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchtide.entry.agent import trust_cli
from tests.simulator.tuf_repository import TufRepository


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> TufRepository:
    made = TufRepository()
    made.publish()
    monkeypatch.setattr(trust_cli.time, "time", made.now.timestamp)
    return made


def run(folder: Path, base: str, *command: str) -> int:
    return trust_cli.main(
        [
            *("--metadata-dir", str(folder / "metadata"), "--metadata-url", f"{base}/metadata"),
            *("--target-dir", str(folder / "targets"), "--target-base-url", f"{base}/targets"),
            *("--target-name", "path/a", *command),
        ]
    )


def test_what_was_downloaded_is_not_downloaded_again(
    repository: TufRepository, tmp_path: Path
) -> None:
    repository.add_target("targets", "path/a", b"content")
    repository.publish()
    root = tmp_path / "root"
    root.write_bytes(repository.first_root)

    with repository.served() as base:
        codes = [
            run(tmp_path, base, "init", str(root)),
            run(tmp_path, base, "refresh"),
            run(tmp_path, base, "download"),
            run(tmp_path, base, "download"),
        ]

    assert codes == [0, 0, 0, 0]
    assert [p.read_bytes() for p in (tmp_path / "targets").iterdir()] == [b"content"]
    assert sum(path.startswith("/targets/") for path in repository.requests) == 1
    names = {p.name for p in (tmp_path / "metadata").glob("*.json")}
    assert names == {"root.json", "timestamp.json", "snapshot.json", "targets.json"}


def test_a_refusal_is_exit_code_one(repository: TufRepository, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.write_bytes(repository.first_root)
    repository.files["/metadata/timestamp.json"] = b"{}"

    with repository.served() as base:
        codes = [run(tmp_path, base, "init", str(root)), run(tmp_path, base, "refresh")]

    assert codes == [0, 1]
    assert run(tmp_path, base, "init", str(tmp_path / "missing")) == 1
