"""A scan's own work: version orders, shards of 3,000 leaves against 1,500 packages, their files.

The leaves are like Debian's security updates (one to four binary packages each) and like those of
an Enterprise Linux (up to forty, each of an architecture, some of a module); a third of them are
installed here. A third shard asks besides for files, services and kernels. The baseline of a scan
is the same question asked with bare dictionary look-ups and the platform's order left out; of a
rule's text, the same text split at blanks.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from time import process_time

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.facts import NO, YES, Asked, Facts, by_name
from patchtide.domain.applicability.scan import evaluate_shard
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rule_parser import parse_rule
from patchtide.domain.catalog.rule_text import rule_text
from patchtide.domain.catalog.rules import (
    And,
    Architecture,
    Compared,
    Comparison,
    FactIs,
    InstalledLeaf,
    ModuleStream,
    Not,
    OperatingSystem,
    Or,
    PackageFormat,
    PackageInstalled,
    Rule,
)
from patchtide.domain.catalog.updates import (
    LeafFile,
    Origin,
    PackageFloor,
    Revision,
    UpdateNumber,
    update_id,
)
from patchtide.domain.catalog.versions_deb import compare as compare_deb
from patchtide.domain.catalog.versions_deb import deb_key
from patchtide.domain.catalog.versions_rpm import compare as compare_rpm
from patchtide.domain.catalog.versions_rpm import plain_key, rpm_key, segment_key
from patchtide.wire.leaves import encode_leaf, read_leaves
from patchtide.wire.messages import encode
from patchtide.wire.shard_plan import deltas_due, listed
from patchtide.wire.shards import (
    BaseFileV1,
    DeltaFileV1,
    ShardIndexV1,
    make_base,
    pack_document,
    read_base,
)
from tests.simulator.shard_steps import make_step

DEB, RPM = PackageFormat.DEB, PackageFormat.RPM
LINEAGE = bytes(range(16))
LEAVES, PACKAGES, MONTH = 3_000, 1_500, 60
DICE = random.Random(20260302)


def name(number: int) -> str:
    return f"lib{('ssl', 'xml', 'curl', 'perl', 'gtk')[number % 5]}{number:x}-{number % 7}"


def version(number: int, *, fixed: bool) -> str:
    return f"{number % 9}.{number % 23}.{number % 31}-{number % 4 + 1}+deb12u{2 if fixed else 1}"


def security_leaf(number: int) -> Leaf:
    packages = [number * 4 + part for part in range(DICE.choice((1, 1, 2, 4)))]
    some = tuple(PackageInstalled(DEB, name(package)) for package in packages)
    older = tuple(
        PackageInstalled(DEB, name(package), Comparison.LESS, version(package, fixed=True))
        for package in packages
    )
    prerequisite: Rule = And((OperatingSystem("debian", ("12",)), Architecture(("amd64",))))
    if number % 100 == 99:
        prerequisite = And((prerequisite, InstalledLeaf(UpdateNumber(number - 1))))
    return Leaf(
        number=UpdateNumber(number),
        revision=Revision(1),
        update=update_id("apt", f"DSA-{number}"),
        prerequisite=prerequisite,
        applicable=Or(some),
        installed=Not(Or(older)),
        files=tuple(file(package) for package in packages),
        floors=tuple(PackageFloor(name(p), version(p, fixed=True)) for p in packages),
        origin=Origin("feed:debian-security"),
    )


def advisory_leaf(number: int) -> Leaf:
    packages = [number * 4 + part for part in range(DICE.choice((1, 2, 4, 8, 16, 40)))]
    some = tuple(PackageInstalled(RPM, name(p), architecture="x86_64") for p in packages)
    older = tuple(
        PackageInstalled(RPM, name(p), Comparison.LESS, version(p, fixed=True), "x86_64")
        for p in packages
    )
    applicable, lacking = _any(some), _any(older)
    if number % 20 == 0:
        applicable = And((ModuleStream("nodejs", "18"), applicable))
    system = tuple(
        FactIs("os.version", ("rhel",), Compared(by, text))
        for by, text in ((Comparison.AT_LEAST, "9"), (Comparison.LESS, "10"))
    )
    return replace(
        security_leaf(number),
        prerequisite=And((And(system), Architecture(("x86_64",)))),
        applicable=applicable,
        installed=Not(lacking),
    )


def _any(rules: tuple[Rule, ...]) -> Rule:
    return rules[0] if len(rules) == 1 else Or(rules)


def asking_leaf(number: int) -> Leaf:
    """Return a leaf that asks for much besides packages, as a publisher's own may."""
    text = (
        f'kernel >= 6.1.0-{number % 30} and file "/usr/bin/toy{number % 300}" exists'
        f' and (file "/opt/toy" size between 1 and {number + 1}'
        f" or service toy{number % 50} running)"
    )
    return replace(security_leaf(number), applicable=parse_rule(text))


