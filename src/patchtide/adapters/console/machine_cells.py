"""What a file of machines has in its columns: to be read, or to be changed and imported again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from patchtide.server import machine_csv
from patchtide.server.machine_attributes import ATTRIBUTES, text_of
from patchtide.server.machine_list import Machine

CELLS: Mapping[str, Callable[[Machine], Any]] = MappingProxyType(
    {
        "id": lambda m: str(m.id),
        "name": lambda m: m.name,
        "state": lambda m: m.state,
        "compliance": lambda m: m.compliance,
        "doubt": lambda m: m.doubt,
        "required": lambda m: m.required,
        "installed": lambda m: m.installed,
        "unknown": lambda m: m.unknown,
        "restart_pending": lambda m: m.restart_pending,
        "platform": lambda m: m.platform,
        "group": lambda m: m.group,
        "owner": lambda m: m.owner,
        "roles": lambda m: m.roles,
        "exposure": lambda m: m.exposure,
        "location": lambda m: m.location,
        "cluster": lambda m: m.cluster,
        "management_group": lambda m: m.management_group,
        "tags": lambda m: m.tags,
        "criticality": lambda m: m.criticality,
        "schedule": lambda m: str(m.schedule or ""),
        "restart": lambda m: m.restart,
        "site": lambda m: m.site,
        "enrolled_at": lambda m: m.enrolled_at,
        "reported_at": lambda m: m.reported_at,
    }
)
FILE_CELLS: Mapping[str, Callable[[Machine], Any]] = MappingProxyType(
    {
        name: partial(text_of, name=name) if name in ATTRIBUTES else CELLS[name]
        for name in machine_csv.COLUMNS
    }
)
"""As a file that can be imported again."""
