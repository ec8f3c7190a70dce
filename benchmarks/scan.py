"""The scan of this very machine, beside `apt list --upgradable` in the same run. CPU time.

The catalog is what apt has fetched here already (`apt-get update`), its signatures verified. A
process of its own opens the agent's state, asks dpkg and evaluates every leaf, as the agent's
child does; its first look at a database on disk and Python's start are in the figure. What apt
would bring from the security suite must be required, and what is required apt must want to bring:
from the release, where that has moved past a fix which this machine lacks.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

from patchtide.adapters.agentstate.sqlite import open_journal
from patchtide.adapters.feeds.apt import AptFeed
from patchtide.adapters.platforms.apt import AptPlatform
from patchtide.adapters.platforms.commands import run
from patchtide.agent.ports.journal import ShardChange, ShardHead
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.scan import evaluate_shard
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.catalog.versions_deb import compare
from patchtide.domain.errors import PatchtideError
from patchtide.wire.leaves import encode_leaf

ROUNDS = 7
LISTS = Path("/var/lib/apt/lists")
LINEAGE = bytes(range(16))
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
SCAN = """
import sys, time
from pathlib import Path
from patchtide.adapters.agentstate.sqlite import open_journal
from patchtide.adapters.platforms.apt import AptPlatform
from patchtide.agent.catalog import LocalCatalog
began = time.process_time()
journal, _ = open_journal(Path(sys.argv[1]), boot_id="bench", check=False)
machine = AptPlatform()
catalog = LocalCatalog(
    journal, trust=None, blobs=None, platform=machine, followed=machine.shards
)
found = catalog.scan(now=time.time())
assert found.scan == "completed", found
print(time.process_time() - began)
"""


def cpu_s(command: Sequence[str | Path]) -> tuple[float, str]:
    """Return the command's user and system time, its children's too, and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, done.stdout.decode()


def catalog_of(folder: Path) -> list[Leaf]:
    """Return this machine's updates, numbered."""
    feed = AptFeed(folder, run=run, lists=LISTS)
    shards = feed.read(now=datetime.now(UTC)).shards
    leaves = [
        leaf for name in AptPlatform().shards for u in shards.get(name, ()) for leaf in u.leaves
    ]
    return [replace(leaf, number=UpdateNumber(at)) for at, leaf in enumerate(leaves, 1)]


def keep(leaves: Sequence[Leaf], path: Path) -> None:
    journal, _ = open_journal(path, boot_id="bench")
    entries = [encode_leaf(leaf) for leaf in leaves]
    change = ShardChange(
        head=ShardHead(lineage=LINEAGE, serial=1),
        upserts=[(entry.number, entry.revision, entry.body) for entry in entries],
        whole=True,
    )
    journal.change_shard(AptPlatform().shards[0], change)
    journal.close()


def required_here(leaves: Sequence[Leaf]) -> set[str]:
    """Return the installed packages that a required update would change."""
    facts = AptPlatform().facts()
    states = evaluate_shard(leaves, facts).states
    here = facts.packages[PackageFormat.DEB]
    return {
        file.name
        for leaf in leaves
        if states[leaf.number] is LeafState.REQUIRED
        for file in leaf.files
        if any(compare(x.version, file.version) < 0 for x in here.get(file.name, ()))
    }


def said_by_apt(output: str, *, suite: str = "/") -> set[str]:
    return {line.partition("/")[0] for line in output.splitlines() if suite in line}


def main() -> None:
    if shutil.which("apt") is None:
        print("scan: no apt on this machine")
        return
    with TemporaryDirectory(prefix="patchtide-bench-") as folder:
        try:
            leaves = catalog_of(Path(folder))
        except PatchtideError as error:
            print(f"scan: this machine's lists say nothing: {error}")
            return
        journal = Path(folder) / "state/journal.db"
        keep(leaves, journal)
        measure(leaves, journal)


def measure(leaves: Sequence[Leaf], journal: Path) -> None:
    ours, inside, theirs, output = [], [], [], ""
    for _ in range(ROUNDS):
        used, output = cpu_s([shutil.which("apt") or "apt", "list", "--upgradable"])
        theirs.append(used)
        used, said = cpu_s([sys.executable, "-c", SCAN, journal])
        ours.append(used)
        inside.append(float(said))
    began = process_time()
    evaluate_shard(leaves, AptPlatform().facts())
    evaluation = process_time() - began
    apt = f"{min(theirs) * 1000:.0f} ms"
    budget = f"<= {apt}"
    print(f"scan of this machine, CPU\t{min(ours) * 1000:.0f} ms\t{budget}\t{apt}")
    print(f"of it behind the imports\t{min(inside) * 1000:.0f} ms\t{budget}\t{apt}")
    print(f"of that facts and rules\t{evaluation * 1000:.0f} ms\t-\t{apt}")
    required = required_here(leaves)
    differ = (said_by_apt(output, suite="-security") - required) | (required - said_by_apt(output))
    print(f"packages named by one side only, of {len(leaves)} updates\t{len(differ)}\t<= 0\t-")


if __name__ == "__main__":
    main()
