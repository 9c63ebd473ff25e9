"""PostgreSQL with a role for the API and one for workers: neither can do the other's work, and together they do all."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url
from typer.testing import CliRunner

from app.adapters.http_out import HttpOut
from app.cli.main import app as cli
from app.services.caller import Caller
from app.services.permissions import PERMISSIONS
from app.services.workspaces import change_applied
from app.store import accounts, acts, api_usage, job_parts, keys, migrate, outbox, partitions, roles, workspaces
from app.store.alerts import Bounds
from app.store.engine import Database
from tests.api.harness import Answer, Service, Workspace, settings_for, times_now
from tests.api.jobs import download, users_of, work_off
from tests.polling import until
from tests.servers import PostgresServer, ValkeyServer
from workers import console, rates, segments
from workers.alert_messages import AlertSender
from workers.alerts import AlertWatch
from workers.retention import Retention
from workers.watches import SegmentWatch
from workers.webhook_events import EventTeller
from workers.webhook_messages import WebhookSender
from workers.workspaces import WorkspaceDeleter


@dataclass
class Site:
    """A database, and how three plain roles reach it."""

    owner: str
    api: str
    worker: str
    service: Service
    workspace: Workspace

    def refuses(self, url: str, statement: str) -> bool:
        dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(dsn, autocommit=True) as connection:
            try:
                connection.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                return True
            return False


@pytest.fixture(scope="module")
def site(
    postgres_server: PostgresServer, valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Set up as docs/operations.md says."""
    tag = uuid.uuid4().hex[:8]
    url = make_url(postgres_server.create_database(f"roles_{tag}"))
    names = {part: f"{part}_{tag}" for part in ("owner", "api", "worker")}
    super_dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(super_dsn, autocommit=True) as connection:
        for name in names.values():
            connection.execute(sql.SQL("create role {} login password 'x'").format(sql.Identifier(name)))
        owner, worker = sql.Identifier(names["owner"]), sql.Identifier(names["worker"])
        connection.execute(sql.SQL("grant {} to {}").format(worker, owner))
        connection.execute(sql.SQL("alter schema public owner to {}").format(owner))
    urls = {
        part: url.set(username=name, password="x").render_as_string(hide_password=False) for part, name in names.items()
    }
    folder = tmp_path_factory.mktemp("roles")
    owned = Database(urls["owner"])
    migrate.upgrade(owned)
    partitions.prepare(owned, times_now() - 7_200_000_000)  # so that something is left to make, and to drop
    result = CliRunner().invoke(
        cli,
        ["db", "grant", "--api-role", names["api"], "--worker-role", names["worker"], "--data-dir", str(folder)],
        env={"DATABASE_URL": urls["owner"]},
    )
    assert result.exit_code == 0, result.output
    made = workspaces.create(owned, "w", "legacy", times_now())
    key = keys.create(owned, workspaces.number(made), "k", PERMISSIONS, times_now())
    settings = settings_for(urls["api"], valkey_server.url, folder, WORKER_DATABASE_URL=urls["worker"])
    service = Service(settings)
    try:
        workspace = Workspace(service, workspaces.number(made), key, bytes(made.secret))
        yield Site(urls["owner"], urls["api"], urls["worker"], service, workspace)
    finally:
        service.close()
        owned.dispose()
        with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(f"roles_{tag}")))
            for name in names.values():
                connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


PROFILE_TABLES = (
    "profile", "profile_core", "profile_custom", "profile_part", "profile_value", "identifier", "lineage",
    "address_state", "name", "occurrence", "lane", "applied", "problem",
)  # fmt: skip


@pytest.mark.parametrize("table", PROFILE_TABLES)
def test_the_api_cannot_write_what_applying_writes(site: Site, table: str) -> None:
    assert site.refuses(site.api, f"delete from {table}")
    assert site.refuses(site.api, f"insert into {table} default values")
    assert site.refuses(site.api, f"update {table} set workspace_id = 1")
    assert not site.refuses(site.api, f"select 1 from {table} limit 1")


