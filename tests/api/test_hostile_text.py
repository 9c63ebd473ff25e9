"""Texts that a database cannot hold, in every place where a client can put a text: refused, ignored, never a 503.

The places come from the table of endpoints: each member of a path, each parameter of a query, each name and text of the
example that documents a body.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from app.api.app import FAMILIES, PROBES
from app.api.endpoint import Endpoint
from tests.api.harness import Answer, Service, Workspace
from tests.api.hostile_json import PARSE_ERROR

#: What becomes of a text: NUL, which PostgreSQL has no text for, and half a surrogate pair, which no encoding has bytes
#: for, behind what was there.
IN_JSON: Final[tuple[Callable[[str], str], ...]] = (lambda _: "a\0b", lambda text: f"{text}\ud83d")
IN_URL: Final = ("a%00b", "%ED%A0%80", "%FF")


def changed(value: Any, text: Callable[[str], str]) -> Iterator[Any]:
    """Copies of a JSON value, in each of which one text or one name is another."""
    if isinstance(value, str):
        yield text(value)
    elif isinstance(value, list):
        for n, one in enumerate(value):
            for other in changed(one, text):
                yield [*value[:n], other, *value[n + 1 :]]
    elif isinstance(value, dict):
        for name, one in value.items():
            for other in changed(one, text):
                yield {**value, name: other}
            yield {(text(key) if key == name else key): member for key, member in value.items()}


def requests(endpoint: Endpoint) -> Iterator[tuple[str, bytes | None]]:
    """(path with its query, body) of every hostile request to an endpoint."""
    documentation = endpoint.documentation
    body = None if documentation.example is None else json.dumps(documentation.example).encode()
    plain = endpoint.path
    for parameter in documentation.parameters:
        if parameter.place == "path":
            plain = plain.replace(f"{{{parameter.name}}}", "x")
    for parameter in documentation.parameters:
        for text in IN_URL:
            if parameter.place == "path":
                yield endpoint.path.replace(f"{{{parameter.name}}}", text), body
            elif parameter.place == "query":
                yield f"{plain}?{parameter.name}={text}", body
    if documentation.example is not None:
        for broken in IN_JSON:
            for other in changed(documentation.example, broken):
                yield plain, json.dumps(other).encode()


def send(workspace: Workspace, method: str, path: str, body: bytes | None) -> Answer:
    return workspace.service.send(method, path, body, workspace.headers(), workspace.key)


def endpoints(service: Service) -> list[Endpoint]:
    return [endpoint for family in FAMILIES for endpoint in family(service.services)]


def test_texts_that_no_database_holds(service: Service, workspace: Workspace) -> None:
    """Whatever they are in costs no error of ours, no unreadable answer and no dead letter."""
    faults, seen = [], 0
    with service.draining(workspace.id):
        for endpoint in endpoints(service):
            for path, body in requests(endpoint):
                answer = send(workspace, endpoint.method, path, body)
                seen += 1
                if answer.status >= 500 or PARSE_ERROR in answer.message:
                    faults.append((endpoint.method, path, body, answer.text))
    assert faults == []
    assert seen > 600
    workspace.drain()  # and whatever was accepted can be applied
    assert send(workspace, "GET", "/v1/dead-letters", None).body["dead_letters"] == []


def test_an_id_with_nul_is_as_unknown_as_any(service: Service, workspace: Workspace) -> None:
    """Wherever it stands in a path."""
    places = [(endpoint.method, endpoint.path) for endpoint in endpoints(service)]
    places += [("GET", probe.path) for family in PROBES for probe in family(service.services)]
    tried = 0
    with service.draining(workspace.id):
        for method, path in places:
            for parameter in re.findall(r"{(\w+)}", path):
                seen = []
                for text in ("%00", "a%00b", "a%EF%BF%BDb"):
                    address = re.sub(r"{\w+}", "x", path.replace(f"{{{parameter}}}", text))
                    answer = send(workspace, method, address, b"{}" if method == "POST" else None)
                    seen.append((answer.status, answer.body))
                assert seen[0] == seen[1] == seen[2], (method, path, seen)
                assert 400 <= seen[0][0] < 500, (method, path, seen)
                tried += 1
    assert tried > 15


@pytest.mark.parametrize("text", ["%00", "a%00b"])
def test_a_reason_that_no_letter_can_have(workspace: Workspace, text: str) -> None:
    refusal = (400, "'reason' must be printable text. 'reason' has the invisible character U+0000.")
    listed = send(workspace, "GET", f"/v1/dead-letters?reason={text}", None)
    assert (listed.status, listed.message) == refusal
    body = json.dumps({"filter": {"reason": "a\0b"}}).encode()
    replayed = send(workspace, "POST", "/v1/dead-letters/replay", body)
    assert (replayed.status, replayed.message) == refusal
