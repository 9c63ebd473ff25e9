"""Requests of public client libraries and of the vendor's collection, replayed against a `legacy` workspace.

A line says what it expects: `ok` = 2xx, success, the counters, no errors; `partial` = 2xx with exactly these errors;
`fatal` = 4xx; `auth` = 401; `soft` = anything but 5xx or a missing endpoint. Status numbers are exact where recorded.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.harness import Answer, Service, Workspace

TRAFFIC = Path(__file__).parent / "traffic"

SERVED = {"/users/track", "/users/export/ids"}
#: Endpoints of the specification that are not served yet, and what will bring them.
NOT_YET = {
    "/users/identify": "identify",
    "/users/merge": "merge",
    "/users/alias/new": "aliases",
    "/users/alias/update": "aliases",
    "/users/delete": "delete and rename",
    "/users/external_ids/rename": "delete and rename",
    "/users/external_ids/remove": "delete and rename",
    "/users/export/segment": "segments",
    "/users/export/global_control_group": "segments",
    "/segments/list": "segments",
    "/segments/details": "segments",
    "/segments/data_series": "segments",
    "/subscription/status/get": "subscriptions",
    "/subscription/status/set": "subscriptions",
    "/subscription/user/status": "subscriptions",
    "/v2/subscription/status/set": "subscriptions",
}
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
    unknown = {path for path in paths if path not in SERVED | NOT_YET.keys() and not path.startswith(NEVER)}
    assert not unknown
    assert NOT_YET.keys() <= paths.keys()


@pytest.mark.parametrize("line", [line for line in LINES if line.values[0]["path"] in SERVED])
def test_served(service: Service, line: dict[str, Any]) -> None:
    workspace = service.workspace("legacy")
    for step in line.get("setup", []):
        assert workspace.post(step["path"], step["body"]).status == 201
    served(workspace, line)


@pytest.mark.parametrize("line", [line for line in LINES if line.values[0]["path"] not in SERVED])
def test_not_yet_served(on_sqlite: Service, line: dict[str, Any]) -> None:
    answer = send(on_sqlite.workspace("legacy"), line)
    assert (answer.status, answer.body) == (404, {"message": "Invalid URL"})


def send(workspace: Workspace, line: dict[str, Any]) -> Answer:
    headers = workspace.headers(**line["headers"])
    if "auth" in line:
        headers["Authorization"] = line["auth"]
    content = line["raw_body"].encode() if "raw_body" in line else json.dumps(line.get("body")).encode()
    answer = workspace.service.send(line["method"], quote(line["path"], safe="/"), content, headers, workspace.key)
    workspace.drain()
    return answer


def served(workspace: Workspace, line: dict[str, Any]) -> None:
    expect, answer = line["expect"], send(workspace, line)
    if "recorded" in expect["basis"]:
        assert answer.status == expect["status"]
    if expect["class"] == "auth":
        assert answer.status == 401
        assert answer.message.startswith("Invalid API key")
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
        assert workspace.stored() == []
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
        return
    assert expect["class"] == "soft"
    status, counts, errors = SOFT[expect["note"]]
    assert (answer.status, answer.errors) == (status, errors)
    assert counts.items() <= answer.counts.items()


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
