"""The description: valid OpenAPI 3.1, for the signed in only, and true of the server (S37)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import Case
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation.hypothesis.builder import (
    HypothesisTestConfig,
    HypothesisTestMode,
    create_test,
)
from schemathesis.python.asgi import ASGIClient
from schemathesis.specs.openapi.schemas import OpenApiSchema

from patchtide.adapters.http.openapi import describe
from patchtide.server.operations import OPERATIONS
from tests.integration.http.plane import AdministratorsPlane

DOCUMENT: dict[str, Any] = json.loads(msgspec.json.encode(describe(OPERATIONS)))
PLANE = AdministratorsPlane()
TOKEN = asyncio.run(PLANE.token(role="full-administrator"))
SIGNED_IN = {"Authorization": f"Bearer {TOKEN}"}
# One for all requests: by itself each makes one, and reads the environment for proxies.
CLIENT = ASGIClient(PLANE.app)
CLIENT.trust_env = False

load_all_checks()
# A JSON schema can neither say "rights or a role" nor that 1.0 is no count here.
TAKES_ALL_THE_SCHEMA_ALLOWS = CHECKS.get_one("positive_data_acceptance")


@pytest.fixture(scope="module")
def schema() -> OpenApiSchema:
    found = schemathesis.openapi.from_asgi("/api/v1/openapi.json", PLANE.app, headers=SIGNED_IN)
    # A text beyond its longest may be beyond the longest body as well, which is refused first.
    found.config.checks.negative_data_rejection.expected_statuses.append("413")
    return found


def test_the_description_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_the_description_names_every_operation_of_the_administrators_plane() -> None:
    described = {
        row["operationId"] for methods in DOCUMENT["paths"].values() for row in methods.values()
    }

    assert described == {o.name for o in OPERATIONS if o.plane.is_interface}


def test_every_field_that_is_asked_for_is_explained() -> None:
    silent = [
        f"{row['operationId']}.{parameter['name']}"
        for methods in DOCUMENT["paths"].values()
        for row in methods.values()
        for parameter in row.get("parameters", [])
        if not parameter.get("description")
    ]

    assert silent == []


def test_the_server_gives_its_description_to_the_signed_in() -> None:
    answer = asyncio.run(PLANE.ask("GET", "/api/v1/openapi.json", token=TOKEN))

    assert answer.json == DOCUMENT


@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def keeps_its_word(case: Case) -> None:
    case.call_and_validate(
        session=CLIENT, headers=SIGNED_IN, excluded_checks=[TAKES_ALL_THE_SCHEMA_ALLOWS]
    )


# The claim of a fresh server hides behind 404 on purpose; test_bootstrap.py holds it.
DESCRIBED = [o.name for o in OPERATIONS if o.plane.is_interface and o.name != "site.bootstrap"]


@pytest.mark.parametrize("name", DESCRIBED)
def test_the_server_does_what_its_description_says(schema: OpenApiSchema, name: str) -> None:
    # Made here and not while tests are collected, which each worker does: it takes long.
    modes = [HypothesisTestMode.EXAMPLES, HypothesisTestMode.COVERAGE, HypothesisTestMode.FUZZING]
    test = create_test(
        operation=schema.find_operation_by_id(name),
        test_func=keeps_its_word,
        config=HypothesisTestConfig(project=schema.config, modes=modes),
    )

    test()
