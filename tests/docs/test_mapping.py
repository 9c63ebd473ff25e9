"""The guide's table of the fields of an export: it has all of them, and what is sent by it makes the same profile."""

import re
from typing import Any

from app.contract.exported import RENDERERS, WITHOUT_VALUES
from tests.api.harness import Service, Workspace
from tests.docs.markdown import rows, section

TABLE = rows(section("docs/guide.md", "### Which fields go where"))
SAME_NAME = {name for fields, target, _ in TABLE if "same name" in target for name in re.findall(r"`(\w+)`", fields)}
#: A profile's own, and what comes from events, purchases and aliases.
NOT_SENT = {"braze_id", "appboy_id", "created_at", "random_bucket", "push_opted_in_at"}

FULL = {
    "external_id": "c-1",
    "first_name": "Katherine",
    "last_name": "Johnson",
    "email": "Katherine@Example.org",
    "phone": "+14155550132",
    "country": "US",
    "language": "en",
    "time_zone": "America/New_York",
    "home_city": "Hampton",
    "gender": "F",
    "dob": "1918-08-26",
    "native_line_id": "line-1",
    "current_location": {"longitude": -76.25, "latitude": 37},
    "email_subscribe": "opted_in",
    "push_subscribe": "unsubscribed",
    "tier": "gold",
    "visits": 7,
    "score": 1.5,
    "vip": False,
    "renewed": "2026-03-01T09:00:00Z",
    "about": "2026 was a good year",
    "tags": ["a", "b", 3, True],
    "plan": {"name": "x", "since": {"$time": "2026-03-01T09:00:00Z"}, "deep": {"n": [1, 2]}},
    "pets": [{"name": "Rex", "born": {"$time": "2020-01-01T00:00:00Z"}}, {"name": "Tom"}],
    "none": [],
}


def test_every_field_of_an_export_has_a_row() -> None:
    shown = [name for fields, _, _ in TABLE for name in re.findall(r"`(\w+)`", fields)]
    assert sorted(shown) == sorted({*RENDERERS, *WITHOUT_VALUES, "appboy_id"})


def test_sent_back_it_changes_nothing(workspace: Workspace) -> None:
    workspace.track({"attributes": [FULL]})
    before = workspace.user("c-1")
    answer = workspace.track({"attributes": [mapped(before)]})
    assert workspace.user("c-1") == before
    assert (answer.errors, workspace.skipped(answer.request_id)) == ([], [])


def test_elsewhere_it_makes_the_same_profile(service: Service, workspace: Workspace) -> None:
    workspace.track({"attributes": [FULL]})
    before = workspace.user("c-1")
    other = service.workspace("legacy")
    other.track({"attributes": [mapped(before)]})
    after = other.user("c-1")
    assert {n: v for n, v in after.items() if n not in NOT_SENT} == {
        n: v for n, v in before.items() if n not in NOT_SENT
    }


def mapped(user: dict[str, Any]) -> dict[str, Any]:
    """The attributes object of a profile of an export, by the table."""
    sent = {name: value for name, value in user.items() if name in SAME_NAME | {"external_id", "dob"}}
    if "last_coordinates" in user:
        sent["current_location"] = dict(zip(("longitude", "latitude"), user["last_coordinates"], strict=True))
    for name, value in user.get("custom_attributes", {}).items():
        sent[name] = timed(value) if isinstance(value, (dict, list)) else value
    return sent


def timed(value: Any) -> Any:
    """Times in objects as they are sent."""
    if isinstance(value, dict):
        return {name: timed(member) for name, member in value.items()}
    if isinstance(value, list):
        return [timed(member) if isinstance(member, dict) else member for member in value]
    is_time = isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value)
    return {"$time": value} if is_time else value
