"""The OpenAPI document and what is served are the same. Every answer of every test is compared with it as well, see
`conformity`; here is what that cannot see."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, Final
from uuid import UUID

import httpx
import jsonschema_rs
import msgspec
import pytest
import schemathesis
from starlette.routing import Route

from app.api import docs
from app.api.documentation import TAGS
from app.api.exports.models import Profile
from app.api.track.models import Attributes
from app.contract.attributes import FIELDS
from app.contract.exported import RENDERERS
from tests.api.conformity import Conformity
from tests.api.harness import Answer, Json, Service, Workspace, running, served, settings_for
from tests.api.jobs import work_off
from tests.servers import ValkeyServer

#: What attributes objects may name and nobody should send.
UNTOLD: Final = {"bio", "alias_name", "alias_label", "email_subscription_info"}


def operations(service: Service) -> Iterator[tuple[str, str, Json]]:
    for path, methods in service.app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def keyed(service: Service) -> list[tuple[str, str, Json]]:
    return [operation for operation in operations(service) if {"key": []} in operation[2]["security"]]


def test_every_endpoint_is_documented(on_sqlite: Service) -> None:
    """Failed? Give the new Endpoint a Documentation, as app/api/track/endpoints.py does."""
    routes = {(method, r.path) for r in on_sqlite.app.routes if isinstance(r, Route) for method in r.methods or ()}
    told = {(method, path) for method, path, _ in operations(on_sqlite)}
    assert {route for route in routes if route[0] != "HEAD"} == told
    assert len(on_sqlite.app.routes) == len(told)


#: What they do is said by the path alone.
WITHOUT_BODY = (
    "/v1/merges/{id}/undo",
    "/v1/merges/{id}/undo/preview",
    "/v1/merge_runs/{id}/undo",
    "/v1/apps/{app_id}/sdk_key",
    "/v1/alerts/{alert_id}/test",
    "/v1/webhooks/{webhook_id}/secret",
    "/v1/webhooks/{webhook_id}/test",
    "/v1/webhooks/{webhook_id}/replay",
    "/v1/segments/{segment_id}/deletions",
)


def test_the_words(on_sqlite: Service) -> None:
    document = on_sqlite.app.openapi()
    names = [operation["operationId"] for *_, operation in operations(on_sqlite)]
    assert len(names) == len(set(names))
    for method, path, operation in operations(on_sqlite):
        assert operation["summary"], path
        assert operation["description"], path
        assert set(operation["tags"]) <= TAGS.keys(), path
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        assert (body is not None) == (method in ("POST", "PUT") and path not in WITHOUT_BODY), path
        if body is not None:
            schema = {"allOf": [body["schema"]], "components": document["components"]}
            jsonschema_rs.validate(schema, body["example"])
        in_path = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert {part[1:-1] for part in path.split("/") if part.startswith("{")} == in_path
    used = {tag for *_, operation in operations(on_sqlite) for tag in operation["tags"]}
    assert used == TAGS.keys() - {"Test mode"}  # which is served by `onefold up --test` alone


def test_the_form(on_sqlite: Service) -> None:
    """A tool that knows OpenAPI reads it, and every schema in it is one."""
    document = on_sqlite.app.openapi()
    schema = schemathesis.openapi.from_dict(document)
    assert len(list(schema.get_all_operations())) == len(list(operations(on_sqlite)))
    for component in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(component)


def names(model: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(model)}


def test_the_fields_are_those_of_the_contract() -> None:
    assert names(Attributes) == FIELDS.keys() - UNTOLD
    assert names(Profile) == RENDERERS.keys() | {"appboy_id"}


# Every answer below is compared with the document by the harness.


#: An empty object asks for the first page, for everybody, or for all fields.
NEED_NOTHING = (
    *("/v1/rates/book", "/v1/segments/preview", "/users/export/global_control_group"),
    *("/v1/merge_previews", "/v1/merge_previews/csv", "/v1/merge_runs"),
)


def ask(workspace: Workspace, method: str, path: str, operation: Json, **headers: str) -> Answer:
    """The request of the document's example."""
    template, (path, content) = path, (filled(workspace, path), None)
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["example"]
        content = msgspec.json.encode(body | _segment_of(workspace, template) if template in OF_A_SEGMENT else body)
    return workspace.service.send(method, path, content, workspace.headers_for(template, **headers), workspace.key)


_EMAIL = "email=ada@example.org"
QUERIES = {
    "/v1/merges": "external_id=filled",
    "/v1/messages": "external_id=filled",
    "/subscription/status/get": "subscription_group_id=newsletter&external_id=filled",
    "/subscription/user/status": "external_id=filled",
    "/email/hard_bounces": _EMAIL,
    "/email/unsubscribes": _EMAIL,
    "/sms/invalid_phone_numbers": "phone_numbers=15043277269",
    "/events/data_series": "event=e&length=1",
    **dict.fromkeys(("/purchases/quantity_series", "/purchases/revenue_series", "/sessions/data_series"), "length=1"),
    **{f"/kpi/{name}/data_series": "length=1" for name in ("dau", "mau", "new_users", "uninstalls")},
}
#: They need a segment that there is.
OF_A_SEGMENT = ("/users/export/segment", "/export/segment/cancel")


