"""Tracking SDKs as they are (`make clients`), each in a process of its own, against a running Onefold: every call lands
once, on the right profile.
"""

import json
import os
import shutil
import subprocess
import sys
from typing import Any, Final

import pytest

from tests.api.harness import Json
from tests.clients.installed import DRIVERS, INSTALLED, not_installed
from tests.e2e.service import Service

Call = tuple[str, Json]

VISITOR: Final = {"anonymousId": "visitor-1"}
ADA: Final = {"userId": "ada", **VISITOR}
#: What these SDKs say of a visit that ends in an order. `page` before the log-in, the rest behind it.
CALLS: Final[list[Call]] = [
    ("page", {**VISITOR, "name": "Home", "properties": {"path": "/"}}),
    ("track", {**VISITOR, "event": "Product Viewed", "properties": {"sku": "mug"}}),
    ("identify", {**ADA, "traits": {"firstName": "Ada", "email": "Ada@Example.org", "plan": "pro"}}),
    ("track", {**ADA, "event": "Product Viewed", "properties": {"sku": "tea"}}),
    ("group", {**ADA, "groupId": "engines", "traits": {"seats": 3}}),
]


def made(sdk: str, url: str, key: str, calls: list[Call]) -> None:
    """Have an SDK make the calls, until they are answered."""
    if sdk == "segment-python":
        folder = INSTALLED / "segment"
        if not folder.is_dir():
            not_installed("the Python package for segment")
        argv, more = [sys.executable, str(DRIVERS / "tracking.py")], {"PYTHONPATH": str(folder)}
    else:
        program = shutil.which("node")
        if program is None or not (INSTALLED / ".npm").exists():
            not_installed("node, or an npm package")
        argv, more = [str(program), str(DRIVERS / "tracking.js")], {"NODE_PATH": str(INSTALLED / "node_modules")}
    run = subprocess.run(
        argv,
        input=json.dumps({"sdk": sdk, "url": url, "key": key, "calls": calls}),
        env=os.environ | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {"sent": len(calls)}


def exported(onefold: Service, key: str) -> list[Json]:
    status, answer, _ = onefold.call("POST", "/users/export/ids", {"external_ids": ["ada"]}, key)
    assert status == 201
    users: list[Json] = answer["users"]
    return users


def events(user: Json) -> dict[str, int]:
    return {one["name"]: one["count"] for one in user["custom_events"]}


@pytest.mark.parametrize("sdk", ["segment", "segment-python", "rudderstack", "jitsu"])
def test_every_call_lands_once_on_the_right_profile(onefold: Service, sdk: str) -> None:
    key = onefold.workspace("legacy")
    status, app, _ = onefold.call("POST", "/v1/apps", {"name": "Site", "platform": "web"}, key)
    assert status == 201
    made(sdk, onefold.url, app["sdk_key"], CALLS)
    (user,) = exported(onefold, key)
    assert (user["first_name"], user["email"]) == ("Ada", "ada@example.org")
    assert user["custom_attributes"] == {"plan": "pro", "group_id": "engines", "group_traits": {"seats": 3}}
    assert events(user) == {"Viewed Home Page": 1, "Product Viewed": 2}
    (device,) = user["devices"]
    assert sdk == "jitsu" or device["device_id"] == VISITOR["anonymousId"]  # that one makes its own id


def test_what_is_sent_again_counts_once(onefold: Service) -> None:
    """A process of an SDK that was killed is started anew, and sends what it had sent, under the same message ids."""
    key = onefold.workspace("legacy")
    _, app, _ = onefold.call("POST", "/v1/apps", {"name": "Site", "platform": "web"}, key)
    named: list[Any] = [(method, {**said, "messageId": f"m-{n}"}) for n, (method, said) in enumerate(CALLS)]
    for _ in range(2):
        made("segment", onefold.url, app["sdk_key"], named)
    (user,) = exported(onefold, key)
    assert events(user) == {"Viewed Home Page": 1, "Product Viewed": 2}