#: A role of its own on any of these would be a way into the console.
CONSOLE = (
    "select password from console_account",
    "insert into console_account values ('a', 'x', 1)",
    "update console_account set password = 'x'",
    "delete from console_account",
    "insert into console_role values (0, 'a', 'admin')",
    "update console_role set role = 'admin'",
    "insert into console_session values ('x', 'admin', 1, 1)",
    "update console_session set account = 'admin'",
    "insert into console_act (us, account, workspace_id, act, target, address) values (1, 'a', 0, 'x', '', '')",
    "update console_act set account = 'a'",
)


def test_what_else_they_cannot_do(site: Site) -> None:
    for statement in (
        "delete from inbox",
        "update inbox set body = ''",
        "insert into api_key select * from api_key",
        "update api_key set permissions = '[]'",
        "update api_key set revoked_us = null",
        "update workspace set disabled = false",
        "update workspace set secret = ''",
        "delete from workspace",
        "create table mine (x int)",
        "drop table inbox_default",
        *CONSOLE,
        "alter table profile add column x int",
        "update alembic_version set version_num = 'x'",
    ):
        assert site.refuses(site.api, statement), statement
    for statement in (
        "insert into api_key select * from api_key",
        "update api_key set revoked_us = null",
        "update workspace set disabled = false",
        "insert into workspace select * from workspace",
        "update inbox_head set workspace_id = 0",
        "insert into inbox_head select * from inbox_head",
        "update workspace set plan = 'legacy'",
        *CONSOLE,
        "alter table profile add column x int",
        "drop table profile",
        "update alembic_version set version_num = 'x'",
    ):
        assert site.refuses(site.worker, statement), statement


def test_together_they_do_everything(site: Site) -> None:
    workspace, service = site.workspace, site.service
    attributes = {"attributes": [{"external_id": "a", "n": {"inc": 1}}]}
    first = workspace.track(attributes, Idempotency_Key="k")
    assert first.status == 201
    again = workspace.track(attributes, Idempotency_Key="k")
    assert (again.status, again.request_id) == (201, first.request_id)
    assert workspace.user("a")["custom_attributes"] == {"n": 1}
    assert workspace.status(first.request_id).body["status"] == "applied"
    assert workspace.track({"attributes": [{"external_id": "nobody", "_update_existing_only": True, "n": 1}]}).status
    assert workspace.post("/users/track/bulk", attributes).status == 201
    alias = {"alias_label": "l", "alias_name": "n"}
    assert (
        workspace.track({"attributes": [{"user_alias": alias, "_update_existing_only": False, "m": 1}]}).status == 201
    )
    identified = workspace.post("/users/identify", {"aliases_to_identify": [{"external_id": "b", "user_alias": alias}]})
    assert identified.status == 201
    assert workspace.user("b")["user_aliases"] == [alias]
    assert workspace.post("/users/delete", {"external_ids": ["a"]}).status == 201
    changed = service.send(
        "PUT", "/v1/limits", b'{"groups":{"rename":null},"track_burst_limit":77}', workspace.headers()
    )
    assert changed.status == 200, changed.text
    # Settings of applying change through the inbox: by the command line, which is the owner's.
    owned = Database(site.owner)
    operator = Caller.operator(keys.of_workspace(owned, workspace.id), "")
    change_applied(owned, operator, {"nested_null_deletes": False}, times_now())
    workspace.drain()
    until(lambda: keys.listed(owned, workspace.id)[0].last_seen_us is not None)
    owned.dispose()


LEADS = {"groups": [{"filters": [{"field": "custom_attribute", "name": "lead", "op": "is_true"}]}]}


