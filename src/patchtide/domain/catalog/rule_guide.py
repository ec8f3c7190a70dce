"""What there is to say in a rule, each with a sentence and examples; facts have theirs beside them.

The reference page is made of it, and a test reads every example.
"""

from __future__ import annotations

from dataclasses import dataclass

from patchtide.domain.catalog.rule_facts import FACTS


@dataclass(frozen=True, slots=True)
class Said:
    """One way to say something. Examples are in canonical text, or else as people may write."""

    form: str
    says: str
    examples: tuple[str, ...]
    collected: str = ""
    """Where the fact comes from, if it is about one."""


COMBINATIONS = (
    Said(
        "A `and` B",
        "Both hold. Binds closer than `or`.",
        ("os debian 12 and arch amd64",),
    ),
    Said(
        "A `or` B",
        "One of them holds, or both do.",
        ("deb nginx installed or deb nginx-light installed",),
    ),
    Said(
        "`not` A",
        "A does not hold. Binds closest.",
        ('not file "/etc/nologin" exists',),
    ),
    Said(
        "`(` A `)`",
        "What belongs together.",
        ("arch amd64 and (os debian 12 or os ubuntu 24.04)",),
    ),
    Said(
        "`all of (` A, B, ... `)`",
        "All of a list hold: the same as with `and`, easier to read where it is long.",
        ("all of (os debian 12, arch amd64)",),
    ),
    Said(
        "`any of (` A, B, ... `)`",
        "Some of a list hold: the same as with `or`.",
        ("any of (deb libssl3 < 3.0.11, deb openssl < 3.0.11)",),
    ),
)

CONDITIONS = (
    Said(
        "`os` ID",
        "The system has this os-release `ID`; with a version, or one of several, that"
        " `VERSION_ID` too.",
        ("os debian", "os debian 12", "os debian in (11, 12)", "os ubuntu >= 22.04"),
        FACTS["os.version"].collected,
    ),
    Said(
        "`arch` NAME",
        "The machine's own architecture, as its package tool names it.",
        ("arch amd64", "arch in (x86_64, aarch64)"),
        "The architecture of the package tool itself.",
    ),
    Said(
        "`deb` NAME",
        "A Debian package is installed; behind a colon, of this architecture. With a comparison: in"
        " such a version, by dpkg's order. Of several that are installed one is enough.",
        (
            "deb openssl installed",
            "deb libc6:amd64 < 2.36-9+deb12u4",
            "deb openssl between 3.0 and 3.1",
            'deb linux-image-amd64 matches "6.1.*"',
        ),
        FACTS["deb.version"].collected,
    ),
    Said(
        "`rpm` NAME",
        "The same of an RPM package, by rpm's order.",
        ("rpm kernel >= 5.14.0-427.el9", "rpm glibc:x86_64 < 2.34-100.el9"),
        FACTS["rpm.version"].collected,
    ),
    Said(
        "`msi` NAME",
        "The same of a product of Windows Installer, by its code or the name that it shows; of its"
        " version the first three numbers count.",
        ('msi "Toy Agent" < 2.1.0', 'msi "{0B2C6F0E-9D3C-4E55-8E0A-1C8B9E7F1A2B}" installed'),
        FACTS["msi.version"].collected,
    ),
    Said(
        "`module` NAME`:`STREAM",
        "The machine follows this stream of a package module.",
        ("module nodejs:18",),
        "The package tool's record of the streams that are enabled.",
    ),
    Said(
        "`update` NUMBER `installed`",
        "Another update's state on this machine is installed.",
        ("update 4711 installed",),
        "The same evaluation of the machine's catalog.",
    ),
    Said(
        "`always`, `never`",
        "True everywhere, and nowhere.",
        ("always", "never"),
    ),
    Said(
        "`unsupported` NAME",
        "How a rule is shown by a version that is too old for one of its operators. Its verdict is"
        " unknown, and no rule with it is published.",
        ('unsupported "fact file.owner"',),
    ),
)

TESTS = (
    Said("`=` V", "It is V.", ("kernel = 6.1.0-18-amd64",)),
    Said("`!=` V", "It is there, and is not V.", ('query owner text != "web team"',)),
    Said("`<` V", "It is before V.", ("deb openssl < 3.0.11-1~deb12u2",)),
    Said("`<=` V", "It is V or before it.", ("os ubuntu <= 22.04",)),
    Said("`>=` V", "It is V or behind it.", ('file "/var/log/toy.log" size >= 1048576',)),
    Said("`>` V", "It is behind V.", ('file "/etc/ssl/site.pem" modified > 2026-01-31',)),
    Said(
        "`between` V `and` W",
        "It is neither before V nor behind W.",
        ("os debian between 11 and 12",),
    ),
    Said(
        "`matches` P",
        "The whole of it fits the pattern: `*` is any characters or none, all else is itself.",
        ('language matches "de*"',),
    ),
)