def file(package: int) -> LeafFile:
    return LeafFile(
        name=name(package),
        version=version(package, fixed=True),
        sha256=DICE.randbytes(32),
        size_bytes=DICE.randrange(10_000, 5_000_000),
    )


def machine(kind: PackageFormat = DEB, architecture: str = "amd64") -> Facts:
    """Return 1,500 packages; a third of the leaves find some of theirs, half of these old."""
    rows = [
        (name(number * 8), version(number * 8, fixed=number % 2 == 0), architecture)
        for number in range(PACKAGES)
    ]
    return Facts(
        os_id="debian" if kind is DEB else "rhel",
        os_version="12" if kind is DEB else "9.4",
        architecture=architecture,
        kernel="6.1.0-18-amd64",
        modules={"nodejs": "18"},
        packages={kind: by_name(rows)},
        answers={
            **{
                Asked("file.exists", (f"/usr/bin/toy{n}",)): YES if n % 3 else NO
                for n in range(300)
            },
            **{Asked("service.running", (f"toy{n}",)): YES if n % 3 else NO for n in range(50)},
            Asked("file.size", ("/opt/toy",)): ("1000",),
        },
    )


def seconds(work: Callable[[], object], *, rounds: int = 5) -> float:
    """Return the best of some rounds, in CPU time: others may be at work on this machine."""
    best = float("inf")
    for _ in range(rounds):
        start = process_time()
        work()
        best = min(best, process_time() - start)
    return best


def figure(title: str, measured: str, budget: str, baseline: str = "-") -> None:
    print(f"{title}\t{measured}\t{budget}\t{baseline}", flush=True)


def received(made: Callable[[int], Leaf]) -> list[Leaf]:
    """Return the leaves as a machine has them from its shard."""
    leaves, mistakes = read_leaves(encode_leaf(made(number)) for number in range(LEAVES))
    assert not mistakes
    return leaves


def measure_versions() -> None:
    made = [version(number, fixed=bool(number % 2)) for number in range(4_000)]
    pairs = [(DICE.choice(made), DICE.choice(made)) for _ in range(50_000)]
    plain = seconds(lambda: [(a > b) - (a < b) for a, b in pairs])
    for kind, compare, key in (("deb", compare_deb, deb_key), ("rpm", compare_rpm, rpm_key)):
        key.cache_clear()
        cold = seconds(lambda key=key: [key(text) for text in set(made)], rounds=1)  # type: ignore[misc]
        warm = seconds(lambda compare=compare: [compare(a, b) for a, b in pairs])  # type: ignore[misc]
        rate = f"{len(pairs) / warm:,.0f}/s"
        figure(f"compare {kind} versions", rate, ">= 300000/s", f"{len(pairs) / plain:,.0f}/s")
        figure(f"first key of a {kind} version", f"{len(set(made)) / cold:,.0f}/s", "-")


