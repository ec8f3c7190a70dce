"""S13: whatever is sent, the answer is clean; every mistake is named with its place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchtide.adapters.http.inputs import said_of
from patchtide.server.operations import OPERATIONS
from tests.integration.http.plane import AdministratorsPlane, Answer

JSON = [("content-type", "application/json")]


async def post(body: bytes, headers: Sequence[tuple[str, str]] = tuple(JSON)) -> Answer:
    plane = AdministratorsPlane()
    token = await plane.token(role="full-administrator")
    return await plane.ask("POST", "/api/v1/tokens", token=token, body=body, headers=headers)


HOSTILE = {
    "arrays nested 100,000 deep": b"[" * 100_000,
    "objects nested 100,000 deep": b'{"uses":' * 100_000,
    "nesting in a known field": b'{"site":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nesting in an unknown field": b'{"x":' + b'{"x":' * 100_000 + b"1" + b"}" * 100_001,
    "a number of 10,000 digits": b'{"uses":' + b"9" * 10_000 + b"}",
    "an exponent beyond every float": b'{"uses":1e99999}',
    "a fraction where a count belongs": b'{"uses":1.5}',
    "not a number": b'{"uses":NaN}',
    "a half of a surrogate pair": b'{"site":"\\ud800"}',
    "bytes that are no text": b'{"site":"\xff\xfe"}',
    "an object that never ends": b'{"uses":1',
    "two documents": b'{"uses":1}{"uses":2}',
    "no object": b"7",
    "a text for a number": b'{"uses":"1"}',
    "a byte order mark": b'\xef\xbb\xbf{"uses":1}',
    "a zero byte": b'{"site":"\x00"}',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_body_is_a_clean_400(body: bytes) -> None:
    answer = asyncio.run(post(body))

    assert answer.status == 400 and answer.json["code"] == "invalid-document"
    assert answer.headers["content-type"] == "application/problem+json"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["uses", "hours", "site", "group", "approve", "x"]),
                    inner,
                    max_size=5,
                )
            ),
            max_leaves=12,
        ).map(lambda d: json.dumps(d).encode()),
    )
)
def test_no_body_makes_an_internal_error(body: bytes) -> None:
    answer = asyncio.run(post(body))

    assert answer.status in (201, 400)


def test_every_mistake_is_named_at_once_with_its_place() -> None:
    answer = asyncio.run(post(b'{"uses": 0, "hours": 99, "group": 5, "sit": "x"}'))

    places = sorted(p["where"] for p in answer.json["problems"])
    assert places == ["group", "hours", "sit", "uses"]


def test_a_mistake_within_a_list_names_its_place_there() -> None:
    async def answer() -> Answer:
        plane = AdministratorsPlane()
        token = await plane.token(role="full-administrator")
        wish = {"rights": ["audit.read", 7]}
        return await plane.ask("POST", "/api/v1/api-tokens", token=token, document=wish)

    problems = asyncio.run(answer()).json["problems"]
    assert {p["where"]: p["what"] for p in problems} == {
        "name": "is missing",
        "rights[1]": "is not a text",
    }


def test_bounds_are_told_in_words() -> None:
    answer = asyncio.run(post(b'{"uses": 0, "hours": 9999, "group": "' + b"x" * 300 + b'"}'))

    assert {p["where"]: p["what"] for p in answer.json["problems"]} == {
        "uses": "is at least 1",
        "hours": "is at most 24",
        "group": "has at most 64 characters",
    }


def _patterns(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (said for key, said in schema.items() if key == "pattern" and schema.get("type"))
    for inner in schema.values() if isinstance(schema, dict) else ():
        yield from _patterns(inner)


def test_every_form_that_a_text_must_have_is_told_in_words() -> None:
    patterns = {
        pattern
        for operation in OPERATIONS
        if operation.plane.is_interface
        for pattern in _patterns(msgspec.json.schema(operation.input))
    }

    assert len(patterns) >= 8
    assert [pattern for pattern in patterns if not said_of(pattern)] == []


@pytest.mark.parametrize(
    ("method", "path", "document", "told"),
    [
        ("POST", "/lists", {"name": "a/b"}, "name: is made of small letters, digits and hyphens"),
        (
            "GET",
            "/reports/by-machne",
            {},
            "name: Invalid enum value 'by-machne'; there are overall",
        ),
        ("GET", "/lists/nosuch", None, "nothing is known here as nosuch"),
        ("GET", f"/updates/{UUID(int=7)}", None, f"nothing is known here as {UUID(int=7)}"),
    ],
)
def test_a_refusal_names_what_it_is_about(
    method: str, path: str, document: object, told: str
) -> None:
    async def answer() -> Answer:
        plane = AdministratorsPlane()
        token = await plane.token(role="full-administrator")
        return await plane.ask(method, f"/api/v1{path}", token=token, document=document)

    assert asyncio.run(answer()).json["detail"].startswith(told)


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("limit=0", "limit"),
        ("limit=1&limit=2", "limit"),
        ("limit=ten", "limit"),
        ("after=x", "after"),
        ("colour=red", "colour"),
        ("%ff=1", "query"),
        ("&&", "query"),
        ("&".join(f"a{n}=1" for n in range(100)), "query"),
    ],
)
def test_a_mistake_in_the_query_is_named(query: str, where: str) -> None:
    async def answer() -> Answer:
        plane = AdministratorsPlane()
        token = await plane.token(role="auditor")
        return await plane.ask("GET", f"/api/v1/machines?{query}", token=token)

    got = asyncio.run(answer())
    assert got.status == 400 and where in {p["where"] for p in got.json["problems"]}


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("content-type", "text/plain")],
        [("content-type", "application/x-www-form-urlencoded")],
        [("content-type", "application/json; charset=utf-16")],
        [*JSON, *JSON],
        [("content-type", "application/jsonp")],
    ],
)
def test_a_body_that_does_not_say_it_is_json_is_refused(headers: list[tuple[str, str]]) -> None:
    assert asyncio.run(post(b'{"uses":1}', headers)).status == 415


def test_more_than_a_mebibyte_is_refused() -> None:
    answer = asyncio.run(post(b'{"site":"' + b"x" * (1 << 20) + b'"}'))

    assert answer.status == 413 and answer.json["code"] == "body-too-large"


def test_an_empty_body_takes_every_default() -> None:
    assert asyncio.run(post(b"", [])).status == 201


async def ask(method: str, path: str) -> Answer:
    plane = AdministratorsPlane()
    return await plane.ask(method, path, token=await plane.token(role="full-administrator"))


def test_head_answers_like_get_without_its_body() -> None:
    got, head = (asyncio.run(ask(m, "/api/v1/machines")) for m in ("GET", "HEAD"))

    assert head.status == 200 and head.body == b"" and head.headers == got.headers


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW"])
def test_another_method_is_refused_with_those_that_are_allowed(method: str) -> None:
    answer = asyncio.run(ask(method, "/api/v1/tokens"))

    assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_options_names_the_methods_and_allows_no_origin() -> None:
    answer = asyncio.run(ask("OPTIONS", "/api/v1/tokens"))

    assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    "path", ["/api/v1/machines/", "/api/v1//machines", "/api/v1/MACHINES", "/machines/"]
)
def test_another_spelling_is_not_found_and_never_redirected(path: str) -> None:
    answer = asyncio.run(ask("GET", path))

    assert answer.status == 404 and "location" not in answer.headers


@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/machines", "/nowhere"])
def test_every_answer_carries_the_security_headers(path: str) -> None:
    headers = asyncio.run(AdministratorsPlane().ask("GET", path)).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["cache-control"] == "no-store"
    assert headers["strict-transport-security"] == "max-age=31536000"


def test_an_error_inside_tells_nothing_of_itself() -> None:
    async def answer() -> Answer:
        plane = AdministratorsPlane()
        plane.storage.breaks = RuntimeError("password=hunter2")
        return await plane.ask("GET", "/api/v1/health")

    got = asyncio.run(answer())
    assert got.status == 500 and got.json["code"] == "internal" and b"hunter2" not in got.body


def test_nobody_finds_more_than_health_and_no_version() -> None:
    async def crawl() -> tuple[dict[str, int], str]:
        plane = AdministratorsPlane()
        paths = ["/api/v1/health", "/api/v1/openapi.json", "/docs", "/metrics", "/debug", "/"]
        answers = {path: await plane.ask("GET", path) for path in paths}
        seen = "".join(f"{a.headers}{a.body!r}" for a in answers.values())
        return {path: a.status for path, a in answers.items()}, seen

    statuses, seen = asyncio.run(crawl())
    assert [path for path, status in statuses.items() if status == 200] == ["/api/v1/health"]
    assert statuses["/api/v1/openapi.json"] == 401
    assert "0.1" not in seen and "uvicorn" not in seen and "Starlette" not in seen
