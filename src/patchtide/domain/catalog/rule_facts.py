"""The facts that rules may ask for, declared once: name, kind, what it says, where it comes from.

The text form, the wire, the evaluation and the reference page all go by this table. What is asked
for by a path or a name is gathered only for those that some rule on the machine names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from patchtide.domain.catalog.rule_values import BETWEEN, KINDS, MATCHES, ValueType

_FILE = "Looked at under the machine's root; a link is followed as the machine itself would."
_HASHED = "Read whole, up to 256 MiB a file and 1 GiB a scan; a larger file's is not collected."
_REGISTRY = "Windows' registry; not collected elsewhere."
_QUERY = "The first line of `/etc/patchtide/facts.d/NAME`, which whoever runs the machine writes."
_UNITS = "systemd's unit files and links under the machine's root."
_RUNNING = "The service's control group; not collected where no systemd runs."
_INSTALLER = "Windows Installer's database; not collected elsewhere."
_VERSIONS: Mapping[str, ValueType] = {
    "number": ValueType.NUMBER,
    "date": ValueType.DATE,
    "version": ValueType.VERSION,
    "semver": ValueType.SEMVER,
    "fileversion": ValueType.FILE_VERSION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One fact. Of one that is asked for, `keys` are what must be named: a path, a name."""

    name: str
    kind: ValueType
    says: str
    collected: str
    example: str
    keys: tuple[str, ...] = ()
    may_follow: tuple[str, ...] = ()
    """Keys that may be left out."""
    tests: frozenset[str] = frozenset()
    """What may be asked of it, by the operator's word."""
    is_asked: bool = True
    is_spoken: bool = True
    """Whether the attribute is written: `file ... size`, but not `os debian version`."""

    @property
    def subject(self) -> str:
        return self.name.partition(".")[0]

    @property
    def attribute(self) -> str:
        return self.name.partition(".")[2]

    @property
    def is_flag(self) -> bool:
        return self.kind is ValueType.FLAG


def _package(subject: str, kind: ValueType, *, whose: str, collected: str) -> Declared:
    return Declared(
        name=f"{subject}.version",
        kind=kind,
        keys=("name",),
        may_follow=("architecture",),
        tests=frozenset((BETWEEN, MATCHES)),
        is_asked=False,
        is_spoken=False,
        says=f"The version of an installed {whose}; of several, one that fits is enough.",
        collected=collected,
        example=f"{subject} toy between 3.0 and 3.1",
    )


def _typed(
    subject: str, keys: tuple[str, ...], *, named: str, collected: str
) -> Iterator[Declared]:
    yield Declared(
        name=f"{subject}.exists",
        kind=ValueType.FLAG,
        keys=keys,
        says="Whether it is there.",
        collected=collected,
        example=f"{subject} {named} exists",
    )
    yield Declared(
        name=f"{subject}.text",
        kind=ValueType.TEXT,
        keys=keys,
        tests=KINDS[ValueType.TEXT].tests,
        says="What it says.",
        collected=collected,
        example=f'{subject} {named} text = "Data Center"',
    )
    examples = {
        "number": ">= 12",
        "date": "< 2026-03-31",
        "version": "< 2.10",
        "semver": ">= 2.0.0-rc.1",
        "fileversion": "< 10.0.19041.1",
    }
    for attribute, kind in _VERSIONS.items():
        yield Declared(
            name=f"{subject}.{attribute}",
            kind=kind,
            keys=keys,
            tests=KINDS[kind].tests,
            says=f"What it says, taken as a {kind.value}; unknown where it is none.",
            collected=collected,
            example=f"{subject} {named} {attribute} {examples[attribute]}",
        )


def _file(attribute: str, kind: ValueType, *, says: str, collected: str, example: str) -> Declared:
    return Declared(
        name=f"file.{attribute}",
        kind=kind,
        keys=("path",),
        tests=KINDS[kind].tests,
        says=says,
        collected=collected,
        example=example,
    )


def _service(attribute: str, *, says: str, collected: str) -> Declared:
    return Declared(
        name=f"service.{attribute}",
        kind=ValueType.FLAG,
        keys=("name",),
        says=says,
        collected=collected,
        example=f"service ssh {attribute}",
    )


_ALL = (
    _package("deb", ValueType.DEB, whose="Debian package", collected="dpkg's database."),
    _package("rpm", ValueType.RPM, whose="RPM package", collected="rpm's database."),
    _package("msi", ValueType.PRODUCT, whose="product", collected=_INSTALLER),
    Declared(
        name="os.version",
        kind=ValueType.VERSION,
        keys=("id",),
        tests=KINDS[ValueType.VERSION].tests - {"="},
        is_asked=False,
        is_spoken=False,
        says="The version of a system with this id.",
        collected="`ID` and `VERSION_ID` of os-release.",
        example="os ubuntu >= 22.04",
    ),
    Declared(
        name="language",
        kind=ValueType.TEXT,
        tests=KINDS[ValueType.TEXT].tests,
        is_asked=False,
        says="The language that the system speaks, as `de` or `de-CH`.",
        collected="`LANG` of `/etc/locale.conf` or `/etc/default/locale`.",
        example='language matches "de*"',
    ),
    Declared(
        name="kernel",
        kind=ValueType.VERSION,
        tests=KINDS[ValueType.VERSION].tests,
        is_asked=False,
        says="The release of the kernel that runs.",
        collected="`/proc/sys/kernel/osrelease`; not collected where nothing runs.",
        example="kernel < 6.1.0-18",
    ),
    _file(
        "exists",
        ValueType.FLAG,
        says="Whether something has this name: a file, a folder.",
        collected=_FILE,
        example='file "/etc/nologin" exists',
    ),
    _file(
        "version",
        ValueType.FILE_VERSION,
        says="The version that a program of Windows carries in itself.",
        collected="The file's version resource, on Windows; not collected elsewhere.",
        example=r'file "C:\Program Files\Toy\toy.exe" version < 2.1.0.7',
    ),
    _file(
        "sha256",
        ValueType.HASH,
        says="The hash of a file's content.",
        collected=_HASHED,
        example=f'file "/usr/bin/toy" sha256 != {"0123456789abcdef" * 4}',
    ),
    _file(
        "modified",
        ValueType.DATE,
        says="When a file's content was last changed, to the second.",
        collected=_FILE,
        example='file "/etc/ssl/site.pem" modified < 2026-01-31',
    ),
    _file(
        "size",
        ValueType.NUMBER,
        says="The size of a file in bytes.",
        collected=_FILE,
        example='file "/var/log/toy.log" size between 1 and 1048576',
    ),
    *_typed(
        "registry",
        ("key", "value"),
        named=r'"HKLM\SOFTWARE\Toy" "Edition"',
        collected=_REGISTRY,
    ),
    _service("installed", says="Whether there is such a service.", collected=_UNITS),
    _service("running", says="Whether the service has a process now.", collected=_RUNNING),
    _service("enabled", says="Whether the service starts by itself.", collected=_UNITS),
    *_typed("query", ("name",), named="rack", collected=_QUERY),
)
FACTS: Mapping[str, Declared] = {declared.name: declared for declared in _ALL}
"""By name, in the order of the reference page."""


def attributes(subject: str) -> Mapping[str, Declared]:
    """Return the facts that a rule's first word may begin, by the attribute; `""`: it has none."""
    return {
        found.attribute: found for found in _ALL if found.subject == subject and found.is_spoken
    }


SUBJECTS: Mapping[str, Mapping[str, Declared]] = {
    found.subject: attributes(found.subject) for found in _ALL if found.is_spoken
}
