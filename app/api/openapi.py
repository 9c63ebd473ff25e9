"""The OpenAPI 3.1 document, made from the table of endpoints that is served."""

import re
from collections.abc import Iterable
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec

from app.api.documentation import TAGS, Documentation, Parameter
from app.api.endpoint import SDK_KEY, WRITE_KEY, Endpoint, Probe
from app.api.refusals import BodyRefusal, RateLimited, Refusal

Json = dict[str, Any]

VERSION: Final = "0.1.0"
TEXT: Final = """\
A self-hosted user-data service: attributes, events and purchases go in, profiles come out.

Every answer is a JSON object with a `message`, which is `success` for a 2xx and nothing else, and has an
`X-Request-Id`. A path that is not listed here, and another method on one that is, is 404.
A 429 and any 5xx may be tried again later; another 4xx will not become right by trying again.
"""

_HEADERS: Final = {
    "X-Request-Id": ("Id of the request. That of an accepted one can be asked about.", {"format": "uuid"}),
    "X-RateLimit-Limit": ("Requests that the limit allows which is nearest to its end.", {"pattern": r"^\d+$"}),
    "X-RateLimit-Remaining": ("Requests that are left of it.", {"pattern": r"^\d+$"}),
    "X-RateLimit-Reset": (
        "When it is full again; on a 429, when to try again. Epoch seconds, or seconds left.",
        {"pattern": r"^\d+$"},
    ),
    "Retry-After": ("Seconds to wait before trying again.", {"pattern": r"^[1-9]\d*$"}),
    "X-RateLimit-Retry-After": ("Seconds to wait before trying again.", {"pattern": r"^[1-9]\d*$"}),
}
_RATE: Final = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_RETRY: Final = ("Retry-After", "X-RateLimit-Retry-After")

# Status -> (type, headers that are always there beside X-Request-Id).
_ANY: Final[dict[int, tuple[Any, tuple[str, ...]]]] = {400: (Refusal, ()), 431: (Refusal, ())}
_KEYED: Final = _ANY | {
    401: (Refusal, ()),
    403: (Refusal, ()),
    # Without the headers of a limit where it is the address of a client without a key.
    # Retry-After as well, but not in the style of the newer plans: what is always there is the other one.
    429: (RateLimited, _RETRY[1:]),
    500: (Refusal, ()),
    503: (Refusal, _RETRY[:1]),
}
_IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    "header",
    Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[\x20-\x7e]+$")],
    "Of the client's choice. Another request with it is not accepted again and gets the first answer.",
)
#: Bytes that no schema describes (OpenAPI 3.1).
_FILE: Final[Json] = {"type": "string", "format": "binary"}
_REPLAYED: Final = {"Idempotent-Replayed": "`true` on an answer that was given before."}
_WITH_BODY: Final = {400: (BodyRefusal, ()), 408: (Refusal, _RATE), 413: (Refusal, _RATE), 415: (Refusal, _RATE)}


def document(endpoints: Iterable[Endpoint], probes: Iterable[Probe]) -> Json:
    """The document as a JSON value."""
    operations = [(e.method, e.path, *_operation(e, e.documentation)) for e in endpoints]
    operations += [("GET", p.path, *_probe(p)) for p in probes]
    types = {type_ for *_, found in operations for type_ in found}
    ordered = sorted(types, key=repr)
    schemas, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, Json] = {}
    for method, path, operation, _ in operations:
        paths.setdefault(path, {})[method.lower()] = _filled(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Onefold",
            "version": VERSION,
            "description": TEXT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": {
                name: {"description": text, "required": True, "schema": {"type": "string", **form}}
                for name, (text, form) in _HEADERS.items()
            },
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A REST API key of a workspace."},
                "sdkKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Onefold-SDK-Key",
                    "description": "The public SDK key of an app; or the member `sdk_key` of the body.",
                },
                "writeKey": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The public SDK key of an app as the user; or X-Write-Key, or `writeKey`.",
                },
            },
        },
    }


class _Schema:
    """Stands for the schema of a type until the schemas of all types are known."""

    def __init__(self, type_: Any) -> None:
        self.type = type_


def _operation(endpoint: Endpoint, told: Documentation) -> tuple[Json, set[Any]]:
    answers = dict(_KEYED)
    if told.body is not None:
        answers |= _WITH_BODY
    if told.idempotent:
        answers[422] = (Refusal, _RATE)
        told = replace(told, parameters=(*told.parameters, _IDEMPOTENCY_KEY), headers={**told.headers, **_REPLAYED})
    # A 400 may come from the HTTP itself, before anybody is counted.
    answers |= {status: (type_, () if status == 400 else _RATE) for status, type_ in told.answers.items()}
    operation = _described(endpoint.method, endpoint.path, told, answers)
    schemes = {SDK_KEY: "sdkKey", WRITE_KEY: "writeKey"}
    operation["security"] = [{schemes.get(endpoint.permission or "", "key"): []}]
    needs = "any key of the workspace" if endpoint.permission is None else f"a key with `{endpoint.permission}`"
    if endpoint.permission in schemes:
        needs = "the SDK key of an app"
    operation["description"] += f"\n\nNeeds {needs}. Counted by the limit `{endpoint.group}`."
    return operation, _types(told, answers)


def _probe(probe: Probe) -> tuple[Json, set[Any]]:
    told = probe.documentation
    answers = _ANY | {status: (type_, ()) for status, type_ in told.answers.items()}
    if 503 in answers:
        answers[503] = (answers[503][0], _RETRY[:1])
    operation = _described("GET", probe.path, told, answers)
    operation["security"] = []
    return operation, _types(told, answers)


def _types(told: Documentation, answers: dict[int, tuple[Any, tuple[str, ...]]]) -> set[Any]:
    found = {type_ for type_, _ in answers.values()} | {parameter.type for parameter in told.parameters}
    return found | ({told.body} if told.body is not None else set())


def _described(method: str, path: str, told: Documentation, answers: dict[int, tuple[Any, tuple[str, ...]]]) -> Json:
    operation: Json = {
        "operationId": "_".join((method.lower(), *re.findall(r"\w+|/$", path))).replace("/", "slash"),
        "summary": told.title,
        "description": told.text,
        "tags": [told.tag],
        "parameters": [
            {
                "name": parameter.name,
                "in": parameter.place,
                "required": parameter.place == "path",
                "description": parameter.text,
                "schema": _Schema(parameter.type),
            }
            for parameter in told.parameters
        ],
        "responses": {
            str(status): _response(status, type_, headers, told) for status, (type_, headers) in sorted(answers.items())
        },
    }
    if told.body is not None:
        content: Json = {"schema": _Schema(told.body), "example": told.example}
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": content} | {name: {"schema": _FILE} for name in told.files},
        }
    return operation


def _response(status: int, type_: Any, headers: tuple[str, ...], told: Documentation) -> Json:
    shown: Json = {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *headers)}
    media_type = "application/json"
    if 200 <= status < 300:
        media_type = told.media_type
        shown |= {name: {"description": text, "schema": {"type": "string"}} for name, text in told.headers.items()}
    return {
        "description": HTTPStatus(status).phrase,
        "headers": shown,
        "content": {media_type: {"schema": _Schema(type_)}},
    }


def _filled(value: Any, schema_of: dict[Any, Json]) -> Any:
    if isinstance(value, _Schema):
        return schema_of[value.type]
    if isinstance(value, dict):
        return {name: _filled(member, schema_of) for name, member in value.items()}
    if isinstance(value, list):
        return [_filled(member, schema_of) for member in value]
    return value
