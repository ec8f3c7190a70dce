"""The OpenAPI 3.1 document of the administrators' plane, derived from the operation table.

The agents' plane is not in it: its messages are signed MessagePack, described in patchtide.wire.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields

from patchtide import __version__
from patchtide.adapters.http.problems import ProblemDocument
from patchtide.domain.access.principals import Gate
from patchtide.domain.access.rights import Right
from patchtide.server.four_eyes import Waiting
from patchtide.server.table import JSON, Operation, Table

Schema = dict[str, Any]

_REF = "#/components/schemas/{name}"
_OPEN = frozenset({Gate.PUBLIC, Gate.ONE_TIME_CODE})
_EVERYWHERE = (400, 413, 415, 429, 500, 503)
_SIGNED_IN = (401, 403, 404)


def describe(table: Table) -> Schema:
    """Return the document, as plain dicts."""
    operations = [o for o in table if o.plane.is_interface]
    schemas = _Schemas(operations)
    paths: dict[str, Schema] = {}
    for operation in operations:
        methods = paths.setdefault(operation.path, {})
        methods[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Patchtide", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


class _Schemas:
    """All types' schemas, made at once so that what is shared is named once."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        kinds: list[Any] = [ProblemDocument, Waiting]
        for operation in operations:
            kinds += [field.type for field in fields(operation.input)]
            kinds += [operation.output] if operation.output is not None else []
        made, self.components = msgspec.json.schema_components(kinds, ref_template=_REF)
        self._made = list(zip(kinds, made, strict=True))

    def of(self, kind: Any) -> Schema:
        return dict(next(schema for known, schema in self._made if known == kind))


def _operation(operation: Operation, schemas: _Schemas) -> Schema:
    in_path = [f for f in fields(operation.input) if f.name in operation.parameters]
    others = [f for f in fields(operation.input) if f.name not in operation.parameters]
    described: Schema = {
        "operationId": operation.name,
        "summary": operation.sentence,
        "tags": [operation.group or operation.name],
        "responses": _responses(operation, schemas),
        "security": [] if operation.policy in _OPEN else [{"token": []}],
    }
    if isinstance(operation.policy, Right):
        described["description"] = f"Needs the {_rights(operation)}."
    parameters = [_parameter(f, schemas, where="path") for f in in_path]
    if operation.takes_file:
        described["requestBody"] = {
            "required": False,  # an empty file is one, too
            "content": {"application/octet-stream": {"schema": {}}},
        }
    if operation.asks_in_address:
        parameters += [_parameter(f, schemas, where="query") for f in others]
    elif others:
        described["requestBody"] = _body(others, schemas)
    if parameters:
        described["parameters"] = parameters
    return described


def _rights(operation: Operation) -> str:
    words = " and ".join(f"`{needed}`" for needed in operation.needs)
    return f"rights {words}" if operation.also else f"right {words}"


def _responses(operation: Operation, schemas: _Schemas) -> Schema:
    done: Schema = {"description": HTTPStatus(operation.status).phrase}
    if operation.output is not None or operation.status == HTTPStatus.OK:
        kinds = operation.media_types
        done["content"] = {kind: {"schema": _output(operation, kind, schemas)} for kind in kinds}
    problem = {"application/problem+json": {"schema": schemas.of(ProblemDocument)}}
    codes = _EVERYWHERE if operation.policy is Gate.PUBLIC else (*_EVERYWHERE, *_SIGNED_IN)
    codes = (*codes, 409) if operation.audited or operation.takes_file else codes
    refusals = {
        str(code): {"description": HTTPStatus(code).phrase, "content": problem}
        for code in sorted(codes)
    }
    waiting: Schema = {
        "description": "It waits for a second person, as a proposal",
        "content": {JSON: {"schema": schemas.of(Waiting)}},
    }
    waits = {"202": waiting} if operation.four_eyes is not None else {}
    return {str(operation.status): done, **waits, **refusals}


def _output(operation: Operation, kind: str, schemas: _Schemas) -> Schema:
    if operation.output is not None:
        return schemas.of(operation.output)
    return {"type": "object" if kind == JSON else "string"}


def _parameter(field: FieldInfo, schemas: _Schemas, *, where: str) -> Schema:
    schema = _without_null(schemas.of(field.type))
    described: Schema = {"name": field.encode_name, "in": where, "required": field.required}
    if text := schema.pop("description", ""):
        described["description"] = text
    if not field.required and field.default is not None:
        schema["default"] = field.default
    return {**described, "schema": schema}


def _without_null(schema: Schema) -> Schema:
    """A parameter is absent or a text; it has no null."""
    choices = [c for c in schema.pop("anyOf", ()) if c != {"type": "null"}]
    return {**schema, **choices[0]} if len(choices) == 1 else schema


def _body(others: Iterable[FieldInfo], schemas: _Schemas) -> Schema:
    listed = list(others)
    schema: Schema = {
        "type": "object",
        "properties": {f.encode_name: _property(f, schemas) for f in listed},
        "required": [f.encode_name for f in listed if f.required],
        "additionalProperties": False,
    }
    required = any(f.required for f in listed)
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _property(field: FieldInfo, schemas: _Schemas) -> Schema:
    schema = schemas.of(field.type)
    return schema if field.required else {**schema, "default": field.default}
