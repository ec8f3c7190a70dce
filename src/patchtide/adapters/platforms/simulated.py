"""A machine that exists only as facts: for the simulator, for tests, for trying things out.

Thousands of them live in one process, so all that they have in common (their first packages)
is one shared mapping; a machine holds only what is different about it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from patchtide.agent.ports.content import Content
from patchtide.agent.ports.platform import InstallFailed, Uptime
from patchtide.domain.applicability.facts import (
    NO,
    YES,
    Answer,
    Asked,
    Facts,
    InstalledPackage,
    Packages,
)
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.domain.catalog.updates import LeafFile, Restart
from patchtide.domain.errors import InvalidDocument, Problem


class Description(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A simulated machine as a JSON document describes it."""

    os_id: str
    os_version: str
    architecture: str = "amd64"
    format: Literal["deb", "rpm", "msi"] = "deb"
    shards: tuple[str, ...] = ("custom",)
    packages: dict[str, str] = {}
    """Name -> installed version."""
    language: str | None = None
    kernel: str | None = None
    answers: tuple[tuple[str, tuple[str, ...], bool | str], ...] = ()
    """What rules may ask for: fact, keys, and what it says; no: it is not there."""
    broken: tuple[str, ...] = ()
    """Packages whose installation fails."""
    unsigned: tuple[str, ...] = ()
    """Packages whose vendor's signature does not verify."""
    signed: dict[str, str] = {}
    """SHA-256 of a file -> "name version", as its vendor has signed it; empty: as it is called."""
    fetches: bool = False
    """Whether files come from the site and are looked at, as on a machine without a mirror."""
    boot: int = 1
    restart_pending: bool = False


class Model:
    """What a group of simulated machines have in common. Build once, share."""

    __slots__ = (
        "answers",
        "architecture",
        "format",
        "kernel",
        "language",
        "os_id",
        "os_version",
        "packages",
        "shards",
    )

    def __init__(self, description: Description) -> None:
        self.os_id = description.os_id
        self.os_version = description.os_version
        self.architecture = description.architecture
        self.format = PackageFormat(description.format)
        self.language = description.language
        self.kernel = description.kernel
        self.answers: Mapping[Asked, Answer] = {
            Asked(fact, keys): _answer(said) for fact, keys, said in description.answers
        }
        self.shards = description.shards
        self.packages: Packages = {
            name: self.package(version) for name, version in description.packages.items()
        }

    def package(self, version: str) -> tuple[InstalledPackage, ...]:
        return (InstalledPackage(version, self.architecture),)


