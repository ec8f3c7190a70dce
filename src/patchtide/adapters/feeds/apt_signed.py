"""What vendors signed themselves of the suites that offer updates, for machines to verify."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from hashlib import sha256

from patchtide.adapters.feeds.apt_lists import AptLists, IndexFile
from patchtide.adapters.feeds.apt_release import Release
from patchtide.adapters.feeds.apt_updates import OFFERS
from patchtide.adapters.feeds.apt_vendors import Suite
from patchtide.server.ports.feed import VendorFile, VendorIndex


def vendor_indexes(suites: Iterable[Suite], lists: AptLists) -> Iterator[VendorIndex]:
    """Yield each where it carries its own signature; a pair of files beside each other does not."""
    for suite in suites:
        if suite.release.kind in OFFERS and suite.path.is_file():
            named = suite.release.indices
            yield VendorIndex(
                kind="apt",
                name=suite.source.where[:256],
                signed=VendorFile(
                    key="InRelease",
                    sha256=sha256(suite.path.read_bytes()).digest(),
                    read=suite.path.read_bytes,
                ),
                lists=tuple(
                    VendorFile(
                        key=file.key,
                        sha256=bytes.fromhex(named[file.key].sha256),
                        read=partial(_bytes_of, lists, file, suite.release),
                    )
                    for file in suite.files
                ),
            )


def _bytes_of(lists: AptLists, file: IndexFile, release: Release) -> bytes:
    with lists.opened(file, release) as stream:
        return stream.read()
