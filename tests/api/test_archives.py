"""The archive of a person: it has all that is held, and a deletion leaves nothing of the person anywhere."""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel
from typer.testing import CliRunner

from app.cli.main import app as cli
from app.domain import times
from app.domain.times import HOUR
from app.store import erasure, keys
from app.store.jobs import Job
from app.store.tables import INBOX_TABLES
from tests.api.harness import Answer, Json, Service, Workspace, times_now
from tests.api.jobs import download, expire, jobs_of, work_off
from tests.api.poison import poison
from tests.api.traces import _text, everything
from tests.hooks import hook
from tests.webhooks import make, send_all, stands, watch, watching

ALIAS = {"alias_label": "basket", "alias_name": "xyzzy guest"}
EMAIL = "xyzzy@example.org"
#: Of the guest, who became somebody with another address.
OLD = "xyzzy.old@example.org"
#: Where the rows of a table that are about a person are in their archive.
HELD = {
    "profile": "profile.json",
    "profile_core": "profile.json",
    "profile_custom": "profile.json",
    "profile_part": "profile.json",
    "identifier": "profile.json",
    "lineage": "merges.jsonl",
    "merge_record": "merges.jsonl",
    "history": "history.json",
    "address_state": "consent.json",
    "occurrence": "events.jsonl",
    "dead": "dead_letters.jsonl",
    "job": "files.json",
    "job_part": "files.json",
    "inbox": "requests.jsonl",
}
#: Tables that say nothing of a person that others do not say, with what docs/privacy.md has about them.
LEFT_OUT = {
    "alert": "alerts and their messages",
    "alert_message": "alerts and their messages",
    "webhook": "webhooks and what waits for them",
    "webhook_event": "webhooks and what waits for them",
    "webhook_watch": "webhooks and what waits for them",
    "webhook_member": "webhooks and what waits for them",
    "webhook_message": "webhooks and what waits for them",
    "api_key": "keys",
    "api_usage": "counts of a workspace",
    "console_role": "roles of accounts",
    "console_act": "the log of their acts",
    "app": "apps of the workspace",
    "merge_setup": "rules of merges",
    "merge_run": "rules of merges",
    "merge_run_request": "rules of merges",
    "workspace_deletion": "A workspace",
    "profile_value": "copies of a profile",
    "value_filling": "counts of a workspace",
    "inbox_head": "counts of a workspace",
    "lane": "counts of a workspace",
    "applied": "counts of a workspace",
    "name_count": "counts of a workspace",
    "segment_size": "counts of a workspace",
    "idempotency": "Idempotency keys",
    "import_file": "Files that were imported",
    "inbox_message": "Message ids of calls",
    "problem": "Problems",
    "refused_request": "Refused requests",
    "deletion": "That a profile was deleted",
    "erasure": "people whose events are still to be deleted",
    "name": "Names of events and products",
    "series": "Data series",
    "series_day": "Data series",
    "series_hour": "Data series",
    "segment": "Segments",
    "subscription_group": "subscription groups",
}