def _segment_of(workspace: Workspace, path: str) -> Json:
    """A new segment, which is being exported when the export is to be cancelled."""
    made = workspace.post("/v1/segments", {"name": "filled"}, drain=False)
    if path.endswith("/cancel"):
        workspace.post("/users/export/segment", {"segment_id": made.body["id"]}, drain=False)
    return {"segment_id": made.body["id"]}


def filled(workspace: Workspace, path: str) -> str:
    """A path with ids that there are, and the query that it needs."""
    if path in QUERIES:
        return f"{path}?{QUERIES[path]}"
    if path.endswith("/archive"):
        path = _of_a_merge(workspace, path)
        workspace.service.send("GET", path, None, workspace.headers())
        work_off(workspace.service)
        return path
    if path.startswith("/v1/merge_runs/"):
        return _of_a_run(workspace, path)
    if "{braze_id}" in path or path.endswith(("/undo", "/undo/preview")):
        return _of_a_merge(workspace, path)
    if path.startswith("/v1/jobs/"):
        workspace.post("/users/export/global_control_group", {}, drain=False)
        jobs = workspace.service.send("GET", "/v1/jobs", None, workspace.headers(), workspace.key).body["jobs"]
        return path.replace("{id}", jobs[0]["id"])
    if path.startswith("/segments/d") or "{segment_id}" in path:
        return _of_a_segment(workspace, path)
    if "{" not in path:
        return path
    if "{call}" in path or "{write_key}" in path:
        return path.replace("{call}", "track").replace("{write_key}", "filled")
    if "{app_id}" in path:
        made = workspace.post("/v1/apps", {"name": "filled", "platform": "web"}, drain=False)
        return path.replace("{app_id}", made.body["app_id"])
    if "{alert_id}" in path:
        alert = {"name": "filled", "metric": "dead_letters", "above": 0, "webhook": "https://hooks.example.org/"}
        return path.replace("{alert_id}", workspace.post("/v1/alerts", alert, drain=False).body["id"])
    if "{webhook_id}" in path:
        webhook = {"url": "https://hooks.example.org/", "events": ["profile.created"]}
        return path.replace("{webhook_id}", workspace.post("/v1/webhooks", webhook, drain=False).body["id"])
    accepted = workspace.track({"attributes": [{"external_id": "filled"}]}, drain=False)
    return path.replace("{id}", accepted.request_id)


def _of_a_segment(workspace: Workspace, path: str) -> str:
    made = workspace.post("/v1/segments", {"name": "s", "analytics_tracking_enabled": True}, drain=False)
    if "{" in path:
        path = path.replace("{segment_id}", made.body["id"])
        return f"{path}?external_id=filled" if path.endswith("/why") else path
    return f"{path}?segment_id={made.body['id']}&length=1"


def _of_a_run(workspace: Workspace, path: str) -> str:
    """A run of merge rules that is over."""
    workspace.post("/v1/merge_runs", {}, drain=False)
    runs = workspace.service.send("GET", "/v1/merge_runs", None, workspace.headers(), workspace.key).body["merge_runs"]
    workspace.service.send("DELETE", f"/v1/jobs/{runs[0]['id']}", None, workspace.headers(), workspace.key)
    return path.replace("{id}", runs[0]["id"])


def _of_a_merge(workspace: Workspace, path: str) -> str:
    pair = {"identifier_to_merge": {"external_id": "gone"}, "identifier_to_keep": {"external_id": "filled"}}
    workspace.track({"attributes": [{"external_id": "filled"}, {"external_id": "gone"}]}, drain=False)
    workspace.post("/users/merge", {"merge_updates": [pair]}, drain=False)
    listed = workspace.service.send("GET", "/v1/merges?external_id=filled", None, workspace.headers(), workspace.key)
    for record in listed.body["merges"]:
        path = path.replace("{id}", record["id"]).replace("{braze_id}", record["kept_braze_id"])
    return path


def test_examples_are_accepted(service: Service) -> None:
    workspace = service.workspace("legacy")
    with service.draining(workspace.id):
        for method, path, operation in operations(service):
            if path.startswith(("/files/", "/sdk/onefold.")) or path.endswith("/csv"):
                continue  # no JSON: tests of their own compare them with the document
            if path == "/v1/workspaces/{name}":
                continue  # the others need the workspace: tests/api/test_workspace_deletions.py
            answer = ask(workspace, method, path, operation)
            assert answer.status == min(map(int, operation["responses"])), path


def with_body(service: Service) -> list[tuple[str, str]]:
    return [(method, path) for method, path, operation in keyed(service) if "requestBody" in operation]