class SimulatedPlatform:
    """One machine of a model. `name` tells its starts from those of others."""

    __slots__ = (
        "_boot",
        "_broken",
        "_changed",
        "_content",
        "_fetches",
        "_model",
        "_name",
        "_on_change",
        "_pending",
        "_signed",
        "_unsigned",
    )

    report_only = False

    def __init__(
        self,
        model: Model,
        *,
        name: str,
        boot: int = 1,
        restart_pending: bool = False,
        broken: frozenset[str] = frozenset(),
        unsigned: frozenset[str] = frozenset(),
        signed: Mapping[str, str] | None = None,
        content: Content | None = None,
        fetches: bool = False,
        on_change: Callable[[SimulatedPlatform], None] | None = None,
    ) -> None:
        self._model = model
        self._name = name
        self._boot = boot
        self._pending = restart_pending
        self._broken = broken
        self._unsigned = unsigned
        self._signed = signed or {}
        self._content = content
        self._fetches = fetches
        self._changed: dict[str, tuple[InstalledPackage, ...]] = {}
        self._on_change = on_change

    @property
    def shards(self) -> tuple[str, ...]:
        return self._model.shards

    def vendors(self) -> None:
        """What it says of signatures is in its description."""

    def facts(self, asked: Collection[Asked] = ()) -> Facts:
        model = self._model
        packages = {**model.packages, **self._changed} if self._changed else model.packages
        return Facts(
            os_id=model.os_id,
            os_version=model.os_version,
            architecture=model.architecture,
            language=model.language,
            kernel=model.kernel,
            packages={model.format: packages},
            answers={key: said for key, said in model.answers.items() if key in asked},
        )

    def fingerprint(self) -> tuple[object, ...]:
        """Return what is equal for machines with the same facts."""
        return (id(self._model), *sorted(self._changed.items()))

    def updaters(self) -> tuple[str, ...]:
        return ()

    def uptime(self) -> Uptime:
        boot_id = sha256(f"{self._name}\n{self._boot}".encode()).hexdigest()[:32]
        return Uptime(boot_id, self._pending)

    def wanted(self, leaves: Sequence[Leaf]) -> Sequence[LeafFile]:
        return [file for leaf in leaves for file in leaf.files] if self._fetches else []

    def stage(self, leaves: Sequence[Leaf]) -> frozenset[int]:
        """A simulated vendor has signed everything but what is said to be unsigned."""
        self._look_at(leaves)
        return frozenset(
            leaf.number for leaf in leaves if all(self._is_signed(file) for file in leaf.files)
        )

    def _is_signed(self, file: LeafFile) -> bool:
        if self._signed:
            return self._signed.get(file.sha256.hex()) == f"{file.name} {file.version}"
        return file.name not in self._unsigned

    def _look_at(self, leaves: Sequence[Leaf]) -> None:
        content = self._content
        if content is None:
            return
        for file in self.wanted(leaves):
            os.close(content.open(file.sha256, file.size_bytes))

    def install(self, leaves: Sequence[Leaf]) -> None:
        self._look_at(leaves)
        failed = []
        for leaf in leaves:
            for file in leaf.files:
                if file.name in self._broken:
                    failed.append(file.name)
                else:
                    self._changed[file.name] = self._model.package(file.version)
            self._pending |= leaf.restart is not Restart.NEVER
        self._keep()
        if failed:
            raise InstallFailed(f"not installed: {', '.join(sorted(failed))}")

    def set_version(self, name: str, version: str) -> None:
        """Change the machine behind the agent's back."""
        self._changed[name] = self._model.package(version)
        self._keep()

    def repair(self) -> None:
        """Nothing of a simulated installation is ever half done."""

    def restart(self) -> None:
        self._boot += 1
        self._pending = False
        self._keep()

    def inventory(self, kind: str) -> bytes | None:
        if kind != "packages":
            return None
        rows = [
            (name, instance.version, instance.architecture)
            for name, instances in sorted(self._packages().items())
            for instance in instances
        ]
        return msgspec.msgpack.encode(rows)

    def description(self) -> Description:
        """Return the machine as it stands now."""
        model = self._model
        return Description(
            os_id=model.os_id,
            os_version=model.os_version,
            architecture=model.architecture,
            format=model.format.value,
            shards=model.shards,
            packages={name: found[0].version for name, found in self._packages().items()},
            language=model.language,
            kernel=model.kernel,
            answers=tuple(
                (a.fact, a.keys, *(said or (False,))) for a, said in model.answers.items()
            ),
            broken=tuple(sorted(self._broken)),
            unsigned=tuple(sorted(self._unsigned)),
            signed=dict(self._signed),
            fetches=self._fetches,
            boot=self._boot,
            restart_pending=self._pending,
        )

    def _packages(self) -> Mapping[str, tuple[InstalledPackage, ...]]:
        return {**self._model.packages, **self._changed}

    def _keep(self) -> None:
        if self._on_change is not None:
            self._on_change(self)


def _answer(said: bool | str) -> Answer:
    if isinstance(said, str):
        return (said,)
    return YES if said else NO


def read_machine(path: Path, content: Content | None = None) -> SimulatedPlatform:
    """Return the machine that a file describes; its changes go back into the file.

    Raises:
        InvalidDocument: the file describes no machine.
    """
    try:
        described = msgspec.json.decode(path.read_bytes(), type=Description)
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidDocument([Problem(str(path), str(error))]) from error

    def keep(machine: SimulatedPlatform) -> None:
        written = msgspec.json.format(msgspec.json.encode(machine.description()))
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(written + b"\n")
        temporary.replace(path)

    return SimulatedPlatform(
        Model(described),
        name=str(path.resolve()),
        boot=described.boot,
        restart_pending=described.restart_pending,
        broken=frozenset(described.broken),
        unsigned=frozenset(described.unsigned),
        signed=described.signed,
        content=content,
        fetches=described.fetches,
        on_change=keep,
    )
