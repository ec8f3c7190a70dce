"""Which systems there are, and what is installed on machines of which role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from patchtide.domain.catalog.rules import PackageFormat

OFFICE = frozenset({"desktop", "laptop", "kiosk"})


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    shard: str
    os_id: str
    version: str
    calls_itself: str
    kernel: str
    vendor: str
    product: str
    feed: str
    revision: str
    """What its packages' versions end with."""
    format: PackageFormat = PackageFormat.DEB
    share: float
    """Of the updates that there are."""

    @property
    def architecture(self) -> str:
        return "x86_64" if self.format is PackageFormat.RPM else "amd64"


SYSTEMS = (
    System(
        shard="debian-12",
        os_id="debian",
        version="12",
        calls_itself="Debian GNU/Linux 12 (bookworm)",
        kernel="6.1.0-31-amd64",
        vendor="Debian",
        product="Debian 12",
        feed="debian-security",
        revision="-1~deb12u1",
        share=0.4,
    ),
    System(
        shard="ubuntu-24.04",
        os_id="ubuntu",
        version="24.04",
        calls_itself="Ubuntu 24.04.2 LTS",
        kernel="6.8.0-52-generic",
        vendor="Ubuntu",
        product="Ubuntu 24.04",
        feed="ubuntu-security",
        revision="-0ubuntu0.24.04.1",
        share=0.25,
    ),
    System(
        shard="rocky-9",
        os_id="rocky",
        version="9",
        calls_itself="Rocky Linux 9.5 (Blue Onyx)",
        kernel="5.14.0-503.22.1.el9_5.x86_64",
        vendor="Rocky Enterprise Software Foundation",
        product="Rocky Linux 9",
        feed="rocky-9",
        revision="-1.el9",
        format=PackageFormat.RPM,
        share=0.2,
    ),
    System(
        shard="debian-13",
        os_id="debian",
        version="13",
        calls_itself="Debian GNU/Linux 13 (trixie)",
        kernel="6.12.9-amd64",
        vendor="Debian",
        product="Debian 13",
        feed="debian-security",
        revision="-1+deb13u1",
        share=0.15,
    ),
)
BY_PRODUCT: Mapping[str, System] = MappingProxyType({s.product: s for s in SYSTEMS})
BY_SHARD: Mapping[str, System] = MappingProxyType({s.shard: s for s in SYSTEMS})
ROLES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "web": ("debian-12", "debian-12", "ubuntu-24.04"),
        "db": ("rocky-9", "debian-12"),
        "cache": ("debian-12",),
        "mail": ("debian-12", "rocky-9"),
        "build": ("debian-12", "ubuntu-24.04"),
        "edge": ("debian-12", "debian-13"),
        "desktop": ("ubuntu-24.04", "debian-13"),
        "files": ("rocky-9",),
        "laptop": ("ubuntu-24.04", "ubuntu-24.04", "debian-13"),
        "kiosk": ("debian-13",),
    }
)
"""Of each role there are equally many machines, on one of these systems."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source package: its name, or its name on systems of rpm, where that is another."""

    name: str
    version: str
    """Up to the number that each release raises."""
    what: str
    roles: str = ""
    """Those that have it; none: all."""
    rpm: str = ""
    pace: int = 1
    """How often it is released, beside others."""

    def named(self, format: PackageFormat) -> str:
        return self.rpm if self.rpm and format is PackageFormat.RPM else self.name

    def is_on(self, role: str) -> bool:
        return not self.roles or role in self.roles.split()


SOURCES = (
    Source("openssl", "3.0", "Secure Sockets Layer toolkit", pace=2),
    Source("linux", "6.1", "Linux kernel", rpm="kernel", pace=4),
    Source("curl", "7.88", "command line tool for transferring data with URLs", pace=2),
    Source("glibc", "2.36", "GNU C Library"),
    Source("openssh", "9.2", "secure shell client and server"),
    Source("sudo", "1.9", "limited super user rights"),
    Source("systemd", "252", "system and service manager"),
    Source("expat", "2.5", "XML parsing library"),
    Source("libxml2", "2.9", "GNOME XML library"),
    Source("python3.11", "3.11", "interactive high-level language", rpm="python3.9"),
    Source("perl", "5.36", "Larry Wall's practical extraction language"),
    Source("krb5", "1.20", "MIT Kerberos run time"),
    Source("gnutls28", "3.7", "GNU TLS library", rpm="gnutls"),
    Source("zlib", "1.2", "compression library"),
    Source("vim", "9.0", "Vi IMproved", pace=2),
    Source("tzdata", "2026", "time zone data"),
    Source("ncurses", "6.4", "terminal handling library"),
    Source("rsync", "3.2", "fast, versatile file copying tool"),
    Source("dbus", "1.14", "message bus"),
    Source("intel-microcode", "3.2026", "processor microcode", rpm="microcode_ctl"),
    Source("nginx", "1.22", "web server", "web edge"),
    Source("apache2", "2.4", "web server", "web", rpm="httpd", pace=2),
    Source("php8.2", "8.2", "server-side scripting language", "web", rpm="php"),
    Source("postgresql-15", "15", "object-relational database", "db", rpm="postgresql"),
    Source("mariadb", "10.11", "SQL database server", "db"),
    Source("redis", "7.0", "key-value database", "cache web"),
    Source("varnish", "7.1", "web accelerator", "cache edge"),
    Source("postfix", "3.7", "mail transport agent", "mail"),
    Source("dovecot", "2.3", "IMAP server", "mail"),
    Source("git", "2.39", "distributed revision control", "build desktop laptop"),
    Source("ruby3.1", "3.1", "object-oriented scripting language", "build", rpm="ruby"),
    Source("openjdk-17", "17.0", "Java run time", "build files", rpm="java-17-openjdk"),
    Source("haproxy", "2.6", "load balancer", "edge"),
    Source("bind9", "9.18", "name server", "edge", rpm="bind"),
    Source("unbound", "1.17", "validating resolver", "edge mail"),
    Source("samba", "4.17", "SMB file server", "files", pace=2),
    Source("cups", "2.4", "printing system", "desktop laptop kiosk files"),
    Source("firefox-esr", "140", "web browser", "desktop laptop kiosk", rpm="firefox", pace=4),
    Source("chromium", "143.0", "web browser", "desktop kiosk", pace=5),
    Source("libreoffice", "7.4", "office suite", "desktop laptop"),
    Source("thunderbird", "140", "mail client", "desktop laptop", pace=3),
    Source("ghostscript", "10.0", "interpreter for PostScript and PDF", "desktop laptop files"),
    Source("wpa", "2.10", "wireless network client", "laptop", rpm="wpa_supplicant"),
)
