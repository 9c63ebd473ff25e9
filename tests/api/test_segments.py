"""Segments from the outside: making, counting, asking about them, lists, daily sizes, and the story of the guests."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from app.domain import times
from app.domain.times import DAY
from app.store.segments import run
from tests import segments as segments_of
from tests.api.harness import Answer, Json, Service, Workspace, times_now
from workers import segments

BLANK = {"field": "external_id", "op": "is_blank"}
LEAD = {"field": "custom_attribute", "name": "is_lead_profile", "op": "is_true"}
LEADS = {"groups": [{"op": "AND", "filters": [BLANK, LEAD]}]}


def send(workspace: Workspace, method: str, path: str, body: Any = None) -> Answer:
    content = None if body is None else json.dumps(body).encode()
    return workspace.service.send(method, path, content, workspace.headers(), workspace.key)


def made(workspace: Workspace, document: Json) -> str:
    answer = send(workspace, "POST", "/v1/segments", document)
    assert answer.status == 201, answer.text
    return str(answer.body["id"])


def size(workspace: Workspace, document: Json) -> int:
    answer = send(workspace, "POST", "/v1/segments/preview", document)
    assert answer.status == 200, answer.text
    return int(answer.body["size"])


def alias(name: str) -> Json:
    return {"user_alias": {"alias_label": "full_name", "alias_name": name}}


def test_the_story_of_the_guests(service: Service) -> None:
    """Guests are captured as aliases, found by a segment, buy, and leave the segment once they are known."""
    workspace = service.workspace()
    guests = ("joedoe", "janedoe")
    captured = [{**alias(name), "_update_existing_only": False, "is_lead_profile": True} for name in guests]
    others = [
        {"external_id": "ada", "is_lead_profile": True},
        {**alias("passer-by"), "_update_existing_only": False, "is_lead_profile": False},
        {**alias("silent"), "_update_existing_only": False, "seen": 1},
    ]
    assert workspace.track({"attributes": [*captured, *others]}).status == 201
    found = send(workspace, "POST", "/v1/segments/preview", {**LEADS, "sample": 10})
    people = workspace.export(user_aliases=[alias(name)["user_alias"] for name in guests])
    assert found.body["size"] == 2
    assert {one["braze_id"] for one in found.body["sample"]} == {one["braze_id"] for one in people}
    assert {one["external_id"] for one in found.body["sample"]} == {None}

    purchase = {"product_id": "jacket", "currency": "USD", "price": 80.0, "time": times.iso(times_now())}
    assert workspace.track({"purchases": [{**alias("joedoe"), **purchase}]}).status == 201
    bought = {"field": "purchased_product", "op": "equals", "value": "jacket"}
    assert size(workspace, {"groups": [{"filters": [BLANK, LEAD, bought]}]}) == 1

    identified = [{"external_id": f"known-{name}", **alias(name)} for name in guests]
    assert workspace.post("/users/identify", {"aliases_to_identify": identified}).status == 201
    assert size(workspace, LEADS) == 0
    assert size(workspace, {"groups": [{"filters": [LEAD, bought]}]}) == 1
    assert workspace.user("known-joedoe")["purchases"][0]["name"] == "jacket"


def test_a_segment_is_kept_changed_and_removed(service: Service) -> None:
    workspace = service.workspace()
    segment = made(workspace, {"name": " guest leads ", "tags": ["web"], **LEADS})
    shown = send(workspace, "GET", f"/v1/segments/{segment}").body
    assert shown == {
        "id": segment,
        "name": "guest leads",
        "description": "",
        "tags": ["web"],
        "analytics_tracking_enabled": False,
        "created_at": shown["created_at"],
        "updated_at": shown["created_at"],
        **LEADS,
        "message": "success",
    }
    changed = send(workspace, "PUT", f"/v1/segments/{segment}", {"description": "d", "join": "OR"})
    assert changed.body == {**shown, "description": "d", "join": "OR", "updated_at": changed.body["updated_at"]}
    assert send(workspace, "GET", "/v1/segments").body["segments"] == [
        {name: value for name, value in changed.body.items() if name != "message"}
    ]
    details = send(workspace, "GET", f"/segments/details?segment_id={segment}").body
    assert details == {
        "created_at": shown["created_at"],
        "updated_at": changed.body["updated_at"],
        "name": "guest leads",
        "description": "d",
        "text_description": "(external_id is_blank AND custom_attribute is_lead_profile is_true)",
        "tags": ["web"],
        "teams": [],
        "message": "success",
    }
    member = {"field": "segment_membership", "segment_id": segment, "op": "is_member"}
    user = {"name": "user", "groups": [{"filters": [member]}]}
    other = made(workspace, user)
    assert size(workspace, {"groups": user["groups"]}) == 0
    assert send(workspace, "DELETE", f"/v1/segments/{segment}").status == 400
    nested = {"groups": [{"filters": [{"field": "segment_membership", "segment_id": other, "op": "is_member"}]}]}
    assert send(workspace, "PUT", f"/v1/segments/{segment}", nested).status == 400
    assert send(workspace, "POST", "/v1/segments/preview", nested).status == 400
    assert send(workspace, "DELETE", f"/v1/segments/{other}").status == 200
    assert send(workspace, "DELETE", f"/v1/segments/{segment}").status == 200
    for method in ("GET", "DELETE"):
        assert send(workspace, method, f"/v1/segments/{segment}").status == 404


def test_lists(service: Service) -> None:
    workspace, other = service.workspace(), service.workspace()
    ids = [made(workspace, {"name": f"s{n}"}) for n in range(101)]
    made(other, {"name": "not ours"})

    def listed(query: str) -> list[str]:
        return [one["id"] for one in send(workspace, "GET", f"/segments/list{query}").body["segments"]]

    assert listed("") == ids[:100]
    assert listed("?page=1") == ids[100:]
    assert listed("?page=0&sort_direction=desc") == ids[:0:-1]
    assert listed("?page=2") == []
    assert listed("?page=<integer>&sort_direction=<string>") == ids[:100]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/segments", {}),
        ("POST", "/v1/segments", {"name": ""}),
        ("POST", "/v1/segments", {"name": "x", "filters": []}),
        ("POST", "/v1/segments", {"name": "x", "groups": [{"filters": [{"field": "x", "op": "y"}]}]}),
        ("POST", "/v1/segments", []),
        ("POST", "/v1/segments", {"name": "x", "tags": [1]}),
        ("POST", "/v1/segments", {"name": "x", "analytics_tracking_enabled": "yes"}),
        ("POST", "/v1/segments/preview", {"sample": 101}),
        ("POST", "/v1/segments/preview", {"name": "x"}),
        ("GET", "/segments/details", None),
        ("GET", "/segments/data_series?segment_id=x", None),
        ("GET", "/segments/data_series?segment_id=x&length=101", None),
        ("GET", "/segments/data_series?segment_id=x&length=1&ending_at=soon", None),
    ],
)
def test_what_is_refused(on_sqlite: Service, method: str, path: str, body: Any) -> None:
    assert send(on_sqlite.workspace(), method, path, body).status == 400


def test_why(service: Service) -> None:
    workspace = service.workspace()
    workspace.track({"attributes": [{"external_id": "ada", "is_lead_profile": True, "email": "a@example.org"}]})
    segment = made(workspace, {"name": "leads", **LEADS, "exclude": [{"filters": [LEAD]}]})
    answer = send(workspace, "GET", f"/v1/segments/{segment}/why?email=a@example.org")
    (person,) = answer.body["profiles"]
    assert person == {
        "braze_id": workspace.export(external_ids=["ada"])[0]["braze_id"],
        "in_segment": False,
        "filters": [
            {"part": "groups", "group": 0, "filter": 0, "field": "external_id", "matches": False},
            {"part": "groups", "group": 0, "filter": 1, "field": "custom_attribute", "matches": True},
            {"part": "exclude", "group": 0, "filter": 0, "field": "custom_attribute", "matches": True},
        ],
    }
    for query in ("external_id=ada", f"braze_id={person['braze_id']}"):
        assert send(workspace, "GET", f"/v1/segments/{segment}/why?{query}").body == answer.body
    assert send(workspace, "GET", f"/v1/segments/{segment}/why?external_id=bob").body["profiles"] == []
    assert send(workspace, "GET", f"/v1/segments/{segment}/why").status == 400
    assert send(workspace, "GET", "/v1/segments/none/why?external_id=ada").status == 404


def test_sizes_are_kept_once_a_day(service: Service) -> None:
    """Days of the workspace; those before the segment, and those on which nobody counted, are absent."""
    workspace = service.workspace()
    workspace.change(time_zone="Pacific/Kiritimati")  # fourteen hours ahead of UTC
    tracked = made(workspace, {"name": "leads", "analytics_tracking_enabled": True, **LEADS})
    untracked = made(workspace, {"name": "other"})
    database, start = service.database, 1_795_000_000_000_000 // DAY * DAY + 11 * DAY // 24  # 11:00 UTC, 01:00 there
    for day in range(3):
        lead = {**alias(f"guest-{day}"), "_update_existing_only": False, "is_lead_profile": True}
        workspace.track({"attributes": [lead]})
        before = segments.record(database, start + day * DAY - DAY // 12)
        assert before == (1 if day == 0 else 0)  # two hours before, it was the day before there
        assert segments.record(database, start + day * DAY) == 1
        assert segments.record(database, start + day * DAY + DAY // 24) == 0

    def series(length: int, ending: str = "2026-12-31T00:00:00Z", segment: str = tracked) -> Answer:
        return send(workspace, "GET", f"/segments/data_series?segment_id={segment}&length={length}&ending_at={ending}")

    data = [{"time": f"2026-11-{18 + n}", "size": max(1, n)} for n in range(4)]
    assert series(100).body == {"data": data, "message": "success"}
    assert series(2, "2026-11-20T09:00:00Z").body["data"] == data[1:3]
    assert series(2, "2026-11-20T11:00:00Z").body["data"] == data[2:4]
    assert series(1, segment=untracked).status == 400
    assert series(1, segment="none").status == 404


def test_bounds(service: Service) -> None:
    workspace = service.workspace()
    with service.database.write() as connection:
        connection.execute(text("delete from segment where workspace_id = :w"), {"w": workspace.id})
        for n in range(500):
            connection.execute(
                text(
                    "insert into segment (workspace_id, id, name, description, tags, tracked, definition, created_us,"
                    " updated_us) values (:w, :id, 'x', '', '[]', false, '{}', 1, 1)"
                ),
                {"w": workspace.id, "id": f"{n:03d}"},
            )
    assert send(workspace, "POST", "/v1/segments", {"name": "one too many"}).status == 400
    send(workspace, "DELETE", "/v1/segments/000")
    assert send(workspace, "POST", "/v1/segments", {"name": "in its place"}).status == 201


def test_only_people_that_are_shown_reach_python(service: Service) -> None:
    """SQL counts; of a pattern, only the different texts that SQL cannot rule out are looked at."""
    workspace = service.workspace()
    people = [{"external_id": f"u{n}", "n": n, "city": f"Town {n % 3}", "hobby": "sea"} for n in range(40)]
    workspace.track({"attributes": people})

    def rows(document: Json) -> int:
        definition = segments_of.definition(document)
        total = 0
        with service.database.read() as connection:
            execute = connection.execute

            def watched(statement: Any, *arguments: Any, **options: Any) -> Any:
                nonlocal total
                result = execute(statement, *arguments, **options).freeze()
                total += len(result().all())
                return result()

            connection.execute = watched  # type: ignore[method-assign]
            run.count(connection, workspace.id, definition, times_now())
        return total

    overhead = 3  # settings of the transaction, the lane, the count
    attribute = {"field": "custom_attribute", "name": "n", "op": "more_than", "value": 10}
    assert rows({"groups": [{"filters": [BLANK, LEAD, attribute]}]}) <= overhead
    pattern = {"field": "custom_attribute", "name": "city", "op": "matches_regex", "value": "^town [12]$"}
    assert rows({"groups": [{"filters": [pattern]}]}) <= overhead + 3


def test_schema(on_sqlite: Service) -> None:
    workspace = on_sqlite.workspace()
    schema = send(workspace, "GET", "/v1/segments/schema").body
    assert {one["field"] for one in schema["fields"]} >= {"external_id", "custom_attribute", "x_events_in_y_days"}
    assert {op for one in schema["fields"] for op in one["operators"]} == {one["op"] for one in schema["operators"]}
