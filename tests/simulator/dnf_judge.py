"""What dnf itself says each of many machines requires of a repository's advisories.

Run by the platform's own Python, which has dnf: a JSON document comes in on standard input, one
goes out. It asks as `dnf updateinfo list --updates` does: advisories with a package newer than an
installed one that can be upgraded. Each machine gets a package database of its own, written by
rpm itself, but no files; only that makes some hundred of them a matter of seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import dnf
import hawkey
import rpm


class Machine:
    """A root with nothing but a package database and the module streams that are enabled."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.rmtree(root, ignore_errors=True)
        (root / "etc/dnf/modules.d").mkdir(parents=True)

    def install(self, paths: list[str], headers: dict[str, Any]) -> None:
        transaction = rpm.TransactionSet(str(self.root))
        rpm.addMacro("_dbpath", "/var/lib/rpm")  # Debian's own is in the home folder
        transaction.setVSFlags(-1)
        transaction.setFlags(
            rpm.RPMTRANS_FLAG_JUSTDB | rpm.RPMTRANS_FLAG_NOSCRIPTS | rpm.RPMTRANS_FLAG_NOTRIGGERS
        )
        opened: dict[str, int] = {}

        def callback(reason: int, amount: int, total: int, key: str, data: object) -> int | None:
            if reason == rpm.RPMCALLBACK_INST_OPEN_FILE:
                opened[key] = os.open(key, os.O_RDONLY)
                return opened[key]
            if reason == rpm.RPMCALLBACK_INST_CLOSE_FILE:
                os.close(opened.pop(key))
            return None

        for path in paths:
            transaction.addInstall(headers[path], path, "i")
        problems = transaction.run(callback, "")
        assert not problems, problems
        transaction.closeDB()

    def follow(self, streams: dict[str, str]) -> None:
        for name, stream in streams.items():
            lines = (f"[{name}]", f"name={name}", f"stream={stream}", "profiles=", "state=enabled")
            (self.root / f"etc/dnf/modules.d/{name}.module").write_text("\n".join(lines) + "\n")

    def required(self, repository: str, cache: str) -> list[str]:
        with dnf.Base() as base:
            rpm.addMacro("_dbpath", "/var/lib/rpm")
            base.conf.installroot = str(self.root)
            base.conf.cachedir = cache
            base.conf.substitutions.update(
                {"releasever": "9", "arch": "x86_64", "basearch": "x86_64"}
            )
            base.conf.module_platform_id = "platform:el9"
            base.conf.plugins = False
            base.repos.add_new_repo("base", base.conf, baseurl=[f"file://{repository}"])
            base.fill_sack(load_system_repo=True)
            query = base.sack.query().filterm(upgradable=True)
            found = {a.get_advisory(base.sack).id for a in query.get_advisory_pkgs(hawkey.GT)}
        return sorted(found)


def main() -> None:
    asked = json.load(sys.stdin)
    reader = rpm.TransactionSet()
    reader.setVSFlags(-1)
    headers = {}
    for path in {path for machine in asked["machines"] for path in machine["packages"]}:
        with open(path, "rb") as file:
            headers[path] = reader.hdrFromFdno(file.fileno())
    answers = []
    for number, machine in enumerate(asked["machines"]):
        name = f"root-{number}" if number < asked["kept"] else "root"
        made = Machine(Path(asked["folder"]) / name)
        made.install(machine["packages"], headers)
        made.follow(machine["modules"])
        answers.append(made.required(asked["repository"], asked["folder"] + "/cache"))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