def someone(workspace: Workspace) -> str:
    """Somebody of whom there is something everywhere; the braze_id. And somebody else."""
    guest: Json = {"user_alias": ALIAS, "_update_existing_only": False}
    now = times_now()
    when = times.iso(now - HOUR)
    workspace.track(
        {
            "attributes": [
                {"external_id": "xyzzy", "email": EMAIL, "phone": "+4930123456", "first_name": "xyzzy first"},
                {**guest, "notes": ["xyzzy note"], "email": OLD, "email_subscribe": "unsubscribed"},
                {"external_id": "other", "first_name": "nobody's"},
            ],
            "events": [
                {**guest, "name": "view", "time": when, "properties": {"page": "xyzzy page"}},
                {"external_id": "xyzzy", "name": "view", "time": when},
                {"external_id": "other", "name": "view", "time": when},
            ],
            "purchases": [
                {"external_id": "xyzzy", "product_id": "book", "currency": "USD", "price": 2.5, "time": when}
            ],
        }
    )
    workspace.post(
        "/users/merge",
        {
            "merge_updates": [
                {"identifier_to_merge": {"user_alias": ALIAS}, "identifier_to_keep": {"external_id": "xyzzy"}}
            ]
        },
    )
    workspace.track({"attributes": [{"external_id": "xyzzy", "email_subscribe": "unsubscribed"}]})
    group = workspace.post("/v1/subscription_groups", {"name": "news", "channel": "email"}, drain=False).body["id"]
    state = {"subscription_group_id": group, "subscription_state": "unsubscribed", "email": [EMAIL]}
    workspace.post("/v2/subscription/status/set", {"subscription_groups": [state]})
    message = {
        "external_id": "xyzzy",
        "type": "opened",
        "channel": "email",
        "campaign_id": "spring",
        "id": "xyzzy mail",
    }
    workspace.post("/v1/messages", {"messages": [message]})
    workspace.post("/v1/address_events", {"events": [{"type": "hard_bounce", "email": EMAIL}]})
    cart = {"cart_id": "xyzzy cart", "currency": "EUR", "total_value": 5, "source": "web", "products": [{
        "product_id": "book", "product_name": "xyzzy book", "variant_id": "v", "quantity": 1, "price": 5}]}  # fmt: skip
    event = {"external_id": "xyzzy", "name": "ecommerce.cart_updated", "time": when, "properties": cart}
    accepted = workspace.track({"events": [event]})
    assert accepted.counts == {"events": 1}, accepted.text
    poison(workspace, json.dumps({"attributes": [[0, [], []], EMAIL]}).encode(), b'{"attributes":[[0,[],[]],"else"]}')
    workspace.service.drain(workspace.id)
    return str(workspace.export(external_ids=["xyzzy"])[0]["braze_id"])


def ask(workspace: Workspace, braze_id: str) -> Answer:
    return workspace.service.send("GET", f"/v1/profiles/{braze_id}/archive", None, workspace.headers())


