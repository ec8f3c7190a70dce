"""The leaf: what a machine evaluates and, when it is assigned, installs."""

from __future__ import annotations

from dataclasses import dataclass

from patchtide.domain.catalog.installers import Installer, InstallerKind
from patchtide.domain.catalog.rules import NAMES_LEAVES, Rule, leaves_named
from patchtide.domain.catalog.updates import (
    Evaluator,
    LeafFile,
    Origin,
    PackageFloor,
    Restart,
    Revision,
    UpdateId,
    UpdateNumber,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One variant of an update, in one revision.

    `prerequisite` says whether it may be evaluated here, `applicable` whether it is needed or
    present here, `installed` whether it is present. With an evaluator other than rules the three
    are not asked; `payload` is that evaluator's and opaque to all others.
    """

    number: UpdateNumber
    revision: Revision
    update: UpdateId
    title: str = ""
    prerequisite: Rule
    applicable: Rule
    installed: Rule
    files: tuple[LeafFile, ...] = ()
    floors: tuple[PackageFloor, ...] = ()
    origin: Origin
    restart: Restart = Restart.NEVER
    exclusive: bool = False
    evaluator: Evaluator = Evaluator.RULES
    payload: bytes = b""
    installer: Installer | None = None
    """None: its files are packages, installed by their own tool from their vendor's repository."""

    @property
    def packages(self) -> tuple[LeafFile, ...]:
        """Return those of its files that a package's tool installs, by name and version."""
        runs = self.installer is not None and self.installer.kind is InstallerKind.PROGRAM
        return () if runs else self.files

    @property
    def rules(self) -> tuple[Rule, Rule, Rule]:
        return self.prerequisite, self.applicable, self.installed

    def depends_on(self) -> frozenset[UpdateNumber]:
        """Return the numbers of the leaves whose state this one's depends on."""
        traits = self.prerequisite.traits | self.applicable.traits | self.installed.traits
        if not traits & NAMES_LEAVES or self.evaluator is not Evaluator.RULES:
            return frozenset()
        return frozenset().union(*map(leaves_named, self.rules))
