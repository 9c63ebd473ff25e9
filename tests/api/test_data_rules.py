"""Names of attributes, events and products: what is counted, and what a decision changes, on both stores."""

from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from tests.api.asking import decide
from tests.api.harness import Answer, Json, Service, Workspace
from tests.api.reference import equal_to_the_reference

TIME = "2026-02-10T09:15:00Z"


def listed(workspace: Workspace, path: str, query: str = "") -> Json:
    answer = workspace.service.send("GET", path + query, None, workspace.headers(), workspace.key)
    assert answer.status == 200, answer.text
    return answer.body


def rows(body: Json) -> list[Json]:
    (found,) = (value for value in body.values() if isinstance(value, list))
    return found


def name(name: str, **types: int) -> Json:
    return {"name": name, "types": types, "type": None, "array_max": None, "blocked": False}


def test_counts(workspace: Workspace) -> None:
    """Of attributes new values by type; of events occurrences; of products pieces."""
    for value in (1, 1, 2, "x", "2026-01-05", ["a"], ["a"], None, True):
        workspace.track({"attributes": [{"external_id": "a", "k": value, "$bad": 1, "long": "x" * 256}]})
    workspace.track({"attributes": [{"external_id": "b", "k": 1, "o": {"a": 1}, "oa": [{"a": 1}]}]})
    event = {"name": "e", "time": TIME}
    purchase = {"external_id": "a", "product_id": "p", "currency": "USD", "price": 1, "quantity": 3, "time": TIME}
    workspace.track({"events": [event | {"external_id": "a"}] * 2 + [event | {"email": "x"}], "purchases": [purchase]})
    assert listed(workspace, "/v1/attributes") == {
        "attributes": [
            name("k", array=2, boolean=1, number=3, string=1, time=1),
            name("o", object=1),
            name("oa", object_array=1),
        ],
        "message": "success",
    }
    assert rows(listed(workspace, "/v1/events")) == [{"name": "e", "count": 2, "blocked": False}]
    assert rows(listed(workspace, "/v1/products")) == [{"name": "p", "count": 3, "blocked": False}]
    equal_to_the_reference(workspace)
    with workspace.service.database.write() as connection:
        connection.exec_driver_sql(f"update name_count set count = 9 where workspace_id = {workspace.id}")
    with pytest.raises(AssertionError, match="counts of names differ"):
        equal_to_the_reference(workspace)


def test_rules_take_effect_from_then_on(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "a", "tier": 1, "secret": "x", "list": [1, 2, 3, 4]}]})
    for body in (
        {"name": "tier", "type": "number"},
        {"name": " secret ", "blocked": True},
        {"name": "list", "array_max": 2},
        {"name": "new", "type": "boolean"},
    ):
        answer = decide(workspace, "/v1/attributes", body)
        wanted = name(str(body["name"]).strip()) | body | {"name": str(body["name"]).strip(), "message": "success"}
        del wanted["types"]
        assert (answer.status, answer.body) == (201, wanted)
    sent = {"external_id": "a", "tier": "2", "secret": "y", "list": [5, 6, 7], "new": "yes", "free": "2"}
    answer = workspace.track({"attributes": [sent]})
    assert workspace.user("a")["custom_attributes"] == {"tier": 2, "secret": "x", "list": [5, 6], "free": "2"}
    assert workspace.skipped(answer.request_id) == [
        ("attributes", 0, "secret", "blocked"),
        ("attributes", 0, "new", "wrong_type"),
    ]
    assert rows(listed(workspace, "/v1/attributes"))[0] == name("free", string=1)
    assert rows(listed(workspace, "/v1/attributes"))[2] == name("new") | {"type": "boolean"}
    assert decide(workspace, "/v1/attributes", {"name": "secret", "blocked": None}).body["blocked"] is False
    workspace.track({"attributes": [{"external_id": "a", "secret": "z"}]})
    assert workspace.user("a")["custom_attributes"]["secret"] == "z"
    equal_to_the_reference(workspace)


def test_a_date_is_a_time_again_once_it_is_no_forced_string(workspace: Workspace) -> None:
    def write() -> object:
        workspace.track({"attributes": [{"external_id": "a", "since": "2026-01-05"}]})
        return workspace.user("a")["custom_attributes"]["since"]

    decide(workspace, "/v1/attributes", {"name": "since", "type": "string"})
    assert write() == "2026-01-05"
    decide(workspace, "/v1/attributes", {"name": "since", "type": None})
    assert write() == "2026-01-05T00:00:00.000Z"
    equal_to_the_reference(workspace)


def test_blocked_events_and_products(workspace: Workspace) -> None:
    assert decide(workspace, "/v1/events", {"name": "$e", "blocked": True}).body == {
        "name": "$e",
        "blocked": True,
        "message": "success",
    }
    assert decide(workspace, "/v1/products", {"name": "p", "blocked": True}).status == 201
    event = {"external_id": "a", "name": "$e", "time": TIME}
    purchase = {"external_id": "a", "product_id": "p", "currency": "USD", "price": 1, "time": TIME}
    answer = workspace.track({"events": [event], "purchases": [purchase]})
    assert answer.counts == {"events": 1, "purchases": 1}
    assert workspace.skipped(answer.request_id) == [("events", 0, "", "blocked"), ("purchases", 0, "", "blocked")]
    assert workspace.stored() == []
    answer = workspace.track_sync({"events": [event]})
    assert (answer.status, answer.body["users"]) == (201, [])
    assert rows(listed(workspace, "/v1/events")) == [{"name": "$e", "count": 0, "blocked": True}]
    assert decide(workspace, "/v1/events", {"name": "$e", "blocked": False}).status == 201
    workspace.track({"events": [event]})
    assert rows(listed(workspace, "/v1/events")) == [{"name": "$e", "count": 1, "blocked": False}]
    equal_to_the_reference(workspace)