def members_of(content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        found: dict[str, Any] = {}
        for name in archive.namelist():
            text = archive.read(name).decode()
            found[name] = [json.loads(line) for line in text.splitlines()] if name.endswith("l") else json.loads(text)
        return found


def test_the_archive_has_all_that_is_held(service: Service, workspace: Workspace) -> None:
    braze_id = someone(workspace)
    started = ask(workspace, braze_id)
    assert (started.status, started.body["job"]["state"]) == (202, "queued")
    assert ask(workspace, braze_id).body["job"]["id"] == started.body["job"]["id"]
    assert work_off(service) == ["done"]
    done = ask(workspace, braze_id)
    assert (done.status, done.body["url"]) == (200, started.body["url"])
    content = download(service, done.body["url"]).content
    assert "nobody's" not in _text(content)  # it stood in a request beside them
    found = members_of(content)
    assert found["profile.json"]["profile"]["first_name"] == "xyzzy first"
    assert found["profile.json"]["stored"]["core"]["aliases"] == {"basket": "xyzzy guest"}
    assert found["profile.json"]["stored"]["custom"] == {"notes": ["xyzzy note"]}
    consents = [(c["address"], c["state"]) for c in found["consent.json"] if c["subscription_group_id"] is None]
    assert consents == [(OLD, "unsubscribed"), (EMAIL, "unsubscribed")]
    assert [line["what"] for line in found["history.json"]] == ["created", "merged"]
    (before,) = found["merged_history.jsonl"]
    assert before["braze_id"] == found["merges.jsonl"][0]["merged_braze_id"]
    assert [line["what"] for line in before["history"]] == ["created", "merged_into"]
    (merge,) = found["merges.jsonl"]
    assert merge["merged_profile"]["custom"] == {"notes": ["xyzzy note"]}
    assert [event.get("properties") for event in found["events.jsonl"] if event["name"] == "view"] in (
        [{"page": "xyzzy page"}, None],
        [None, {"page": "xyzzy page"}],
    )
    assert [(p["product_id"], p["quantity"], p["revenue"]) for p in found["purchases.jsonl"]] == [("book", 1, 2.5)]
    kinds = [request["kind"] for request in found["requests.jsonl"]]
    assert kinds.count("merge") == 1
    assert kinds[-1] == "track"  # it is dead
    assert [letter["body"] for letter in found["dead_letters.jsonl"]] == [{"attributes": [EMAIL]}]
    assert found["files.json"] == {"jobs": [started.body["job"]["id"]]}


def test_every_row_about_a_person_is_in_the_archive(service: Service, workspace: Workspace) -> None:
    """Walks the tables: whatever row says the person's words, or has the number of a profile of theirs."""
    braze_id = someone(workspace)
    ask(workspace, braze_id)
    work_off(service)
    archive = members_of(download(service, ask(workspace, braze_id).body["url"]).content)
    shown = json.dumps(archive, ensure_ascii=False)
    tables = {name: table for name, table in SQLModel.metadata.tables.items() if "workspace_id" in table.c}
    assert tables.keys() == HELD.keys() | LEFT_OUT.keys()
    privacy = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text()
    assert [words for words in LEFT_OUT.values() if words.casefold() not in privacy.casefold()] == []
    database, about = service.database, set()
    profile, lineage = tables["profile"], tables["lineage"]
    with database.read() as connection:
        (kept,) = connection.execute(
            select(profile.c.pid).where(profile.c.workspace_id == workspace.id, profile.c.external_id == "xyzzy")
        ).scalars()
        merged = select(lineage.c.member_pid).where(lineage.c.workspace_id == workspace.id)
        family = {kept, *connection.execute(merged).scalars()}
    for name, table in tables.items():
        with database.read(database.inbox if name in INBOX_TABLES else None) as connection:
            rows = connection.execute(select(table).where(table.c.workspace_id == workspace.id)).mappings().all()
        for row in rows:
            numbers = {row[column] for column in row if column.endswith("pid")}
            words = set(re.findall(r"xyzzy[ .@a-z]*[a-z]", str(dict(row))))
            if not words and braze_id not in str(dict(row)) and numbers.isdisjoint(family):
                continue
            about.add(name)
            assert name in HELD, (name, row)
            assert {word for word in words if word not in shown} == set(), name
    assert about == HELD.keys()
    assert len(archive["events.jsonl"]) == 3
    assert len(archive["history.json"]) + len(archive["merged_history.jsonl"][0]["history"]) == 4


def test_the_command_line_writes_the_same(
    on_sqlite: Service, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = on_sqlite.workspace("legacy")
    braze_id = someone(workspace)
    named = workspace_name(workspace)
    path = tmp_path_factory.mktemp("out") / "a.zip"
    words = ["profiles", "archive", braze_id, "--workspace", named, "--out", str(path)]
    words += ["--data-dir", str(on_sqlite.settings.data_dir)]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert path.stat().st_mode & 0o077 == 0
    assert members_of(path.read_bytes())["profile.json"]["profile"]["external_id"] == "xyzzy"
    words[2] = "0" * 24
    assert CliRunner().invoke(cli, words).exit_code == 1


def workspace_name(workspace: Workspace) -> str:
    return keys.of_workspace(workspace.service.database, workspace.id).workspace_name


@pytest.mark.parametrize("braze_id", ["x", "%00", "0" * 24])
def test_nobody(workspace: Workspace, braze_id: str) -> None:
    assert ask(workspace, braze_id).status == 404


def test_a_deletion_leaves_nothing_of_the_person_anywhere(service: Service, workspace: Workspace) -> None:
    braze_id = someone(workspace)
    with service.database.write() as connection:
        connection.exec_driver_sql(
            f"update profile set flags = 2 where workspace_id = {workspace.id} and external_id in ('xyzzy', 'other')"
        )
    archive = ask(workspace, braze_id).body["url"]
    export = workspace.post("/users/export/global_control_group", {}, drain=False).body["url"]
    assert work_off(service) == ["done", "done"]
    before = everything(service, workspace)
    assert {where for where, text in before.items() if "xyzzy" in text or braze_id in text} > {".zip", "job", "profile"}
    again = workspace.post("/users/export/global_control_group", {"output_format": "gzip"}, drain=False).body["url"]
    deleted: list[bool] = []

    def delete(_job: Job, at: str) -> None:
        if at == "part_written" and not deleted:
            deleted.append(True)
            workspace.post("/users/delete", {"external_ids": ["xyzzy"]}, drain=False)
            service.drain(workspace.id)

    assert work_off(service, after_step=delete) == ["done"]
    assert [download(service, url).status_code for url in (archive, export, again)] == [404, 404, 200]
    while erasure.erase(service.database, times_now()):
        pass
    expire(service)
    after = everything(service, workspace)
    for needle in ("xyzzy", braze_id, "+4930123456"):
        assert {where: text for where, text in after.items() if needle in text} == {}
    assert download(service, again).status_code == 200
    states = {job["kind"]: job["state"] for job in jobs_of(workspace)}
    assert states == {"archive": "done", "export_global_control_group": "done"}


def test_a_deletion_leaves_nothing_of_the_person_in_webhooks(service: Service, workspace: Workspace) -> None:
    """What waits for a webhook is taken back; that the person was deleted is told, and then nothing is left."""
    database, number = service.database, workspace.id
    with hook() as receiver:
        followed = make(database, number, receiver.url, include="profile")
        named = {"field": "first_name", "op": "is_not_blank"}
        watching(database, number, {"groups": [{"op": "AND", "filters": [named]}]}, url=receiver.url)
        braze_id = someone(workspace)
        watch(database)
        workspace.track({"attributes": [{"external_id": "xyzzy", "notes": ["xyzzy again"]}]})
        before = everything(service, workspace)
        held = {where for where, text in before.items() if where.startswith("webhook") and braze_id in text}
        assert held == {"webhook_message"}
        assert before["webhook_event"]
        assert before["webhook_member"]
        workspace.post("/users/delete", {"external_ids": ["xyzzy"]})
        while erasure.erase(database, times_now()):
            pass
        watch(database)
        while send_all(database, times_now()):
            pass
        about = [each for each in receiver.told if braze_id in str(each)]
        assert {each["type"] for each in about} == {"profile.deleted"}
        assert stands(database, followed).enabled
    after = everything(service, workspace)
    for needle in ("xyzzy", braze_id, "+4930123456"):
        assert {where: text for where, text in after.items() if needle in text} == {}
    gone = set(re.findall(r"\d+", before["webhook_member"])) - set(re.findall(r"\d+", after["webhook_member"]))
    assert gone


def test_a_deletion_before_the_archive_is_made(service: Service, workspace: Workspace) -> None:
    braze_id = someone(workspace)
    ask(workspace, braze_id)
    workspace.post("/users/delete", {"external_ids": ["xyzzy"]})
    assert work_off(service) == ["failed"]
    (job,) = jobs_of(workspace)
    assert (job["state"], job["error"]) == ("failed", "target_gone")
    assert braze_id not in json.dumps(job)


def test_a_deletion_while_the_archive_is_made(service: Service, workspace: Workspace) -> None:
    braze_id = someone(workspace)
    url = ask(workspace, braze_id).body["url"]

    def delete(_job: Job, at: str) -> None:
        if at == "file_written":
            workspace.post("/users/delete", {"external_ids": ["xyzzy"]})

    assert work_off(service, after_step=delete) == ["failed"]
    assert download(service, url).status_code == 404
    expire(service)
    assert {where for where in everything(service, workspace) if where.startswith(".")} == set()
