"""Requests of public client libraries and of the vendor's collection, replayed against a `legacy` workspace.

A line says what it expects: `ok` = 2xx, success, the counters, no errors; `partial` = 2xx with exactly these errors;
`fatal` = 4xx; `auth` = 401; `soft` = anything but 5xx or a missing endpoint. Status numbers are exact where recorded.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from app.contract import identifiers, identify
from app.contract.segment_requests import BAD_ENDING, BAD_LENGTH
from tests.api.harness import Answer, Service, Workspace, checked
from tests.e2e.service import Service as Onefold

TRAFFIC = Path(__file__).parent / "traffic"

#: Answered once they are applied.
SYNCHRONOUS = {"/users/external_ids/rename", "/users/external_ids/remove"}
SERVED = SYNCHRONOUS | {
    "/users/track",
    "/users/export/ids",
    "/users/identify",
    "/users/merge",
    "/users/alias/new",
    "/users/alias/update",
    "/users/delete",
    "/subscription/status/get",
    "/subscription/status/set",
    "/subscription/user/status",
    "/v2/subscription/status/set",
    "/segments/list",
    "/segments/details",
    "/segments/data_series",
}
#: Exports to files. The lines name segments that nobody has here, and placeholders in place of addresses.
TO_FILES = {"/users/export/segment", "/users/export/global_control_group"}
#: No part of the specification.
NEVER = "/preference_center/"

#: What the notes of `soft` lines come to here: status, counters, refused objects.
SOFT: dict[str, tuple[int, dict[str, int], list[tuple[str, int]]]] = {
    "device_id, email_address and phone together: 400": (400, {}, []),
    # "+1:00" is a malformed offset, which means UTC
    "events[0] odd time": (201, {"events": 1}, []),
    "attributes[0] not an object; attributes[1] not an object; events[0] not an object; events[1] not an object": (
        400,
        {},
        [(array, index) for array in ("attributes", "events", "purchases") for index in (0, 1)],
    ),
}

_GROUP = "ed06e19a-69b1-4f9b-a452-2db2c4e303a8"
_STATES = {1: "subscribed", 2: "unsubscribed"}
#: The group and the people of whom the recorded lines about subscriptions speak.
RECORDED_MEMBERS: list[dict[str, Any]] = [
    {
        "method": "POST",
        "path": "/v1/subscription_groups",
        "body": {"id": _GROUP, "name": "test-subscription-group", "channel": "email"},
    },
    {
        "method": "POST",
        "path": "/users/track",
        "body": {
            "attributes": [
                {"external_id": f"test-user-{n}", "email": f"test-user-{n}@test.com"}
                | (
                    {"subscription_groups": [{"subscription_group_id": _GROUP, "subscription_state": _STATES[n]}]}
                    if n in _STATES
                    else {}
                )
                for n in (1, 2, 3)
            ]
        },
    },
]

_ALIASES = {"message": "success", "aliases_processed": 1}
_UNKNOWN = "current_external_id does not exist"
#: The whole answers to `soft` lines about identity, by id. The answer does not depend on whether such people are here,
#: save that of renaming and removing external ids.
ANSWERS: dict[str, tuple[int, dict[str, Any]]] = {
    "node_braze_node-df92414ca470": (201, _ALIASES),
    "node_braze_node-27f689f8fb11": (201, _ALIASES),
    "postman-13b1eb02845c": (201, _ALIASES),
    "recorded_braze_ruby-509b90d6abce": (201, _ALIASES),
    "postman-5a27ce33cae5": (201, {**_ALIASES, "aliases_processed": 2}),
    "postman-5129e1c495ac": (201, {**_ALIASES, "aliases_processed": 2}),
    "postman-b82dee3c6c10": (
        201,
        {
            **_ALIASES,
            "aliases_processed": 2,
            "errors": [  # no such area code
                {"type": identifiers.BAD_PHONE, "input_array": "phone_numbers_to_identify", "index": 0}
            ],
        },
    ),
    "node_braze_node-df1187d555d2": (
        400,
        {
            "message": identify.NOTHING_VALID,
            "errors": [{"type": "'prioritization' is not valid", "input_array": "emails_to_identify", "index": 0}],
        },
    ),
    "node_braze_node-9b37b926caa2": (201, {"deleted": 6, "message": "success"}),
    "postman-842abb754891": (201, {"deleted": 6, "message": "success"}),
    "node_braze_node-8d46b398ebb5": (202, {"message": "success"}),
    "postman-997ef8668434": (202, {"message": "success"}),
    "postman-000203799d96": (400, {"message": "'merge_updates' must be an array of objects"}),
    "node_braze_node-7cf2d9b3e78f": (
        201,
        {"message": "success", "removed_ids": [], "removal_errors": [[0, "external_id does not exist"]]},
    ),
    "postman-403c2a25002b": (
        201,
        {
            "message": "success",
            "removed_ids": [],
            "removal_errors": [[0, "external_id does not exist"], [1, "external_id does not exist"]],
        },
    ),
    "node_braze_node-d21ab86c6230": (
        201,
        {"message": "success", "external_ids": [], "rename_errors": [[0, _UNKNOWN]]},
    ),
    "postman-3fc03a3558cb": (
        201,
        {"message": "success", "external_ids": [], "rename_errors": [[0, _UNKNOWN], [1, _UNKNOWN]]},
    ),
}


def lines() -> list[Any]:
    found = []
    for path in sorted(TRAFFIC.glob("*.jsonl")):
        for number, text in enumerate(path.read_text().splitlines(), 1):
            found.append(pytest.param(json.loads(text), id=f"{path.stem}:{number}"))
    return found


LINES = lines()


def test_every_path_is_accounted_for() -> None:
    paths = Counter(line.values[0]["path"] for line in LINES)
    assert sum(paths.values()) == 81
    unknown = {path for path in paths if path not in SERVED | TO_FILES and not path.startswith(NEVER)}
    assert not unknown
    assert paths.keys() >= TO_FILES


@pytest.mark.parametrize("line", [line for line in LINES if line.values[0]["path"] in SERVED])
def test_served(service: Service, line: dict[str, Any]) -> None:
    workspace = service.workspace("legacy")
    for step in before(line):
        assert send(workspace, {"headers": {}, **step}).status == 201
    check(line, send(workspace, line))
    if line["expect"]["class"] == "auth":
        assert workspace.stored() == []


@pytest.mark.parametrize("line", [line for line in LINES if line.values[0]["path"] in SERVED])
def test_served_by_processes(onefold: Onefold, line: dict[str, Any]) -> None:
    """The same over HTTP, with a worker that applies by itself. Only a read waits for it, so no line has to."""
    key = onefold.workspace("legacy")
    with httpx.Client(base_url=onefold.url, timeout=30) as client:
        for step in [*before(line), line]:
            method, path, content, headers = request({"headers": {}, **step}, key)
            response = client.request(method, path, content=content, headers=headers)
            answer = checked(response.status_code, response.headers, response.content, key)
            if step is line:
                check(line, answer)
            else:
                assert answer.status == 201


@pytest.mark.parametrize("line", [line for line in LINES if line.values[0]["path"] in TO_FILES])
def test_exports_to_files(on_sqlite: Service, line: dict[str, Any]) -> None:
    answer = send(on_sqlite.workspace("legacy"), line)
    assert answer.status in ((400, 404) if line["path"].endswith("segment") else (201, 400)), answer.text


@pytest.mark.parametrize("line", [line for line in LINES if line.values[0]["path"] not in SERVED | TO_FILES])
def test_not_yet_served(on_sqlite: Service, line: dict[str, Any]) -> None:
    answer = send(on_sqlite.workspace("legacy"), line)
    assert (answer.status, answer.body) == (404, {"message": "Invalid URL"})


def before(line: dict[str, Any]) -> list[dict[str, Any]]:
    """Requests that make what a line speaks of."""
    return [*(RECORDED_MEMBERS if "subscription" in line["path"] else ()), *line.get("setup", ())]


def request(line: dict[str, Any], key: str) -> tuple[str, str, bytes, dict[str, str]]:
    """Method, path, body and headers of a line."""
    headers = {"Authorization": line.get("auth", f"Bearer {key}"), "Content-Type": "application/json"}
    headers |= {name.replace("_", "-"): value for name, value in line["headers"].items()}
    content = line["raw_body"].encode() if "raw_body" in line else json.dumps(line.get("body")).encode()
    path = quote(line["path"], safe="/")
    if "query" in line:
        path += "?" + urlencode([tuple(pair) for pair in line["query"]])
    return line["method"], path, content, headers


def send(workspace: Workspace, line: dict[str, Any]) -> Answer:
    asked, service = request(line, workspace.key), workspace.service
    if line["path"] in SYNCHRONOUS:
        with service.draining(workspace.id):
            return service.send(*asked, workspace.key)
    answer = service.send(*asked, workspace.key)
    workspace.drain()
    return answer


def check(line: dict[str, Any], answer: Answer) -> None:
    expect = line["expect"]
    if "recorded" in expect["basis"]:
        assert answer.status == expect["status"]
    if expect["class"] == "auth":
        assert answer.status == 401
        assert answer.message.startswith("Invalid API key")
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
        return
    for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
        assert answer.headers[name].isdigit()
    if expect["class"] == "ok":
        assert 200 <= answer.status < 300
        assert "errors" not in answer.body
        assert answer.counts == {k.removesuffix("_processed"): v for k, v in expect.get("counts", {}).items()}
        if expect.get("shape") == "export":
            # Nobody of that name here: as recorded for unknown ids.
            assert answer.body == {"users": [], "invalid_user_ids": ["12345"], "message": "success"}
        elif expect.get("shape") == "segments":
            assert answer.body == {"segments": [], "message": "success"}  # there are none here
        elif "response" in expect:
            assert answer.body == expect["response"]
        return
    assert expect["class"] == "soft"
    if "subscription" in line["path"]:
        check_subscription(line, answer)
        return
    if line["path"].startswith("/users/") and line["path"] not in ("/users/track", "/users/export/ids"):
        recorded = (expect["status"], expect["response"]) if "response" in expect else ANSWERS[line["id"]]
        assert (answer.status, answer.body) == recorded
        return
    if line["path"].startswith("/segments/"):  # of a placeholder, which is no segment and no number
        assert answer.body in ({"message": "Unknown segment"}, {"message": BAD_LENGTH}, {"message": BAD_ENDING})
        return
    status, counts, errors = SOFT[expect["note"]]
    assert (answer.status, answer.errors) == (status, errors)
    assert counts.items() <= answer.counts.items()


def check_subscription(line: dict[str, Any], answer: Answer) -> None:
    recorded = line["expect"].get("response")
    if recorded is None:  # of groups that only the library's own workspace has; GET of one person needs none
        served = {"POST": 201, "GET": 200}[line["method"]]
        assert answer.status in ((served, 400) if "user/status" in line["path"] else (400,)), answer.text
        return
    body = answer.body
    if "status" in body:  # an old recording shows the word in lower case (DECISIONS D28)
        body = {
            **body,
            "status": {who: "unknown" if status == "Unknown" else status for who, status in body["status"].items()},
        }
    assert body == recorded


def test_recorded_export_comes_back_whole(service: Service) -> None:
    """The recorded profile, made through track and exported, has the recorded answer's keys and values."""
    (recorded,) = [
        line.values[0]
        for line in LINES
        if line.values[0]["path"] == "/users/export/ids" and line.values[0]["expect"]["class"] == "ok"
    ]
    (wanted,) = recorded["expect"]["response"]["users"]
    workspace = service.workspace("legacy")
    fields = {name: wanted[name] for name in ("first_name", "last_name", "email")}
    workspace.track({"attributes": [{"external_id": 12345, **fields, **wanted["custom_attributes"]}]})
    answer = workspace.post("/users/export/ids", recorded["body"])
    (user,) = answer.body["users"]
    differing = {"created_at", "appboy_id", "braze_id", "random_bucket"}
    assert user.keys() == wanted.keys() - {"campaigns_received"}
    assert {n: v for n, v in user.items() if n not in differing} == {
        n: v for n, v in wanted.items() if n not in differing | {"campaigns_received"}
    }
    assert user["appboy_id"] == user["braze_id"]
