"""Published client packages against a running Onefold with its worker: each is installed as it is (`make clients`)
and makes its own calls in a process of its own. Track, export, an error, and a limit that is used up.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.api.harness import Json, stable, summary
from tests.clients.installed import DRIVERS, INSTALLED, not_installed
from tests.e2e.service import Service

#: Recent: summaries without activity in 90 days are not exported.
YESTERDAY: Final = datetime.now(UTC) - timedelta(days=1)
T: Final = YESTERDAY.strftime("%Y-%m-%dT%H:%M:%SZ")
ISO: Final = YESTERDAY.strftime("%Y-%m-%dT%H:%M:%S.000Z")
NO_VALID_DATA: Final = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."
NO_IDENTIFIER: Final = {
    "type": "'external_id', 'braze_id', 'user_alias', 'email' or 'phone' is required",
    "input_array": "attributes",
    "index": 0,
}

Call = tuple[str, Json]
TRACKED: Final[Json] = {
    "attributes": [{"external_id": "ada", "first_name": "Ada", "email": "ada@example.org", "tier": "gold"}],
    "events": [{"external_id": "ada", "name": "logged_in", "time": T}],
    "purchases": [{"external_id": "ada", "product_id": "book", "currency": "USD", "price": 2.5, "time": T}],
}
#: What an export gives back of it, without what differs from run to run.
ADA: Final[Json] = {
    "external_id": "ada",
    "user_aliases": [],
    "first_name": "Ada",
    "email": "ada@example.org",
    "custom_attributes": {"tier": "gold"},
    "custom_events": [summary("logged_in", ISO)],
    "purchases": [summary("book", ISO)],
    "total_revenue": 2.5,
    "push_subscribe": "subscribed",
    "email_subscribe": "subscribed",
}
COUNTS: Final = {"attributes_processed": 1, "events_processed": 1, "purchases_processed": 1, "message": "success"}
REFUSED: Final[Json] = {"attributes": [{"first_name": "nobody"}]}


def python(package: str, client: list[str], calls: list[Call]) -> list[Any]:
    folder = INSTALLED / package
    if not folder.is_dir():
        not_installed(f"the Python package for {package}")
    return _made([sys.executable, str(DRIVERS / "calls.py")], {"PYTHONPATH": str(folder)}, client, calls)


def node(client: list[str], calls: list[Call]) -> list[Any]:
    program = shutil.which("node")
    if program is None or not (INSTALLED / ".npm").exists():
        not_installed("node, or the npm package braze-api")
    return _made(
        [str(program), str(DRIVERS / "calls.js")], {"NODE_PATH": str(INSTALLED / "node_modules")}, client, calls
    )


def _made(argv: list[str], more: dict[str, str], client: list[str], calls: list[Call]) -> list[Any]:
    given = json.dumps({"client": client, "calls": calls})
    run = subprocess.run(
        argv, input=given, env=os.environ | more, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    made = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(made) == len(calls)
    return made


def comparable(answer: Json) -> Json:
    """An export without what differs from run to run, the form of which is checked."""
    return answer | {"users": [stable(user) for user in answer["users"]]}


def check_reset(reset: float) -> None:
    """An hour for one request: the client is told a moment in the future and not later than that."""
    assert 0 < reset - time.time() <= 3601


def limited(onefold: Service, requests: int) -> str:
    return onefold.workspace("legacy", burst_limit=requests, burst_window_seconds=requests * 3600)


def test_edx_braze_client(onefold: Service) -> None:
    key = onefold.workspace("legacy")
    tracked, found, missing, batch, refused = python(
        "edx",
        [key, onefold.url, "app"],
        [
            ("track_user", TRACKED),
            ("get_braze_external_id", {"email": "ada@example.org"}),
            ("get_braze_external_id", {"email": "nobody@example.org"}),
            ("get_braze_external_id_batch", {"emails": ["ada@example.org"], "alias_label": "l"}),
            ("track_user", REFUSED),
        ],
    )
    assert tracked == {"answer": None}  # this client gives nothing back
    assert found == {"answer": "ada"}
    assert missing == {"answer": None}
    assert batch == {"answer": {}}
    assert refused["error"] == "BrazeBadRequestError"
    assert json.loads(refused["arguments"][0]) == {"message": NO_VALID_DATA, "errors": [NO_IDENTIFIER]}
    (wrong,) = python("edx", ["nonsense", onefold.url, "app"], [("track_user", TRACKED)])
    assert (wrong["error"], json.loads(wrong["arguments"][0])) == (
        "BrazeUnauthorizedError",
        {"message": "Invalid API key"},
    )
    first, second = python("edx", [limited(onefold, 1), onefold.url, "app"], [("track_user", TRACKED)] * 2)
    assert first == {"answer": None}
    assert (second["error"], second["arguments"]) == ("BrazeRateLimitError", [])
    check_reset(second["reset"])


def test_braze_client(onefold: Service) -> None:
    key = onefold.workspace("legacy")
    tracked, exported, partial, refused = python(
        "braze",
        [key, onefold.url],
        [
            ("user_track", TRACKED),
            ("user_export", {"external_ids": ["ada", "nobody"]}),
            ("user_track", {"attributes": [*REFUSED["attributes"], {"external_id": "eve"}]}),
            ("user_track", REFUSED),
        ],
    )
    assert tracked == {"answer": COUNTS | {"errors": [], "status_code": 201, "success": True}}
    assert comparable(exported["answer"]) == {
        "users": [ADA],
        "invalid_user_ids": ["nobody"],
        "message": "success",
        "errors": [],
        "status_code": 201,
        "success": True,
    }
    assert partial["answer"] == {
        "attributes_processed": 1,
        "message": "success",
        "errors": [NO_IDENTIFIER],
        "status_code": 201,
        "success": False,
    }
    assert (refused["error"], refused["arguments"]) == ("BrazeClientError", [NO_VALID_DATA, str([NO_IDENTIFIER])])
    (wrong,) = python("braze", ["nonsense", onefold.url], [("user_track", TRACKED)])
    assert (wrong["error"], wrong["arguments"]) == ("BrazeClientError", ["Invalid API key", "[]"])
    first, second = python("braze", [limited(onefold, 1), onefold.url], [("user_track", TRACKED)] * 2)
    assert first["answer"]["success"]
    assert (second["error"], second["arguments"]) == ("BrazeRateLimitError", [])
    check_reset(second["reset"])


def test_braze_client_waits_for_a_near_reset(onefold: Service) -> None:
    """It sleeps until X-RateLimit-Reset when that is less than 1.25 s away, and then has to succeed."""
    key = onefold.workspace("legacy", burst_limit=5, burst_window_seconds=1)
    made = python("braze", [key, onefold.url], [("user_track", TRACKED)] * 7)
    assert [call["answer"]["success"] for call in made] == [True] * 7


def test_braze_api(onefold: Service) -> None:
    key = onefold.workspace("legacy")
    tracked, exported, partial, refused = node(
        [onefold.url, key],
        [
            ("users.track", TRACKED),
            ("users.export.ids", {"external_ids": ["ada", "nobody"]}),
            ("users.track", {"attributes": [*REFUSED["attributes"], {"external_id": "eve"}]}),
            ("users.track", REFUSED),
        ],
    )
    assert tracked == {"answer": COUNTS}
    assert comparable(exported["answer"]) == {"users": [ADA], "invalid_user_ids": ["nobody"], "message": "success"}
    assert partial == {"answer": {"attributes_processed": 1, "message": "success", "errors": [NO_IDENTIFIER]}}
    assert refused == {
        "error": "ResponseError",
        "message": NO_VALID_DATA,
        "status": 400,
        "errors": [NO_IDENTIFIER],
    }
    (wrong,) = node([onefold.url, "nonsense"], [("users.track", TRACKED)])
    assert wrong == {"error": "ResponseError", "message": "Invalid API key", "status": 401}
    first, second = node([onefold.url, limited(onefold, 1)], [("users.track", TRACKED)] * 2)
    assert first == {"answer": COUNTS}
    assert second == {"error": "ResponseError", "message": "Rate Limited", "status": 429}
