"""Keys and tenants over all endpoints, from the table that is served: who may call what, and who notices of whom."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.app import FAMILIES
from app.api.endpoint import SDK_KEY, WRITE_KEY, Endpoint
from app.contract.plans import GROUPS, TRACK
from app.services.permissions import PERMISSIONS, allows
from tests.api.harness import Answer, Service, Workspace


def endpoints(service: Service) -> Iterator[Endpoint]:
    """All that keys of a workspace open: what SDK keys of apps do is in tests/api/test_sdk.py and test_tracking.py."""
    for family in FAMILIES:
        yield from (
            endpoint for endpoint in family(service.services) if endpoint.permission not in (SDK_KEY, WRITE_KEY)
        )


def call(service: Service, endpoint: Endpoint, key: str | None) -> Answer:
    """The shortest request that reaches the endpoint; what it answers to the body is its own business."""
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"Authorization": f"Bearer {key}"})
    path = endpoint.path.replace("{", "").replace("}", "")
    content = None if endpoint.method == "GET" else b"{}"
    return service.send(endpoint.method, path, content, headers, key or "")


def opening(permission: str) -> set[str]:
    """The permissions that open what needs this one."""
    return {other for other in PERMISSIONS if allows({other}, permission)}


def test_permissions_by_endpoints(on_sqlite: Service) -> None:
    """For each endpoint: no key, a key with all permissions but those that open it, and with each of those alone.

    A permission that opened what it should not would be among all the others.
    """
    workspace = on_sqlite.workspace()
    for endpoint in endpoints(on_sqlite):
        where = f"{endpoint.method} {endpoint.path}"
        assert endpoint.group == TRACK or endpoint.group in GROUPS, where
        nobody = call(on_sqlite, endpoint, None)
        assert (nobody.status, nobody.body) == (401, {"message": "Invalid API key"}), where
        assert "X-RateLimit-Limit" not in nobody.headers, where
        if endpoint.permission is None:
            allowed = on_sqlite.key(workspace.id)
        else:
            assert endpoint.permission in PERMISSIONS, where
            others = on_sqlite.key(workspace.id, *(set(PERMISSIONS) - opening(endpoint.permission)))
            denied = call(on_sqlite, endpoint, others)
            assert (denied.status, denied.body) == (403, {"message": "Access Denied"}), where
            assert "X-RateLimit-Remaining" in denied.headers, where
            allowed = on_sqlite.key(workspace.id, endpoint.permission)
        with on_sqlite.draining(workspace.id):  # some answer when they are applied
            for other in opening(endpoint.permission) - {endpoint.permission} if endpoint.permission else ():
                assert call(on_sqlite, endpoint, on_sqlite.key(workspace.id, other)).status != 403, (where, other)
            answer = call(on_sqlite, endpoint, allowed)
        assert answer.status not in (401, 403, 415, 429, 503), where
        assert answer.message != "Invalid URL", where
        assert int(answer.headers["X-RateLimit-Remaining"]) < int(answer.headers["X-RateLimit-Limit"]), where


# Nothing done with keys of B changes any answer for A.

IDS = st.sampled_from(["u1", "u2", "u3"])
ACTIONS = st.one_of(
    st.tuples(st.just("track"), IDS, st.integers(0, 3)),
    st.tuples(st.just("alias"), IDS, st.integers(0, 1)),
    st.tuples(st.just("export"), IDS, st.just(0)),
    st.tuples(st.just("delete"), IDS, st.just(0)),
    st.tuples(st.just("limits"), IDS, st.integers(1, 50)),
    st.tuples(st.just("bad"), IDS, st.just(0)),
)


def act(workspace: Workspace, action: tuple[str, str, int]) -> tuple[int, Any, dict[str, str]]:
    """Status, body and limits of an answer, without what differs from run to run."""
    what, who, n = action
    if what == "track":
        answer = workspace.track({"attributes": [{"external_id": who, "n": {"inc": n}, "email": f"{who}@example.com"}]})
    elif what == "alias":
        alias = {"external_id": who, "alias_label": "l", "alias_name": f"a{n}"}
        answer = workspace.post("/users/alias/new", {"user_aliases": [alias]})
    elif what == "export":
        answer = workspace.post("/users/export/ids", {"external_ids": [who]}, drain=False)
    elif what == "delete":
        answer = workspace.post("/users/delete", {"external_ids": [who]})
    elif what == "limits":
        body = json.dumps({"max_objects_combined": n}).encode()
        answer = workspace.service.send("PUT", "/v1/limits", body, workspace.headers(), workspace.key)
    else:
        answer = workspace.track(b"{")
    shown = answer.body
    for user in shown.get("users", ()):
        for name in ("braze_id", "appboy_id", "random_bucket", "created_at"):
            del user[name]
    if "limits" in shown:
        shown = {"objects": shown["max_objects_combined"]}
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "Retry-After")
    return answer.status, shown, {name: answer.headers.get(name, "") for name in names}


def fresh(service: Service) -> Workspace:
    """So small and slow that a token more or less would show, and none comes back within the test."""
    slow = {group: [8, 3600] for group in ("export-ids", "user-admin", "default")}
    return service.workspace(
        "mau_cy_24_25", burst_limit=8, burst_window_seconds=3600, hourly_limit=9, group_limits=slow
    )


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), ACTIONS), min_size=1, max_size=12))
def test_others_change_no_answer(on_sqlite: Service, steps: list[tuple[bool, tuple[str, str, int]]]) -> None:
    alone, among, other = fresh(on_sqlite), fresh(on_sqlite), fresh(on_sqlite)
    expected = [act(alone, action) for mine, action in steps if mine]
    found = []
    for mine, action in steps:
        answer = act(among if mine else other, action)
        if mine:
            found.append(answer)
    assert found == expected
