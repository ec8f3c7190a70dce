"""A whole synchronisation of an RPM repository with 5,000 advisories: process, database, files.

The repository is like a distribution's: 20,000 packages with what they provide and require, of
which a third has advisories. It lies on this machine, so nothing is downloaded but copied. The
baseline reads the same documents with the parser alone and keeps nothing.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from time import perf_counter, time
from xml.parsers import expat

from benchmarks.rules import figure
from patchtide.entry.server.feed_process import FeedProcess
from patchtide.entry.server.node import SystemClock
from patchtide.server.synchronisation import Synchronisation
from tests.integration.catalog.node import node
from tests.simulator.rpm_repository import Rpm, RpmSystem, Told, updateinfo

ADVISORIES, PACKAGES, EACH = 5_000, 20_000, 8
DICE = random.Random(20260302)


def rpm(number: int, *, release: int = 1) -> Rpm:
    return Rpm(f"lib{number % 97}-{number}", f"{number % 7}.{number % 31}-{release}.el9")


def package(made: Rpm) -> str:
    digest = sha256(made.nevra.encode()).hexdigest()
    entries = "".join(
        f'<rpm:entry name="lib{n}.so.{n % 9}()(64bit)" flags="EQ" epoch="0" ver="{n}"/>'
        for n in range(15)
    )
    return (
        f'<package type="rpm"><name>{made.name}</name><arch>{made.architecture}</arch>'
        f'<version epoch="{made.epoch}" ver="{made.version}" rel="{made.release}"/>'
        f'<checksum type="sha256" pkgid="YES">{digest}</checksum><summary>a library</summary>'
        "<description>Some words on what it is good for, as there always are.</description>"
        '<packager>x</packager><url>https://example.invalid</url><time file="1" build="1"/>'
        '<size package="123456" installed="2" archive="3"/>'
        f'<location href="Packages/{made.name}-{made.version}.rpm"/><format>'
        f"<rpm:license>MIT</rpm:license><rpm:provides>{entries}</rpm:provides>"
        f"<rpm:requires>{entries}</rpm:requires></format></package>\n"
    )


def primary() -> str:
    body = "".join(package(rpm(n, release=n % 3 + 1)) for n in range(PACKAGES))
    return (
        '<metadata xmlns="http://linux.duke.edu/metadata/common" '
        f'xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="{PACKAGES}">{body}</metadata>'
    )


def advisories() -> Iterator[Told]:
    for number in range(ADVISORIES):
        some = DICE.sample(range(0, PACKAGES, 3), EACH)
        packages = tuple(rpm(n, release=DICE.randrange(1, n % 3 + 2)) for n in some)
        words = "A flaw was found in how it reads what it is given. " * 12
        yield Told(
            id=f"TOY-{number}", packages=packages, description=words,
            cves=tuple(f"CVE-2026-{number * 4 + n:05}" for n in range(3)),
        )  # fmt: skip


def write_repository(folder: Path) -> None:
    repodata = folder / "repodata"
    repodata.mkdir(parents=True, exist_ok=True)
    rows = []
    for kind, text in (("primary", primary()), ("updateinfo", updateinfo(advisories()))):
        packed = gzip.compress(text.encode(), 6)
        (repodata / f"{kind}.xml.gz").write_bytes(packed)
        rows.append(
            f'<data type="{kind}"><checksum type="sha256">{sha256(packed).hexdigest()}</checksum>'
            f'<location href="repodata/{kind}.xml.gz"/><timestamp>{int(time())}</timestamp>'
            f"<size>{len(packed)}</size><open-size>{len(text.encode())}</open-size></data>"
        )
    document = f"<repomd><revision>1</revision>{''.join(rows)}</repomd>"
    (repodata / "repomd.xml").write_text(document)


def parse(folder: Path) -> float:
    start = perf_counter()
    for path in folder.glob("repodata/*.gz"):
        parser = expat.ParserCreate()
        parser.StartElementHandler = lambda *_: None
        parser.Parse(gzip.decompress(path.read_bytes()), True)
    return perf_counter() - start


async def measure(folder: Path) -> None:
    repository, system = folder / "repository", RpmSystem(root=folder / "root")
    write_repository(repository)
    system.source("base", f"file://{repository}")
    bare = f"{parse(repository):.2f} s"
    async with node(f"sqlite:///{folder}/db.sqlite", folder / "node") as here:
        synchronisation = Synchronisation(
            feed=FeedProcess(folder / "spool", kind="rpm", root=system.root, heard=lambda *_: None),
            reading=here.storage,
            decisions=here.storage,
            publisher=here.catalog,
            details=here.details,
            clock=SystemClock(),
        )
        for title, budget in (("first", "<= 30 s"), ("again, nothing new", "<= 1 s")):
            start = perf_counter()
            made = await synchronisation.run("admin")
            spent = perf_counter() - start
            figure(
                f"synchronise {made.updates:,} advisories, {title}", f"{spent:.2f} s", budget, bare
            )


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(measure(Path(name)))


if __name__ == "__main__":
    main()