def test_refusals(on_sqlite: Service) -> None:
    """Each status of the document, as far as a request alone can bring it about."""
    workspace = on_sqlite.workspace("legacy")
    nobody = on_sqlite.key(workspace.id, ip_allowlist=["192.0.2.1"])
    with on_sqlite.draining(workspace.id):  # else what is read waits a second for what is written, each time
        for method, path, operation in keyed(on_sqlite):
            assert ask(workspace, method, path, operation, Authorization="Bearer x").status == 401
            if "403" in operation["responses"]:
                assert ask(workspace, method, path, operation, Authorization=f"Bearer {nobody}").status == 403
    for method, path in with_body(on_sqlite):
        for status, content, headers in (
            (400, b"{", {}),
            (400, b"null", {}),
            (400, b"{}", {}),
            (415, b"{}", {"Content_Type": "text/plain"}),
            (415, b"{}", {"Content_Encoding": "br"}),
            (400, b"{}", {"Content_Encoding": "gzip"}),
            (400 if path.endswith("/bulk") else 413, b" " * (4 * 1024 * 1024 + 1), {}),
        ):
            if path in NEED_NOTHING and (content, headers) == (b"{}", {}):
                continue
            answer = on_sqlite.send(method, path, content, workspace.headers(**headers), workspace.key)
            assert answer.status == status, path


def test_arrays_without_a_valid_element(on_sqlite: Service) -> None:
    """A refusal that says why of each element has to be one of the document's, and so has any other answer."""
    workspace = on_sqlite.workspace("legacy")
    components = on_sqlite.app.openapi()["components"]["schemas"]
    refused = set()
    for method, path, operation in keyed(on_sqlite):
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            for name in components[schema["$ref"].rpartition("/")[2]]["properties"] if "$ref" in schema else ():
                answer = on_sqlite.send(
                    method, path, msgspec.json.encode({name: [{}, "\0", None]}), workspace.headers(), workspace.key
                )
                assert answer.status < 500, path
                if "errors" in (answer.body or {}):
                    refused.add((path, name))
    assert {
        ("/users/track", "events"),
        ("/users/export/ids", "user_aliases"),
        ("/users/identify", "emails_to_identify"),
    } <= refused


def test_idempotent_endpoints(on_sqlite: Service) -> None:
    """Those that are said to take an Idempotency-Key take it, and no others do."""
    workspace = on_sqlite.workspace("legacy")
    for method, path, operation in keyed(on_sqlite):
        if method.upper() == "POST" and not path.endswith("/csv"):
            said = any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"])
            with on_sqlite.draining(workspace.id):
                answer = ask(workspace, method, path, operation, Idempotency_Key="\x7f")
            assert (answer.status == 400) == said, path


def test_conformity_is_no_rubber_stamp(on_sqlite: Service) -> None:
    document = on_sqlite.app.openapi()
    good = {"x-request-id": "x", "content-type": "application/json", "retry-after": "1"}
    rated = good | dict.fromkeys(("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"), "1")
    track = "/users/track"

    def fails(path: str, status: int, headers: dict[str, str], body: Any) -> bool:
        try:
            Conformity(document).check("POST", path, status, headers, body)
        except AssertionError:
            return True
        return False

    assert not fails(track, 201, rated, {"attributes_processed": 1, "message": "success"})
    assert not fails("/unknown", 299, {}, None)
    assert fails(track, 202, rated, {"message": "success"})
    assert fails(track, 201, good, {"message": "success"})
    assert fails(track, 201, rated | {"content-type": "text/html"}, {"message": "success"})
    assert fails(track, 201, rated | {"x-ratelimit-reset": ""}, {"message": "success"})
    assert fails(track, 201, rated, {"message": "success", "more": 1})
    assert fails(track, 201, rated, {"message": "success", "errors": []})
    assert fails(track, 201, rated, {"attributes_processed": "1", "message": "success"})
    assert fails(track, 401, good, {})


# The page


class Links(HTMLParser):
    """Everything that a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("src", "href") and value is not None]


def test_docs_are_off_by_default(on_sqlite: Service) -> None:
    for path in docs.PATHS:
        answer = on_sqlite.send("GET", path)
        assert (answer.status, answer.body) == (404, {"message": "Invalid URL"})


@pytest.fixture
def url(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = settings_for("", valkey_server.url, tmp_path_factory.mktemp("docs"), docs=True)
    with running(settings), served(settings) as port:
        yield f"http://127.0.0.1:{port}"


def test_docs(url: str, on_sqlite: Service) -> None:
    with httpx.Client(base_url=url) as client:
        document = client.get("/openapi.json")
        assert document.json() == on_sqlite.app.openapi()
        assert UUID(document.headers["X-Request-Id"])
        assert client.post("/openapi.json").status_code == 404
        page = client.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "/openapi.json" in page.text
        links = Links()
        links.feed(page.text)
        # Nothing from elsewhere: the page works where there is no Internet.
        assert sorted(links.found) == sorted(docs.PATHS[2:])
        for link in links.found:
            found = client.get(link)
            assert found.status_code == 200
            assert len(found.content) > 1000
        assert "SwaggerUIBundle" in client.get("/docs/swagger-ui-bundle.js").text
        assert client.get("/docs/redoc.standalone.js").json() == {"message": "Invalid URL"}
