"""Where machines stand on some updates taken together: each machine in exactly one class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyroaring import BitMap

from patchtide.domain.compliance.judgement import Compliance, Doubt


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """The four are disjoint and make up all who were asked about; so do the doubts of unknown."""

    compliant: BitMap
    required: BitMap
    restart: BitMap
    unknown: BitMap
    doubts: Mapping[Doubt, BitMap]
    """Why how many are unknown: those that are, each for one reason."""

    def of(self, compliance: Compliance) -> BitMap:
        return {
            Compliance.COMPLIANT: self.compliant,
            Compliance.REQUIRED: self.required,
            Compliance.RESTART: self.restart,
            Compliance.UNKNOWN: self.unknown,
        }[compliance]

    def doubt_of(self, machine: int) -> Doubt:
        found = (doubt for doubt, machines in self.doubts.items() if machine in machines)
        return next(found, Doubt.NONE)

    def compliance_of(self, machine: int) -> Compliance:
        return next(one for one in Compliance if machine in self.of(one))

    def among(self, machines: BitMap) -> Classes:
        """Return the same for some of the machines."""
        return Classes(
            compliant=self.compliant & machines,
            required=self.required & machines,
            restart=self.restart & machines,
            unknown=self.unknown & machines,
            doubts={doubt: some & machines for doubt, some in self.doubts.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """Who requires some of several updates, has some of them, or leaves some in doubt."""

    required: BitMap
    installed: BitMap
    doubtful: BitMap
    behind: BitMap
    """Who evaluated some of them in an older revision."""


def classes_of(
    members: BitMap, found: Together, *, doubts: Mapping[Doubt, BitMap], restarting: BitMap
) -> Classes:
    """Return the classes of the members, by how they stand on the updates together.

    `doubts`: of whom nothing is believed, and why. Of those that wait for a restart, only they
    count so that have something of it installed.

    The same as `judgement.judge` says of each, where all updates are asked about.
    """
    believed = members - BitMap().union(*doubts.values())
    required = believed & found.required
    restart = (believed & restarting & found.installed) - required
    open_ = (believed & found.doubtful) - required - restart
    reasons = {doubt: some & members for doubt, some in doubts.items()}
    reasons[Doubt.OLD_CATALOG] = open_ & found.behind
    reasons[Doubt.SOME_UNKNOWN] = open_ - found.behind
    return Classes(
        compliant=believed - required - restart - open_,
        required=required,
        restart=restart,
        unknown=members - believed | open_,
        doubts={doubt: some for doubt, some in reasons.items() if some},
    )