def test_jobs_and_segments(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is begun by the API's role, done by the worker's, and ended by the API's again."""
    workspace, service = site.workspace, site.service

    def send(method: str, path: str, body: object = None) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        answer = service.send(method, path, content, workspace.headers(), workspace.key)
        assert answer.status < 300, answer.text
        return answer

    workspace.track({"attributes": [{"external_id": "lead", "lead": True}]})
    braze_id = workspace.export(external_ids=["lead"])[0]["braze_id"]
    segment = send("POST", "/v1/segments", {"name": "leads", "analytics_tracking_enabled": True, **LEADS}).body["id"]
    send("PUT", f"/v1/segments/{segment}", {"description": "d"})
    assert send("POST", "/v1/segments/preview", LEADS).body["size"] == 1
    send("GET", f"/v1/segments/{segment}/why?external_id=lead")
    worker = Database(site.worker)
    counted = segments.record(worker, times_now())
    worker.dispose()
    assert counted == 1
    assert send("GET", f"/segments/data_series?segment_id={segment}&length=2").body["data"][0]["size"] == 1

    urls = [
        send("POST", "/users/export/segment", {"segment_id": segment, "fields_to_export": ["external_id"]}).body["url"],
        send("POST", "/users/export/global_control_group", {"fields_to_export": ["external_id"]}).body["url"],
        send("GET", f"/v1/profiles/{braze_id}/archive").body["url"],
    ]
    monkeypatch.setattr(service.services.segments._counting, "_timeout", 0.0)
    preview = send("POST", "/v1/segments/preview", LEADS)
    assert preview.status == 202
    assert work_off(service) == ["done"] * 4
    assert send("POST", "/v1/segments/preview", LEADS).body["size"] == 1
    assert users_of(download(service, urls[0]).content) == [{"external_id": "lead"}]
    assert [download(service, url).status_code for url in urls] == [200] * 3
    for job in send("GET", "/v1/jobs").body["jobs"]:
        send("DELETE", f"/v1/jobs/{job['id']}")
    send("POST", "/users/export/segment", {"segment_id": segment, "fields_to_export": ["external_id"]})
    send("POST", "/export/segment/cancel", {"segment_id": segment})
    send("POST", "/users/export/global_control_group", {})
    (queued,) = send("GET", "/v1/jobs?state=queued").body["jobs"]
    assert send("DELETE", f"/v1/jobs/{queued['id']}").body["job"]["state"] == "cancelled"
    send("DELETE", f"/v1/segments/{segment}")
    worker = Database(site.worker)
    with worker.write() as connection:
        job_parts.expire(connection, times_now())
    worker.dispose()


def test_usage_is_counted_by_the_api_and_dropped_by_the_worker(site: Site) -> None:
    workspace, service = site.workspace, site.service
    for _ in range(2):  # the second time the rows are there
        workspace.track({})
        service.loop.run(service.services.usage_counter.flush())
    with service.database.read() as connection:
        found = api_usage.sums(connection, workspace.id, 0, 2**40, endpoint="POST /users/track")
    assert sum(one.count for one in found if one.status == 400) >= 2
    worker = Database(site.worker)
    assert api_usage.expire(worker, 2**40, 1) > 0
    worker.dispose()


def test_alerts_are_made_by_the_api_and_moved_on_by_the_worker(site: Site) -> None:
    workspace, service = site.workspace, site.service
    new = {"name": "a", "metric": "backlog_requests", "above": 0, "for_seconds": 0, "webhook": "https://one.example/"}
    made = workspace.post("/v1/alerts", new, drain=False).body["id"]
    headers = workspace.headers()
    assert service.send("PUT", f"/v1/alerts/{made}", b'{"clear_seconds":0}', headers, workspace.key).status == 200
    assert service.send("POST", f"/v1/alerts/{made}/test", None, headers, workspace.key).status == 202
    workspace.track({"attributes": [{"external_id": "a"}]}, drain=False)
    worker = Database(site.worker)
    assert AlertWatch(worker, times_now, 5.0, Bounds(60, 1_000), "").look() == 1
    sender = AlertSender(worker, times_now, HttpOut(resolve=lambda *_: ["127.0.0.1"]), None)
    (message,) = sender.due()
    assert sender.send(message) == "due"
    worker.dispose()
    assert service.send("DELETE", f"/v1/alerts/{made}", None, headers, workspace.key).status == 200
    workspace.drain()


def test_webhooks_are_made_by_the_api_and_told_by_the_worker(site: Site) -> None:
    workspace, service = site.workspace, site.service
    segment = workspace.post("/v1/segments", {"name": "all", "groups": []}, drain=False).body["id"]
    about = {"url": "https://two.example/", "events": ["segment.entered"], "segment_id": segment}
    inside = workspace.post("/v1/webhooks", about, drain=False).body["id"]
    new = {"url": "https://one.example/", "events": ["profile.created", "profile.deleted"]}
    made = workspace.post("/v1/webhooks", new, drain=False).body["id"]
    headers, path = workspace.headers(), f"/v1/webhooks/{made}"
    assert service.send("PUT", path, b'{"include":"profile"}', headers, workspace.key).status == 200
    assert service.send("POST", f"{path}/secret", None, headers, workspace.key).status == 200
    assert service.send("POST", f"{path}/test", None, headers, workspace.key).status == 202
    workspace.track({"attributes": [{"external_id": "webhook"}]})
    workspace.post("/users/delete", {"external_ids": ["webhook"]})
    worker = Database(site.worker)
    out = HttpOut(resolve=lambda *_: ["127.0.0.1"])
    assert EventTeller(worker, times_now, lambda w: workspaces.secret(worker, w)).tell() == 2
    sender = WebhookSender(worker, times_now, out, lambda w: workspaces.secret(worker, w))
    assert SegmentWatch(worker, times_now, lambda w: workspaces.secret(worker, w), 10**6).tick() == 0
    for method, body in (("PUT", b'{"enabled":false}'), ("DELETE", None)):
        assert service.send(method, f"/v1/webhooks/{inside}", body, headers, workspace.key).status == 200
    assert SegmentWatch(worker, times_now, lambda w: workspaces.secret(worker, w), 10**6).tick() == 1
    (webhook,) = sender.ready()
    assert sender.send(webhook) == 0
    assert service.send("POST", f"{path}/replay", None, headers, workspace.key).status == 202
    assert len(service.send("GET", f"{path}/messages", None, headers, workspace.key).body["messages"]) == 2
    assert outbox.trim(worker, times_now() + 1, 1) == 2
    worker.dispose()
    assert service.send("DELETE", path, None, headers, workspace.key).status == 200


def test_subscriptions_messages_and_flags(site: Site) -> None:
    workspace = site.workspace
    address = "reader@example.org"
    workspace.track({"attributes": [{"external_id": "reader", "email": address}]})
    group = workspace.post("/v1/subscription_groups", {"name": "news", "channel": "email"}, drain=False).body["id"]
    state = {"subscription_group_id": group, "subscription_state": "subscribed", "email": [address]}
    for path, body in (
        ("/subscription/status/set", state),
        ("/email/status", {"email": address, "subscription_state": "unsubscribed"}),
        ("/v1/address_events", {"events": [{"email": address, "type": "hard_bounce"}]}),
        ("/v1/flags", {"flags": [{"external_id": "reader", "test_user": True}]}),
    ):
        answer = workspace.post(path, body)
        assert answer.status < 300, (path, answer.text)
        assert workspace.status(answer.request_id).body["status"] == "applied", path


def test_a_workspace_is_deleted_and_rates_are_announced(site: Site) -> None:
    """The API begins a deletion, the worker does it, and accepts requests of its own."""
    owned, worker, service = Database(site.owner), Database(site.worker), site.service
    doomed = workspaces.number(workspaces.create(owned, "doomed", "legacy", times_now()))
    key = keys.create(owned, doomed, "k", ("users.track", "admin.workspaces"), times_now())
    workspace = Workspace(service, doomed, key, b"")
    assert workspace.track({"attributes": [{"external_id": "a"}]}).status == 201
    assert service.send("DELETE", "/v1/workspaces/doomed", None, workspace.headers()).status == 202
    assert workspace.track({"attributes": [{"external_id": "b"}]}).status == 403
    assert rates.announce(worker, 30_000, times_now()) == 1
    deleter = WorkspaceDeleter(worker, lambda _number: 0, times_now)
    while deleter.look():
        pass
    assert workspace.track({"attributes": [{"external_id": "b"}]}).status in (401, 403)
    assert [one.name for one in workspaces.listed(owned)] == ["w"]
    owned.dispose()
    worker.dispose()


def test_the_worker_makes_and_drops_partitions(site: Site) -> None:
    database = Database(site.worker)
    later = times_now() + 3 * 86_400_000_000
    before = partition_count(site)
    Retention(database, lambda: later, 24).work(later)
    assert partition_count(site) != before
    assert site.workspace.track({"attributes": [{"external_id": "later"}]}).status == 201
    database.dispose()
    # The owner can still make some, and they are the worker's to drop.
    owned = Database(site.owner)
    much_later = later + 3 * 86_400_000_000
    partitions.prepare(owned, much_later)
    owned.dispose()
    database = Database(site.worker)
    Retention(database, lambda: much_later + 30 * 86_400_000_000, 24).work(much_later + 30 * 86_400_000_000)
    database.dispose()


def test_the_console_ages_out_by_the_worker(site: Site) -> None:
    """The owner's role writes it, the worker's deletes what is over; the API's does not even read it."""
    owned, worker = Database(site.owner), Database(site.worker)
    now = times_now()
    accounts.create(owned, "a", "x", {0: "admin"}, now)
    accounts.begin_session(owned, b"old", "a", now - 2 * 86_400_000_000, 20)
    accounts.begin_session(owned, b"new", "a", now, 20)
    for us in (now - 500 * 86_400_000_000, now - 1, now):
        acts.finish(owned, acts.begin(owned, us, "a", 0, "keys.create", ""), 201, "k")
    assert console.trim(worker, console.keeping(12, 400, 1), now) == {"console_sessions": 1, "console_acts": 2}
    assert console.trim(worker, console.keeping(12, 400, 1), now) == {}
    assert [act.us for act in acts.listed(owned, None, None, 10)] == [now]
    assert site.refuses(site.api, "select * from console_session")
    accounts.delete(owned, "a")
    owned.dispose()
    worker.dispose()


def test_the_console_needs_the_owners_role(site: Site, tmp_path: Path) -> None:
    for url in (site.api, site.worker):
        done = CliRunner().invoke(cli, ["console", "--data-dir", str(tmp_path)], env={"DATABASE_URL": url})
        assert (done.exit_code, "needs the role that owns the schema" in done.output) == (1, True)
    assert not (tmp_path / "console.auth").exists()


def partition_count(site: Site) -> list[int]:
    with site.service.database.read() as connection:
        return sorted(partitions.numbers(connection, "inbox"))


def test_starting_with_roles(site: Site, tmp_path: Path) -> None:
    """A role that owns nothing finds the schema current, and starts without making anything."""
    api, worker, owned = Database(site.api), Database(site.worker), Database(site.owner)
    assert [roles.owns_schema(one) for one in (api, worker, owned)] == [False, False, True]
    assert [roles.owns_partitions(one) for one in (api, worker, owned)] == [False, True, True]
    for one in (api, worker, owned):
        one.dispose()
    listed = CliRunner().invoke(
        cli, ["workspaces", "list", "--data-dir", str(tmp_path)], env={"DATABASE_URL": site.api}, catch_exceptions=False
    )
    assert listed.exit_code == 0, listed.output
    sqlite = CliRunner().invoke(cli, ["db", "grant", "--api-role", "x", "--data-dir", str(tmp_path)])
    assert sqlite.exit_code == 1
    assert "SQLite has no roles." in sqlite.output
