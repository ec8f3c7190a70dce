"""Every text that an operation takes, given the texts of people who look for a hole (S13, S33).

Over the real databases: whatever is said is a value, never a part of a statement, a path or a
pattern; it is refused with a 4xx or kept as it is, and nothing else in the site changes by it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, get_args, get_origin
from urllib.parse import quote

import pytest
from msgspec.structs import FieldInfo, fields

from patchtide.adapters.storage import Storage
from patchtide.server.operations import OPERATIONS
from patchtide.server.table import SAFE_METHODS, Operation
from tests.integration.http.plane import AdministratorsPlane
from tests.integration.http.test_policy import DOCUMENTS

pytestmark = pytest.mark.anyio
HOSTILE = {
    "ends the statement": "'; DROP TABLE client; --",
    "is always true": "' OR '1'='1",
    "matches everything": "%",
    "matches any letter": "_",
    "escapes": "\\",
    "climbs": "../../../../etc/passwd",
    "a template": "{{7*7}}${7*7}<%= 7*7 %>",
    "markup": "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>",
    "a null byte": "a\x00b",
    "a line of its own": "a\r\nX-Injected: 1",
    "a lone surrogate": "\ud800",
    "turns round": "\u202egnp.exe",
    "long": "A" * 100_000,
    "a number too large": str(10**400),
    "nothing": "",
}
ASKED = [o for o in OPERATIONS if o.plane.is_interface and o.input.__struct_fields__]
NAMES = {"web-1", "web_2", "100%"}


def text_fields(operation: Operation) -> Iterator[FieldInfo]:
    """Every field but yes and no: in a path or a query all of them are texts."""
    for field in fields(operation.input):
        if bool not in (field.type, *get_args(field.type)):
            yield field


def said(operation: Operation, field: FieldInfo, text: str) -> tuple[str, bytes | None]:
    """Return the path and the body that carry the text in that field."""
    encoded = quote(text.encode("utf-8", "surrogatepass"), safe="")
    path = operation.path
    for name in operation.parameters:
        path = path.replace(f"{{{name}}}", encoded if name == field.name else "0" * 12)
    if operation.method in SAFE_METHODS:
        in_query = field.name not in operation.parameters
        return (f"{path}?{field.name}={encoded}" if in_query else path), None
    document = dict(DOCUMENTS.get(operation.name, {}))
    if field.name not in operation.parameters:
        is_list = get_origin(field.type) is tuple or tuple in map(get_origin, get_args(field.type))
        document[field.name] = [text] if is_list else text
    return path, json.dumps(document).encode()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_hostile_texts_change_nothing_and_break_nothing(storage: Storage, text: str) -> None:
    plane = AdministratorsPlane(storage=storage)
    token = await plane.token(role="full-administrator")
    for name in sorted(NAMES):
        await plane.machine(name)
    headers = [("content-type", "application/json")]
    statuses: dict[str, int] = {}

    for operation in ASKED:
        for field in text_fields(operation):
            path, body = said(operation, field, text)
            answer = await plane.ask(
                operation.method,
                path,
                token=token,
                body=body,
                headers=headers if body is not None else (),
            )
            statuses[f"{operation.name}.{field.name}"] = answer.status

    assert {where: status for where, status in statuses.items() if status >= 500} == {}
    found = await plane.ask("GET", "/api/v1/machines", token=token)
    assert {machine["name"] for machine in found.json["items"]} == NAMES
    assert await asyncio.to_thread(storage.verify_audit) is None


SEARCHES = {"%": {"100%"}, "_": {"web_2"}, "' OR '1'='1": set(), "WEB": {"web-1", "web_2"}}


@pytest.mark.parametrize(("search", "names"), SEARCHES.items())
async def test_a_search_is_for_the_very_text(
    storage: Storage, search: str, names: set[str]
) -> None:
    plane = AdministratorsPlane(storage=storage)
    token = await plane.token(role="auditor")
    for name in sorted(NAMES):
        await plane.machine(name)

    answer = await plane.ask("GET", f"/api/v1/machines?search={quote(search)}", token=token)

    assert {machine["name"] for machine in answer.json["items"]} == names


async def test_what_is_taken_is_kept_as_it_is(storage: Storage) -> None:
    plane = AdministratorsPlane(storage=storage)
    token = await plane.token(role="full-administrator")
    taken: dict[str, Any] = {}
    for text in HOSTILE.values():
        answer = await plane.ask(
            "POST",
            "/api/v1/api-tokens",
            token=token,
            body=json.dumps({"name": text, "role": "auditor"}).encode(),
            headers=[("content-type", "application/json")],
        )
        if answer.status == 201:
            taken[answer.json["id"]] = text

    listed = await plane.ask("GET", "/api/v1/api-tokens", token=token)

    kept = {row["id"]: row["name"] for row in listed.json["items"] if row["id"] in taken}
    assert kept == taken
    assert {HOSTILE["markup"], HOSTILE["a template"], HOSTILE["is always true"]} <= {
        *taken.values()
    }
