"""How this machine stands, for people as tables and for programs as one document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from patchtide.entry.cli.printing import tame
from patchtide.entry.cli.up.story import Standing

CVES = 6
"""So many are named of an update; the document has all."""
WIDTH = 120
_STATES = ("installed", "required", "not_required", "unknown")
_STYLES = {"critical": "bold red", "important": "red", "moderate": "yellow"}


def document_of(standing: Standing, *, console: str) -> Mapping[str, Any]:
    return {
        "console": console,
        "machine": standing.machine,
        "catalog_as_of": standing.as_of,
        "counts": standing.counts,
        "required": standing.required,
    }


def show(standing: Standing, out: Console) -> None:
    if not out.is_terminal:
        out.width = WIDTH
    parts: list[RenderableType] = [_head(standing), Padding(_counts(standing.counts), (1, 0))]
    parts.append(_required(standing.required) if standing.required else _nothing(standing.counts))
    out.print(Padding(Group(*parts), (1, 0)), highlight=False)


def _head(standing: Standing) -> Text:
    machine = standing.machine
    text = Text(tame(machine["name"]), style="bold")
    for word in (machine["system"], machine["kernel"] and f"kernel {machine['kernel']}"):
        text.append(f"  {tame(word)}" if word else "", style="not bold")
    if standing.as_of:
        signed = datetime.fromisoformat(standing.as_of)
        text.append(f"  archives as of {signed:%Y-%m-%d %H:%M} UTC", style="not bold dim")
    return text


def _counts(counts: Mapping[str, int]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for name in _STATES:
        table.add_column(name.replace("_", " "), justify="right")
    style = {"required": "bold yellow" if counts["required"] else "green"}
    table.add_row(*(Text(str(counts[name]), style=style.get(name, "")) for name in _STATES))
    return table


def _nothing(counts: Mapping[str, int]) -> Text:
    if counts["unknown"]:
        return Text("Nothing is known to be required.")
    return Text("Nothing is required: this machine has every update there is for it.", "green")


def _required(required: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for name in ("required", "severity", "installed → fixed", "CVEs"):
        table.add_column(name, overflow="fold")
    for update in required:
        severity = update["severity"]
        for place, (names, versions) in enumerate(_moves(update)):
            is_first = not place
            table.add_row(
                names,
                Text(severity if is_first else "", style=_STYLES.get(severity, "")),
                versions,
                Text(_cves(update["cves"]) if is_first else ""),
            )
    return table


def _moves(update: Mapping[str, Any]) -> Iterator[tuple[Text, Text]]:
    """Yield the packages that go from one version to another together, and these versions."""
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for package in update["packages"]:
        alike[package["installed"], package["fixed"]].append(package["name"])
    title = Text(tame(update["title"].partition(" ")[0]), style="bold")
    for (installed, fixed), names in alike.items():
        if names != [title.plain]:
            title.append(f" {tame(', '.join(names))}".rstrip(), style="not bold dim")
        yield title, Text(tame(f"{installed} → {fixed}"))
        title = Text()
    if not alike:
        yield Text(tame(update["title"]), style="bold"), Text()


def _cves(cves: Sequence[str] | None) -> str:
    if cves is None:
        return "not known"
    more = f" and {len(cves) - CVES} more" if len(cves) > CVES else ""
    return f"{' '.join(map(tame, cves[:CVES]))}{more}" or "none named"
