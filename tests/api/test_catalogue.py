"""The contract's lists of events, attributes and products: whole answers, pages, and what a parameter may be."""

from base64 import urlsafe_b64encode
from typing import Any

import pytest

from tests.api.asking import decide, get
from tests.api.harness import Json, Service, Workspace

TIME = "2026-02-10T09:15:00Z"


def event(name: str) -> Json:
    return {"external_id": "a", "name": name, "time": TIME}


def purchase(product: str) -> Json:
    return {"external_id": "a", "product_id": product, "currency": "USD", "price": 1, "time": TIME}


def listed(name: str, **members: Any) -> Json:
    return {"name": name, "description": "", "status": "Active", "tag_names": [], **members}


def of_event(name: str, **members: Any) -> Json:
    return listed(name, **{"included_in_analytics_report": True, **members})


def test_whole_answers(workspace: Workspace) -> None:
    """Names in the order of their characters. Blocked ones stay, and refused events are none that occurred."""
    attributes = {
        "tier": "gold",
        "n": 1,
        "b": True,
        "t": "2026-01-05",
        "list": ["x"],
        "o": {"k": 1},
        "items": [{"k": 1}],
        "mixed": 1,
        "forced": "1",
        "short": ["a"],
        "$google_ad_user_data": True,
    }
    workspace.track({"attributes": [{"external_id": "a", **attributes}]})
    workspace.track({"attributes": [{"external_id": "a", "mixed": value} for value in ("x", "y", 2)]})
    order = {"order_id": "1", "total_value": 1, "currency": "USD", "source": "web", "products": []}
    refused = {"external_id": "a", "name": "ecommerce.order_refunded", "time": TIME, "properties": {}}
    placed = {"external_id": "a", "name": "ecommerce.order_placed", "time": TIME, "properties": order}
    events = [event(name) for name in ("view", "Éa", "View", "view", " cart ")]
    answer = workspace.track(
        {"events": [*events, refused, placed], "purchases": [purchase("jacket"), purchase("Shoe")]}
    )
    assert [(one["index"], one["input_array"]) for one in answer.body["errors"]] == [(5, "events")]
    decide(workspace, "/v1/events", {"name": "view", "blocked": True})
    decide(workspace, "/v1/attributes", {"name": "tier", "blocked": True})
    decide(workspace, "/v1/attributes", {"name": "forced", "type": "number"})
    decide(workspace, "/v1/attributes", {"name": "short", "array_max": 25})
    names = ["View", "cart", "ecommerce.order_placed", "view", "Éa"]
    assert get(workspace, "/events/list").body == {"events": names, "message": "success"}
    assert get(workspace, "/events").body == {
        "events": [of_event(name) | ({"status": "Blocklisted"} if name == "view" else {}) for name in names],
        "message": "success",
    }
    assert get(workspace, "/purchases/product_list").body == {"products": ["Shoe", "jacket"], "message": "success"}

    def of(name: str, type_: str, **members: Any) -> Json:
        shown = type_ if members.pop("forced", False) else f"{type_} (Automatically Detected)"
        return listed(name, **{"data_type": shown, "array_length": None, **members})

    assert get(workspace, "/custom_attributes").body == {
        "attributes": [
            of("$google_ad_user_data", "Boolean", forced=True),
            of("b", "Boolean"),
            of("forced", "Number", forced=True),
            of("items", "Object Array"),
            of("list", "Array", array_length=500),
            of("mixed", "Number"),  # as often as texts
            of("n", "Number"),
            of("o", "Object"),
            of("short", "Array", array_length=25),
            of("t", "Time"),
            of("tier", "String", status="Blocklisted"),
        ],
        "message": "success",
    }


EMPTY = {
    "/events/list": {"events": [], "message": "success"},
    "/events": {"events": [], "message": "success"},
    "/custom_attributes": {"attributes": [], "message": "success"},
    "/purchases/product_list": {"products": [], "message": "success"},
}


@pytest.mark.parametrize("path", EMPTY)
def test_nothing_yet_and_a_limit_of_their_own(on_sqlite: Service, path: str) -> None:
    workspace, other = on_sqlite.workspace(), on_sqlite.workspace()
    other.track({"attributes": [{"external_id": "a", "k": 1}], "events": [event("e")], "purchases": [purchase("p")]})
    answer = get(workspace, path)
    assert (answer.status, answer.body) == (200, EMPTY[path])
    assert answer.headers["X-RateLimit-Limit"] == "1000"
    assert "link" not in answer.headers
    permission = {"/events": "events.get", "/custom_attributes": "custom_attributes.get"}
    needed = permission.get(path, path[1:].replace("/", "."))
    assert get(workspace, path, Authorization=f"Bearer {on_sqlite.key(workspace.id, needed)}").status == 200
    assert get(workspace, path, Authorization=f"Bearer {on_sqlite.key(workspace.id, 'users.track')}").status == 403
    assert get(workspace, f"{path}?page=<integer>").body == EMPTY[path]


def test_pages(service: Service) -> None:
    workspace = service.workspace("legacy")
    wanted = [f"n{n:03d}" for n in range(251)]
    for n in range(0, len(wanted), 75):
        some = wanted[n : n + 75]
        workspace.track(
            {
                "attributes": [{"external_id": "a", **dict.fromkeys(some, 1)}],
                "events": [event(name) for name in some],
                "purchases": [purchase(name) for name in some],
            }
        )
    for path, member in (("/events/list", "events"), ("/purchases/product_list", "products")):
        pages = [get(workspace, f"{path}?page={n}").body[member] for n in (0, 1, 2, 99999999)]
        assert pages == [wanted[:250], wanted[250:], [], []]
        for unreadable in ("", "-1", "x", "1.0", "999999999", "%EF%BC%91"):
            assert get(workspace, f"{path}?page={unreadable}").body[member] == wanted[:250]
    for path, member in (("/events", "events"), ("/custom_attributes", "attributes")):
        found, following = [], path
        while following:
            answer = get(workspace, following)
            found.append([one["name"] for one in answer.body[member]])
            link = answer.headers.get("link", "")
            assert not link or (link.startswith(f"<{path}?cursor=") and link.endswith('>; rel="next"'))
            following = link[1:].partition(">")[0]
        assert [len(page) for page in found] == [50, 50, 50, 50, 50, 1]
        assert [name for page in found for name in page] == wanted


@pytest.mark.parametrize("path", ["/events", "/custom_attributes"])
@pytest.mark.parametrize("cursor", ["!", "a", "_w==", urlsafe_b64encode(b"a\0b").decode(), "YWFh" * 600])
def test_a_cursor_that_is_none(on_sqlite: Service, path: str, cursor: str) -> None:
    answer = get(on_sqlite.workspace(), f"{path}?cursor={cursor}")
    assert (answer.status, answer.message) == (400, "'cursor' must be that of the Link header of another page")


def test_what_was_accepted_is_waited_for(service: Service) -> None:
    workspace = service.workspace()
    workspace.track({"events": [event("e")]}, drain=False)
    stale = get(workspace, "/events/list")
    assert (stale.body["events"], stale.headers["x-onefold-stale"]) == ([], "true")
    with service.draining(workspace.id):
        workspace.track({"events": [event("f")]}, drain=False)
        assert get(workspace, "/events/list").body["events"] == ["e", "f"]