def measure_scan(leaves: list[Leaf], facts: Facts, title: str) -> None:
    [packages] = facts.packages.values()
    names = [[file.name for file in leaf.files] for leaf in leaves]
    bare = seconds(lambda: [any(name in packages for name in some) for some in names])

    def anew() -> None:
        for key in (deb_key, rpm_key, plain_key, segment_key):
            key.cache_clear()
        evaluate_shard(leaves, facts)

    first = seconds(anew)
    best = seconds(lambda: evaluate_shard(leaves, facts))
    states = list(evaluate_shard(leaves, facts).states.values())
    assert states.count(LeafState.REQUIRED) > 100 and states.count(LeafState.INSTALLED) > 100
    baseline = f"{bare * 1000:.1f} ms"
    for what, took in (("scan of", best), ("the same, first in a process:", first)):
        ratio = f"{baseline}, x{took / bare:.0f}"
        figure(f"{what} 3,000 {title} leaves", f"{took * 1000:.1f} ms", "<= 50 ms", ratio)


def measure_texts(leaves: list[Leaf]) -> None:
    texts = [rule_text(rule) for leaf in leaves[:500] for rule in leaf.rules]
    size = sum(map(len, texts)) / 1e6
    bare = seconds(lambda: [text.split() for text in texts])
    written = seconds(lambda: [rule_text(rule) for leaf in leaves[:500] for rule in leaf.rules])
    read = seconds(lambda: [parse_rule(text) for text in texts])
    baseline = f"{size / bare:.1f} MB/s"
    figure("rules read from text", f"{size / read:.2f} MB/s", ">= 0.3 MB/s", baseline)
    figure("rules written as text", f"{size / written:.2f} MB/s", ">= 1 MB/s", baseline)


def measure_shard(leaves: list[Leaf]) -> None:
    entries = {leaf.number: encode_leaf(leaf) for leaf in leaves}
    base = pack_document(make_base(LINEAGE, "debian-12", serial=1, leaves=entries))
    read = seconds(lambda: read_base(base, lineage=LINEAGE, shard="debian-12"), rounds=3)
    decode = seconds(lambda: read_leaves(entries.values()), rounds=3)
    hashes = sum(32 * len(leaf.files) + 16 for leaf in leaves)
    figure(
        "base of 3,000 leaves", f"{len(base) / 1000:.0f} KB", "<= 400 KB", f"{hashes / 1000:.0f} KB"
    )
    figure("verify and unpack it", f"{read * 1000:.1f} ms", "<= 50 ms")
    figure("read its leaves", f"{decode * 1000:.0f} ms", "<= 300 ms")
    measure_month(entries)


def measure_month(entries: dict[UpdateNumber, object]) -> None:
    """60 new updates in eight publishings, and the index fetched at each."""
    kept = dict(list(entries.items())[:-MONTH])
    newest = list(entries.items())[-MONTH:]
    content = 0
    for serial in range(8):
        after = kept | dict(newest[: (serial + 1) * MONTH // 8])
        step = make_step(LINEAGE, "debian-12", serial=serial, before=kept, after=after)  # type: ignore[arg-type]
        content += len(pack_document(step))
        kept = after
    hashes = 8 * index_size(300)
    total = (content + hashes) / 1000
    figure("a month: 60 updates in 8 deltas and indexes", f"{total:.1f} KB", "<= 25 KB")


def index_size(serial: int) -> int:
    written = [
        DeltaFileV1(a, b, 5_000, DICE.randbytes(32))
        for number in range(1, serial + 1)
        for a, b in deltas_due(number)
    ]
    index = ShardIndexV1(
        lineage=LINEAGE,
        shard="debian-12",
        serial=serial,
        digest=bytes(32),
        base=BaseFileV1(serial, 400_000, bytes(32)),
        deltas=listed(written, serial),
    )
    return len(encode(index))


def main() -> None:
    leaves = received(security_leaf)
    measure_versions()
    measure_scan(leaves, machine(), "Debian")
    advised = received(advisory_leaf)
    measure_scan(advised, machine(RPM, "x86_64"), "Enterprise Linux")
    measure_scan(received(asking_leaf), machine(), "asking")
    measure_texts(advised)
    measure_shard(leaves)


if __name__ == "__main__":
    main()
