"""The machines of the demonstration: who they are, how soon they are patched, what ails them."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from patchtide.domain.catalog.risk import Exposure
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.domain.compliance.described import Described, RestartCode
from patchtide.entry.server.demo.gathered import id_of
from patchtide.entry.server.demo.lots import chance, one_of
from patchtide.entry.server.demo.systems import BY_SHARD, OFFICE, ROLES, System
from patchtide.server.ports.clients import Client, ClientState, NewClient

CITIES = {"fra": "Frankfurt", "ams": "Amsterdam", "lon": "London", "nyc": "New York"}
ZONES = {
    "Frankfurt": "Europe/Berlin",
    "Amsterdam": "Europe/Amsterdam",
    "London": "Europe/London",
    "New York": "America/New_York",
}
PLACES = tuple(CITIES)
DAY_S = 86_400.0
VARIANTS = 3
_NAMES = tuple(ROLES)
_EXPOSED = {
    "edge": Exposure.PERIMETER,
    "mail": Exposure.PERIMETER,
    "web": Exposure.PERIMETER,
    "db": Exposure.CRITICAL,
    "laptop": Exposure.LAPTOP,
}
_OWNERS = {
    "web": "Shop team",
    "db": "Data team",
    "cache": "Shop team",
    "mail": "Messaging team",
    "build": "Engineering",
    "edge": "Network team",
    "files": "Workplace team",
    "desktop": "Workplace team",
    "laptop": "Workplace team",
    "kiosk": "Branch offices",
}
_BUSINESS = {"web": 5, "db": 5, "mail": 4, "edge": 4, "kiosk": 1, "desktop": 1, "laptop": 1}
_SCHEDULES = {"web": "Web servers", "db": "Databases"}
_APT_ERRORS = (
    "dpkg-query: error: '/var/lib/dpkg/status' near line 7413: missing 'Version' field",
    "/usr/bin/dpkg-query --show did not end in time",
    "/usr/bin/dpkg-query: Input/output error",
)
_RPM_ERRORS = (
    "rpm: error: rpmdb: damaged header #1041 retrieved -- skipping",
    "/usr/bin/rpm --query --all did not end in time",
    "rpm's database under / holds no package",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What a machine is like; it follows from its name and its number."""

    role: str
    system: System
    variant: int
    """Machines of one role have not quite the same packages."""
    lag_s: float
    """How long after its release an update is installed."""
    held: bool
    """One of its packages is never updated: somebody held it back."""
    never: bool
    silent_s: float
    """How long ago it fell silent; 0: it did not."""
    error: str
    """Why its scans fail; empty: they do not."""
    aged: bool
    blind: bool
    """Of some updates it cannot say whether it needs them."""
    restart: bool


def role_of(number: int) -> str:
    return _NAMES[number % len(_NAMES)]


def new_client(number: int, *, count: int, name: str = "") -> NewClient:
    """Return the machine of that number, the first being 0."""
    role = role_of(number)
    own = f"{role}-{PLACES[number // len(_NAMES) % len(PLACES)]}-{number:04d}"
    key = sha256(f"furnished {number}".encode()).digest()
    state = ClientState.ACTIVE
    if count >= 40 and number % 97 == 11:
        state = ClientState.WAITING
    if count >= 40 and number % 211 == 20:
        state = ClientState.QUARANTINED
    return NewClient(
        uuid=key[:16],
        name=name or own,
        public_key=key,
        machine=sha256(key).digest(),
        site="main",
        state=state,
        group=_group(number, role),
        platform=one_of(ROLES[role], "system", number),
        agent_version="0.2.0" if chance("agent", number) < 0.9 else "0.1.0",
    )


def _group(number: int, role: str) -> str:
    if role in OFFICE:
        return "office" if chance("group", number) < 0.85 else ""
    return "production" if chance("group", number) < 0.75 else "staging"


def zone_of(client: Client) -> str:
    """Return the time zone of the city where it stands."""
    return ZONES.get(described(client).location, "")


def described(client: Client) -> Described:
    """Return what people say of such a machine."""
    role, place = role_of(client.number - 1), client.name.split("-")[1:2]
    exposure = Exposure.SERVER
    if role in _EXPOSED:
        exposure = _EXPOSED[role]
    elif role in OFFICE:
        exposure = Exposure.ORDINARY
    return Described(
        owner=_OWNERS[role],
        roles=(role,),
        exposure=exposure,
        location=CITIES.get(place[0], "") if place else "",
        management_group="Workplace" if role in OFFICE else "Operations",
        restart=RestartCode.INTERACTIVE if role in OFFICE else RestartCode.AUTOMATIC,
        schedule=_schedule(client, role),
        business=_BUSINESS.get(role, 2),
        redundancy=1 if role in ("web", "cache", "edge") else 3,
    )


def _schedule(client: Client, role: str) -> UUID | None:
    """Of some machines nobody has said it."""
    if chance("scheduled", client.number) > 0.9:
        return None
    if client.group == "staging":
        return id_of("Staging")
    return id_of(_SCHEDULES.get(role, "Offices" if role in OFFICE else "Production"))


def person(client: Client) -> Person:
    lot = chance("mood", client.number)
    system = BY_SHARD[client.platform]
    role = client.name.partition("-")[0]
    return Person(
        role=role if role in ROLES else role_of(client.number),
        system=system,
        variant=client.number % VARIANTS,
        lag_s=_lag_s(client.number) * (0.3 if client.group == "staging" else 1),
        held=chance("held", client.number) < 0.015,
        never=lot < 0.02,
        silent_s=DAY_S * (1 + 40 * chance("silent", client.number)) if 0.02 <= lot < 0.045 else 0,
        error=_error(client.number, system) if 0.045 <= lot < 0.075 else "",
        aged=0.075 <= lot < 0.085,
        blind=chance("blind", client.number) < 0.01,
        restart=chance("restart", client.number) < 0.05,
    )


def _lag_s(number: int) -> float:
    """Most are patched within a night, some once a week, some when somebody thinks of it."""
    lot, within = chance("habit", number), chance("lag", number)
    for share, shortest, longest in ((0.62, 0.05, 0.25), (0.88, 1, 8), (0.97, 8, 40)):
        if lot < share:
            return DAY_S * (shortest + within * (longest - shortest))
    return DAY_S * (40 + within * 160)


def _error(number: int, system: System) -> str:
    errors = _RPM_ERRORS if system.format is PackageFormat.RPM else _APT_ERRORS
    return errors[int(chance("error", number) ** 2.5 * len(errors))]
