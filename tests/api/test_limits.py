"""GET and PUT /v1/limits, `onefold limits`, headers of limits, and what each group of endpoints is counted by."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import app as cli
from app.contract.plans import GROUPS, TRACK
from app.domain import times
from app.quota.bucket import Bucket
from app.services.limits import change_limits
from app.services.permissions import PERMISSIONS
from app.services.quotas import buckets_of
from app.store import companies, keys
from tests.api.harness import Answer, Json, Service, Workspace, running, settings_for, times_now
from tests.servers import ValkeyServer

HOUR = 3_600_000
#: No list could show them, or no database hold them.
BAD_NAMES = ("", "  ", "x" * 256, "a\0b", "\udcff", "two\nlines")
BODY = {"attributes": [{"external_id": "t"}]}


def limits(workspace: Workspace, key: str | None = None) -> Answer:
    return workspace.service.send(
        "GET", "/v1/limits", None, {"Authorization": f"Bearer {key or workspace.key}"}, workspace.key
    )


def put(workspace: Workspace, body: object) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return workspace.service.send("PUT", "/v1/limits", content, workspace.headers(), workspace.key)


def left(answer: Answer, group: str) -> dict[str, int]:
    return {limit["name"]: limit["remaining"] for limit in answer.body["limits"] if limit["group"] == group}


def used(answer: Answer) -> dict[tuple[str, str], tuple[int, int]]:
    for one in answer.body["usage"]:
        assert sum(minute["admitted"] for minute in one["minutes"]) == one["admitted"]
        assert sum(minute["refused"] for minute in one["minutes"]) == one["refused"]
        assert all(minute["admitted"] or minute["refused"] for minute in one["minutes"])
    return {(one["key_id"], one["group"]): (one["admitted"], one["refused"]) for one in answer.body["usage"]}


def key_id(key: str) -> str:
    return keys.public_id(key) or ""


def test_what_is_configured_left_and_used(service: Service) -> None:
    workspace = service.workspace("mau_cy_24_25", burst_limit=3, burst_window_seconds=3600, hourly_limit=100)
    other = service.key(workspace.id, "users.track")
    for _ in range(5):
        workspace.track(BODY, drain=False)
    headers = workspace.headers() | {"Authorization": f"Bearer {other}"}
    assert service.send("POST", "/users/track", json.dumps(BODY).encode(), headers).status == 429
    workspace.drain()
    workspace.export(external_ids=["nobody"])
    answer = limits(workspace)
    assert answer.status == 200
    assert {name: answer.body[name] for name in answer.body if name not in ("limits", "usage")} == {
        "plan": "mau_cy_24_25",
        "max_objects_combined": 50,
        "max_objects_per_array": None,
        "hourly_refill": "continuous",
        "track_reset_style": "epoch",
        "degraded": False,
        "message": "success",
    }
    assert [limit["group"] for limit in answer.body["limits"]] == [TRACK, TRACK, *GROUPS]
    assert left(answer, TRACK) == {"burst": 0, "hourly": 97}
    assert left(answer, "export-ids") == {"export-ids": 249}
    assert left(answer, "rename") == {"rename": 1000}
    burst = answer.body["limits"][0]
    assert (burst["requests"], burst["window_seconds"], burst["refill"]) == (3, 3600, "continuous")
    assert burst["full_at"] is not None
    assert answer.body["limits"][-2]["full_at"] is None  # full

    mine, theirs = key_id(workspace.key), key_id(other)
    counted = {(mine, TRACK): (3, 2), (mine, "export-ids"): (1, 0), (mine, "default"): (1, 0), (theirs, TRACK): (0, 1)}
    assert used(answer) == counted
    # Looking takes a token of its own group, and nothing else.
    again = limits(workspace)
    assert left(again, TRACK) == {"burst": 0, "hourly": 97}
    assert used(again) == counted | {(mine, "default"): (2, 0)}
    # A key without the permission sees the limits, and its own usage.
    assert used(limits(workspace, other)) == {(theirs, TRACK): (0, 1), (theirs, "default"): (1, 0)}


def test_a_change_is_in_force_at_once_and_keeps_whole_tokens(service: Service) -> None:
    workspace = service.workspace("mau_cy_24_25", burst_limit=10, burst_window_seconds=3600, hourly_limit=100)
    for _ in range(4):
        assert workspace.track(BODY, drain=False).status == 201
    changed = put(
        workspace,
        {
            "track_burst_limit": 50,
            "track_hourly_limit": 101,
            "groups": {"export-ids": {"requests": 2, "window_seconds": 3600}, "track-bulk": "plan"},
            "max_objects_combined": 2,
            "track_reset_style": "seconds",
        },
    )
    assert changed.status == 200
    assert changed.body["max_objects_combined"] == 2
    assert left(changed, TRACK) == {"burst": 6, "hourly": 96}
    assert left(changed, "track-bulk") == left(changed, TRACK)
    assert left(changed, "export-ids") == {"export-ids": 2}
    answer = workspace.track(BODY, drain=False)
    assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == ("50", "5")
    assert 3100 < int(answer.headers["X-RateLimit-Reset"]) <= 3600  # 45 of 50 tokens are missing
    assert workspace.track({"attributes": [{"external_id": n} for n in "abc"]}, drain=False).status == 400
    # No fast lane for a workspace with a limit of its own.
    fields = {"external_ids": ["x"], "fields_to_export": ["email"]}
    statuses = [workspace.post("/users/export/ids", fields, drain=False).status for _ in range(3)]
    assert statuses == [201, 201, 429]
    refused = workspace.post("/users/export/ids", fields, drain=False)
    assert refused.body == {"message": "Rate Limited", "limit": "export-ids"}
    assert int(refused.headers["X-RateLimit-Reset"]) > 1_700_000_000  # only those of /users/track count down
    put(workspace, {"groups": {"export-ids": None}})
    assert workspace.post("/users/export/ids", fields, drain=False).headers["X-RateLimit-Limit"] == "40"


def test_the_style_of_the_newer_plans(service: Service) -> None:
    """Hourly limit alone and seconds left; a 429 says only when to come back (DECISIONS D57)."""
    workspace = service.workspace("mau_cy_24_25", burst_limit=3, burst_window_seconds=3600, hourly_limit=100)
    assert put(workspace, {"track_reset_style": "mau"}).status == 200
    for left_ in (99, 98, 97):
        headers = workspace.track(BODY, drain=False).headers
        assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("100", str(left_))
        assert 0 < int(headers["X-RateLimit-Reset"]) <= 36 * (100 - left_)
    refused = workspace.track(BODY, drain=False)
    assert (refused.status, refused.body["limit"]) == (429, "burst")
    told = {name.lower() for name in refused.headers if "rate" in name.lower() or "retry" in name.lower()}
    assert told == {"x-ratelimit-retry-after"}
    bulk = workspace.post("/users/track/bulk", BODY, drain=False)  # a group without an hourly limit tells of its own
    assert (bulk.status, bulk.headers["X-RateLimit-Limit"]) == (201, "50")
    assert int(bulk.headers["X-RateLimit-Reset"]) <= 1
    other = workspace.post("/users/export/ids", {"external_ids": ["x"]}, drain=False)
    assert int(other.headers["X-RateLimit-Reset"]) > 1_700_000_000


BAD: list[tuple[object, str]] = [
    (b"{", "syntax"),
    ({}, "nothing"),
    ([], "object"),
    ({"track_burst_limit": 0}, "track_burst_limit"),
    ({"track_burst_limit": 2**53}, "track_burst_limit"),
    ({"track_burst_limit": "7"}, "track_burst_limit"),
    ({"burst_window_seconds": 3601}, "burst_window_seconds"),
    ({"hourly_refill": "never"}, "hourly_refill"),
    ({"hourly_refill": None}, "hourly_refill"),
    ({"plan": "gold"}, "plan"),
    ({"groups": {"nope": None}}, "groups"),
    ({"groups": {"track": {"requests": 1, "window_seconds": 1}}}, "groups"),
    ({"groups": {"rename": "plan"}}, "groups"),
    ({"groups": {"rename": {"requests": 1}}}, "window_seconds"),
    ({"unknown": 1}, "unknown"),
]


@pytest.mark.parametrize(("body", "names"), BAD, ids=[str(body)[:40] for body, _ in BAD])
def test_bad_changes_change_nothing(on_sqlite: Service, body: object, names: str) -> None:
    workspace = on_sqlite.workspace()
    before = limits(workspace).body
    answer = put(workspace, body)
    assert answer.status == 400
    assert names in answer.message.lower()
    after = limits(workspace).body
    for document in (before, after):
        del document["usage"], document["limits"][-1]  # the calls themselves
    assert before == after


def test_only_administrators_change_limits(on_sqlite: Service) -> None:
    workspace = on_sqlite.workspace()
    key = on_sqlite.key(workspace.id, *(set(PERMISSIONS) - {"admin.limits"}))
    headers = workspace.headers() | {"Authorization": f"Bearer {key}"}
    assert on_sqlite.send("PUT", "/v1/limits", b'{"plan":"legacy"}', headers).status == 403


def test_while_redis_is_away(valkey_server: ValkeyServer, tmp_path: Path) -> None:
    settings = settings_for("", f"unix://{tmp_path}/none.sock?db=0", tmp_path)
    with running(settings) as service:
        workspace = service.workspace("mau_cy_24_25", burst_limit=10, hourly_limit=1000)
        answer = limits(workspace)
        assert answer.status == 200
        assert (answer.body["degraded"], answer.body["usage"]) == (True, None)
        assert {limit["remaining"] for limit in answer.body["limits"]} == {None}
        assert put(workspace, {"plan": "legacy"}).body["plan"] == "legacy"


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"track_burst_limit": 101, "burst_window_seconds": 1}, ("burst", 100, 1)),
        ({"track_burst_limit": 100, "burst_window_seconds": 1}, None),
        ({"track_burst_limit": 301}, ("burst", 300, 3)),  # the window is that of the plan
        ({"track_hourly_limit": 360_001}, ("hourly", 360_000, 3600)),
        ({"plan": "mau_cy_24_25"}, ("hourly", 360_000, 3600)),  # the workspace has a burst limit of its own
        ({"groups": {"export-ids": {"requests": 6_001, "window_seconds": 60}}}, ("export-ids", 6_000, 60)),
        ({"groups": {"export-ids": {"requests": 6_000, "window_seconds": 60}}}, None),
        ({"groups": {"user-admin": {"requests": 19_000, "window_seconds": 60}}}, None),  # lower, and above all the same
        ({"groups": {"user-admin": {"requests": 19_000, "window_seconds": 30}}}, ("user-admin", 3_000, 30)),
        ({"groups": {"rename": None, "track-bulk": "plan"}}, None),
    ],
)
def test_a_machine_has_a_ceiling(
    valkey_server: ValkeyServer, tmp_path: Path, body: Json, refused: tuple[str, int, int] | None
) -> None:
    """A workspace cannot raise a limit of its own above it, and lowers one that an operator has set above it."""
    settings = settings_for("", valkey_server.url, tmp_path).model_copy(update={"limit_ceiling_per_second": 100})
    with running(settings) as service:
        workspace = service.workspace("legacy", burst_limit=90, burst_window_seconds=3)
        before = keys.of_workspace(service.database, workspace.id)
        answer = put(workspace, body)
        if refused is None:
            assert answer.status == 200
        else:
            message = "The limit '%s' may be at most %d requests in %d seconds on this server"
            assert (answer.status, answer.message) == (400, message % refused)
            assert keys.of_workspace(service.database, workspace.id) == before
        change_limits(service.database, workspace.id, {"burst_limit": 1_000_000}, {})  # an operator may
        assert left(limits(workspace), "track")["burst"] <= 1_000_000
        assert put(workspace, {"track_burst_limit": 999_999}).status == 200


# Which buckets count what


def test_every_group_of_the_contract() -> None:
    """limits-and-errors.md 1, as it stands there."""
    assert {group.name: (group.limit, group.window_seconds) for group in GROUPS.values()} == {
        "track-sync": (500, 60),
        "track-bulk": (50, 1),
        "sdk": (300_000, 60),
        "user-admin": (20_000, 60),
        "export-ids": (250, 60),
        "export-fields": (40, 1),
        "rename": (1_000, 60),
        "remove": (1_000, 60),
        "subscription-set": (5_000, 60),
        "catalogue": (1_000, 3_600),
        "default": (250_000, 3_600),
    }


BURST, HOURLY = Bucket("burst", 1000, 1000), Bucket("hourly", 3_600_000, HOUR)
COMPANY = (Bucket("company-burst", 9, 2000, company=True), Bucket("company-hourly", 90, HOUR, HOUR, company=True))
BUCKETS: list[tuple[str, dict[str, Any], str, tuple[Bucket, ...]]] = [
    ("the default plan", {}, "track", (BURST, HOURLY)),
    ("standard", {"plan": "standard"}, "track", (Bucket("burst", 3000, 3000),)),
    ("legacy", {"plan": "legacy"}, "track", (Bucket("burst", 3000, 3000),)),
    ("hourly on a plan without", {"plan": "legacy", "hourly_limit": 5}, "track",
     (Bucket("burst", 3000, 3000), Bucket("hourly", 5, HOUR))),
    ("the burst window", {"burst_limit": 7, "burst_window_seconds": 3}, "track", (Bucket("burst", 7, 3000), HOURLY)),
    ("by the clock", {"hourly_refill": "clock_hour"}, "track", (BURST, Bucket("hourly", 3_600_000, HOUR, HOUR))),
    ("bulk", {}, "track-bulk", (Bucket("track-bulk", 50, 1000),)),
    ("bulk with the plan", {"group_limits": {"track-bulk": "plan"}}, "track-bulk", (BURST, HOURLY)),
    ("sync", {}, "track-sync", (Bucket("track-sync", 500, 60_000),)),
    ("another limit", {"group_limits": {"rename": [5, 2]}}, "rename", (Bucket("rename", 5, 2000),)),
    ("of another group", {"group_limits": {"rename": [5, 2]}}, "remove", (Bucket("remove", 1000, 60_000),)),
    ("a company", {"company": True}, "track", (BURST, HOURLY, *COMPANY)),
    ("a company counts only track", {"company": True}, "default", (Bucket("default", 250_000, HOUR),)),
]  # fmt: skip


@pytest.mark.parametrize(("given", "group", "expected"), [row[1:] for row in BUCKETS], ids=[row[0] for row in BUCKETS])
def test_buckets(on_sqlite: Service, given: Json, group: str, expected: tuple[Bucket, ...]) -> None:
    values = dict(given)
    if values.pop("company", False):
        name = f"c{times_now()}"
        more = {"hourly_limit": 90, "burst_limit": 9, "burst_window_seconds": 2, "hourly_refill": "clock_hour"}
        values["company_id"] = companies.create(on_sqlite.database, name, 0, **more).id
    workspace = on_sqlite.workspace(values.pop("plan", "mau_cy_24_25"), **values)
    assert buckets_of(keys.of_workspace(on_sqlite.database, workspace.id), group) == expected


def test_a_company_is_one_limit_for_its_workspaces(service: Service) -> None:
    company = companies.create(service.database, f"c{times_now()}", 0, burst_limit=3, burst_window_seconds=3600)
    limited = {"company_id": company.id, "burst_limit": 2, "burst_window_seconds": 3600}
    first, second = (service.workspace("mau_cy_24_25", **limited) for _ in range(2))
    stranger = service.workspace()
    answers = [workspace.track(BODY, drain=False) for workspace in (first, first, first, second, second, stranger)]
    assert [(answer.status, answer.body.get("limit")) for answer in answers] == [
        (201, None),
        (201, None),
        (429, "burst"),
        (201, None),
        (429, "company-burst"),
        (201, None),
    ]
    assert answers[4].headers["X-RateLimit-Limit"] == "3"
    assert left(limits(second), TRACK)["burst"] == 1  # the refusal took nothing
    assert used(limits(second))[key_id(second.key), TRACK] == (1, 1)


def test_ietf_headers(valkey_server: ValkeyServer, tmp_path: Path) -> None:
    settings = settings_for("", valkey_server.url, tmp_path, ietf_ratelimit_headers=True)
    with running(settings) as service:
        workspace = service.workspace("mau_cy_24_25", burst_limit=2, burst_window_seconds=3600, hourly_limit=1000)
        answers = [workspace.track(BODY, drain=False) for _ in range(3)]
        assert {answer.headers["RateLimit-Policy"] for answer in answers} == {
            '"burst";q=2;w=3600, "hourly";q=1000;w=3600'
        }
        assert answers[0].headers["RateLimit"] == '"burst";r=1;t=1800'
        assert answers[2].status == 429
        assert answers[2].headers["RateLimit"] == f'"burst";r=0;t={answers[2].headers["Retry-After"]}'
        assert "RateLimit" not in service.send("GET", "/livez").headers


EXPORTS = [
    ({"fields_to_export": ["email"]}, "40"),
    ({"fields_to_export": ["email", "campaigns_received"]}, "250"),
    ({"fields_to_export": ["canvases_received"]}, "250"),
    ({"fields_to_export": []}, "250"),
    ({"fields_to_export": "email"}, "250"),
    ({}, "250"),
]


@pytest.mark.parametrize(("body", "limit"), EXPORTS)
def test_exports_that_name_small_fields(on_sqlite: Service, body: Json, limit: str) -> None:
    workspace = on_sqlite.workspace()
    answer = workspace.post("/users/export/ids", {"external_ids": ["x"], **body}, drain=False)
    assert answer.headers["X-RateLimit-Limit"] == limit


def test_an_export_whose_body_cannot_be_had_is_counted_and_says_why(on_sqlite: Service) -> None:
    workspace = on_sqlite.workspace("legacy", group_limits={})
    for content, headers, status in (
        (b"{", workspace.headers(), 400),
        (b"{}", workspace.headers() | {"Content-Type": "text/plain"}, 415),
        (b" " * (4 * 1024 * 1024 + 1), workspace.headers(), 413),
    ):
        answer = on_sqlite.send("POST", "/users/export/ids", content, headers)
        assert answer.status == status
        assert answer.headers["X-RateLimit-Limit"] == "250"
    assert left(limits(workspace), "export-ids") == {"export-ids": 247}


# The command line


def test_commands(valkey_server: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", valkey_server.url)
    monkeypatch.setenv("ONEFOLD_KEY_PREFIX", f"cli-{tmp_path.name}:")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str, fails: bool = False) -> str:
        result = CliRunner().invoke(cli, [*words, "--data-dir", str(tmp_path)], catch_exceptions=False)
        assert (result.exit_code != 0) is fails, result.output
        return result.output

    run("migrate")
    run("workspaces", "create", "shop")
    run("companies", "create", "acme", "--burst", "9", "--hourly-refill", "clock_hour")
    run("companies", "set", "acme", "--hourly", "777")
    assert "777" in run("companies", "list")
    run("workspaces", "set", "shop", "--company", "acme", "--disabled")
    assert "disabled" in run("workspaces", "list")
    shop = ("--workspace", "shop")
    run("limits", "set", *shop, "--burst", "123", "--group", "export-ids=2500/60", "--max-objects", "75")
    run("limits", "set", "--workspace", "shop", "--group", "rename=1/60", "--group", "track-bulk=plan")
    run("limits", "set", "--workspace", "shop", "--reset", "rename", "--hourly-refill", "clock_hour")
    shown = run("limits", "show", "--workspace", "shop")
    for text in ("75 in all", "123", "2,500", "company-burst", "777", "clock_hour"):
        assert text in shown
    key = ("keys", "create", *shop, "--name", "k", "--permission", "users.track", "--created-by", "ada")
    run(*key, "--allow-ip", "10.0.0.0/8", "--expires", "90d")
    listed = run("keys", "list", *shop)
    assert "10.0.0.0/8" in listed
    assert "ada" in listed
    assert "expires" in listed
    for words in (
        ["limits", "set", *shop],
        ["limits", "set", *shop, "--group", "rename=many"],
        ["limits", "set", *shop, "--group", "nope=1/1"],
        ["limits", "set", *shop, "--plan", "gold"],
        ["workspaces", "set", "shop", "--company", "nobody"],
        ["companies", "create", "acme"],
        ["companies", "create", "acme2", "--hourly-refill", "daily"],
        ["companies", "set", "acme", "--hourly-refill", "daily"],
        *(["companies", "create", name] for name in BAD_NAMES),
        *(["workspaces", "create", name] for name in BAD_NAMES),
        *(["keys", "create", *shop, "--name", name, "--all"] for name in BAD_NAMES),
        ["keys", "create", *shop, "--name", "k", "--all"],
        ["keys", "create", *shop, "--name", "x"],
        ["keys", "create", *shop, "--name", "x", "--all", "--permission", "fly"],
        ["keys", "create", *shop, "--name", "x", "--all", "--allow-ip", "10.0.0.1/8"],
        ["keys", "create", *shop, "--name", "x", "--all", "--expires", "2001-01-01"],
    ):
        run(*words, fails=True)


@pytest.mark.parametrize("requests", [1, 2, 40])
def test_full_at_is_when_it_is_full_also_when_nothing_is_left(service: Service, requests: int) -> None:
    """Not when there is the next token: an empty bucket needs its whole window."""
    workspace = service.workspace("legacy", burst_limit=requests, burst_window_seconds=3_600)
    before_us = times_now()
    for _ in range(requests):
        assert workspace.track(BODY, drain=False).status == 201
    burst = limits(workspace).body["limits"][0]
    assert (burst["name"], burst["remaining"]) == ("burst", 0)
    full_us = times.parse(burst["full_at"])
    assert full_us is not None
    assert before_us - 1_000_000 <= full_us - HOUR * 1_000 <= times_now() + 1_000_000
