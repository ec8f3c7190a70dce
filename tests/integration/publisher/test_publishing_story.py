"""A custom update from its definition to a machine: signed where its publisher's key is (S01)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.publisher.story import (
    DEFINITION,
    PROGRAM,
    Publisher,
    machine_of,
    publisher_at,
)


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    folder = tmp_path_factory.mktemp("site")
    with publisher_at(folder) as (_, made):
        yield made


def a_package(folder: Path, version: str) -> None:
    """Write a definition and the package that it defines."""
    build = folder / f"build-{version}"
    (build / "DEBIAN").mkdir(parents=True)
    control = f"Package: acme-backup\nVersion: {version}\nArchitecture: amd64\n"
    control += "Maintainer: Acme <acme@example.org>\nDescription: backups\n"
    (build / "DEBIAN/control").write_text(control)
    made = folder / f"acme-backup_{version}_amd64.deb"
    command = ["dpkg-deb", "--root-owner-group", "--build", str(build), str(made)]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "update.yaml").write_text(DEFINITION.replace("VERSION", version))


def test_a_new_site_signs_by_itself_until_the_publishers_key_has_moved_away(
    publisher: Publisher, tmp_path: Path
) -> None:
    (tmp_path / "update.yaml").write_text(PROGRAM.replace("acme/sensor", "acme/first"))
    (tmp_path / "sensor.run").write_bytes(b"#!/bin/sh\n")

    made = publisher.publishes(tmp_path)
    shown = publisher("updates", "show", made["items"][0]["update"])[1]
    gone = publisher.publishes("acme/first", word="expire")

    assert [made["state"], gone["state"]] == ["in force", "in force"]
    assert shown["leaves"][0]["installer"]["arguments"] == ["--target", "/opt/acme; reboot"]
    refused = publisher("publisher", "expire", "acme/other")[1]
    assert refused["code"] == "invalid-document"
    assert "acme/other: is no custom update here" in refused["detail"]


def test_from_a_definition_to_a_machine_and_back(publisher: Publisher, tmp_path: Path) -> None:
    [anna] = publisher.takes_the_keys("anna")
    own, updates = tmp_path / "machine", tmp_path / "updates"
    updates.mkdir()
    (updates / "sensor.update.yaml").write_text(PROGRAM)
    (updates / "sensor.run").write_bytes(b"#!/bin/sh\nexit 194\n")
    a_package(updates, "2.4")
    signed = ("--sign-with", anna)

    refused = publisher("publisher", "publish", str(updates))
    strange = publisher("publisher", "publish", str(updates), *map(str, signed))
    other = publisher(
        "publisher", "publish", str(updates), *map(str, signed), "--root-sha256", "00" * 32
    )
    first = publisher.publishes(updates, *signed, "--root-sha256", publisher.root())
    again = publisher.publishes(updates, *signed)

    assert (refused[0], refused[1]["code"]) == (1, "not-signed")
    # Which root is the site's is not for the server to say, also after it was asked unsigned.
    assert (strange[1]["code"], other[1]["code"]) == ("root-unknown", "root-unknown")
    assert publisher.root() in str(strange[1])
    assert {item["id"]: item["change"] for item in first["items"]} == {
        "acme/backup": "new",
        "acme/sensor": "new",
    }
    assert (first["state"], first["signatures"]) == ("in force", "1 of 1")
    assert {item["change"] for item in again["items"]} == {"unchanged"}
    assert (again["state"], again["files_brought"]) == ("nothing to sign", 0)

    with machine_of(publisher, own, acme_backup="2.3", acme_sensor="6") as machine:
        assert machine.looks() == {"Backup 2.4": "required", "Sensor 7": "required"}
        installer = machine.leaves()["Sensor 7"].installer
        assert installer is not None
        assert installer.arguments == ("--target", "/opt/acme; reboot")

        a_package(updates, "2.5")
        revised = publisher.publishes(updates, *signed)
        before = machine.leaves()["Backup 2.4"]
        machine.looks()
        after = machine.leaves()["Backup 2.4"]

        assert sorted(item["change"] for item in revised["items"]) == ["revised", "unchanged"]
        assert (after.number, after.revision) == (before.number, before.revision + 1)
        assert after.files[0].version == "2.5"

        gone = publisher.publishes("acme/backup", *signed, word="expire")
        assert [item["change"] for item in gone["items"]] == ["expired"]
        assert machine.looks() == {"Sensor 7": "required"}