def test_pages(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "a", **{f"k{n}": n for n in range(5)}, "é": 1, "\U0001f600": 1}]})
    for rule in ("a rule", "k2", "zz", "\ufffd"):
        workspace.change(attributes={rule: {"blocked": True}})
    expected = ["a rule", "k0", "k1", "k2", "k3", "k4", "zz", "é", "\ufffd", "\U0001f600"]
    for limit in range(1, 12):
        found, query = [], ""
        for _ in range(12):
            page = listed(workspace, "/v1/attributes", f"?limit={limit}{query}")
            assert len(page["attributes"]) <= limit
            found += [row["name"] for row in page["attributes"]]
            if "next_cursor" not in page:
                break
            query = f"&cursor={page['next_cursor']}"
        assert found == expected


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/attributes", {}),
        ("/v1/attributes", []),
        ("/v1/attributes", {"name": "a"}),
        ("/v1/attributes", {"name": " ", "blocked": True}),
        ("/v1/attributes", {"name": "$a", "blocked": True}),
        ("/v1/attributes", {"name": "a\0", "blocked": True}),
        ("/v1/attributes", {"name": "a" * 256, "blocked": True}),
        ("/v1/attributes", {"name": 1, "blocked": True}),
        ("/v1/attributes", {"name": "a", "blocked": "true"}),
        ("/v1/attributes", {"name": "a", "type": "date"}),
        ("/v1/attributes", {"name": "a", "type": ["number"]}),
        ("/v1/attributes", {"name": "a", "array_max": 0}),
        ("/v1/attributes", {"name": "a", "array_max": 10_001}),
        ("/v1/attributes", {"name": "a", "array_max": True}),
        ("/v1/attributes", {"name": "a", "array_max": 1.5}),
        ("/v1/attributes", {"name": "a", "blocked": True, "x": 1}),
        ("/v1/events", {"name": "a", "type": "number"}),
        ("/v1/products", {"name": "", "blocked": True}),
    ],
)
def test_refused(workspace: Workspace, path: str, body: object) -> None:
    assert workspace.post(path, body).status == 400
    assert rows(listed(workspace, path)) == []


@pytest.mark.parametrize("query", ["?limit=0", "?limit=501", "?limit=x", "?cursor=*", "?cursor=_w==", "?cursor=AA=="])
def test_refused_pages(workspace: Workspace, query: str) -> None:
    answer = workspace.service.send("GET", "/v1/events" + query, None, workspace.headers(), workspace.key)
    assert answer.status == 400


def test_commands(on_sqlite: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = on_sqlite.workspace()
    with on_sqlite.database.read() as connection:
        title = connection.exec_driver_sql(f"select name from workspace where id = {workspace.id}").scalar()
    monkeypatch.setenv("ONEFOLD_DATA_DIR", str(on_sqlite.settings.data_dir))
    monkeypatch.setenv("DATABASE_URL", "")

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, [*arguments, "--workspace", str(title)])

    workspace.track(
        {"attributes": [{"external_id": "a", "k": 1}], "events": [{"external_id": "a", "name": "e", "time": TIME}]}
    )
    assert run("attributes", "set", "k", "--type", "string", "--array-max", "3").exit_code == 0
    assert run("events", "set", "e", "--block").exit_code == 0
    assert run("events", "set", "p", "--block", "--products").exit_code == 0
    workspace.drain()
    shown = run("attributes", "list").output
    assert all(text in shown for text in ("number 1", "string", "3"))
    assert "blocked" in run("events", "list").output
    assert "blocked" in run("events", "list", "--products").output
    assert run("attributes", "set", "k").exit_code == 1
    assert run("attributes", "set", "k", "--type", "date").exit_code == 1
    assert run("attributes", "set", "$k", "--block").exit_code == 1
    assert run("attributes", "set", "k", "--type", "none", "--array-max", "0").exit_code == 0
    workspace.drain()
    assert rows(listed(workspace, "/v1/attributes")) == [name("k", number=1)]


@pytest.mark.parametrize("path", ["/v1/attributes", "/v1/events", "/v1/products"])
def test_a_decision_that_is_repeated_with_its_key_is_taken_once(workspace: Workspace, path: str) -> None:
    """And a repeat takes nothing back that was decided in between."""

    def ask(*, blocked: bool, **headers: str) -> Answer:
        with workspace.service.draining(workspace.id):
            return workspace.post(path, {"name": "x", "blocked": blocked}, drain=False, **headers)

    first = ask(blocked=True, Idempotency_Key="k")
    undone = ask(blocked=False)
    again = ask(blocked=True, Idempotency_Key="k")
    assert (first.status, undone.status, again.status) == (201, 201, 201)
    assert (first.body["blocked"], again.body["blocked"]) == (True, False)
    assert again.request_id == first.request_id
    assert ask(blocked=False, Idempotency_Key="k").status == 422
    assert ask(blocked=False, Idempotency_Key="x" * 256).status == 400
    assert rows(listed(workspace, path)) == []
    equal_to_the_reference(workspace)
