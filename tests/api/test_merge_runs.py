"""Merge rules over HTTP: rules, previews, runs with everything that may happen meanwhile, and taking runs back."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.contract import merge_rules as contract
from app.domain.merging.match import Group
from app.domain.profile import EMAIL, Profile
from app.domain.times import HOUR
from app.store import duplicates, jobs, merge_runs
from app.store.jobs import Job
from tests.api.duplicates import drains, people
from tests.api.harness import Answer, Json, Service, Workspace, times_now
from tests.api.jobs import job_worker, jobs_of, work_off
from tests.api.reference import differences
from tests.domain.builders import profile
from workers.jobs import merging

RULE = {"identifier": "email", "resolve_ties_using": "updated_at", "prioritization": "newest"}


class Dead(BaseException):
    """The process is killed."""


def ask(workspace: Workspace, method: str, path: str, body: bytes | None = None) -> Answer:
    return workspace.service.send(method, path, body, workspace.headers(), workspace.key)


def get(workspace: Workspace, path: str) -> Json:
    answer = ask(workspace, "GET", path)
    assert answer.status == 200, answer.text
    return answer.body


def put(workspace: Workspace, path: str, document: Json) -> Json:
    return ask(workspace, "PUT", path, encoded(document)).body


def encoded(document: Json) -> bytes:
    return json.dumps(document).encode()


def start(workspace: Workspace, **body: str) -> Json:
    answer = workspace.post("/v1/merge_runs", body, drain=False)
    assert answer.status == 202, answer.text
    return dict(answer.body["merge_run"])


def run_of(workspace: Workspace, run: Json) -> Json:
    return dict(get(workspace, f"/v1/merge_runs/{run['id']}")["merge_run"])


def undo(workspace: Workspace, run: Json) -> Json:
    answer = workspace.post(f"/v1/merge_runs/{run['id']}/undo", {}, drain=False)
    assert answer.status == 202, answer.text
    return dict(answer.body["merge_run"])


def alive(workspace: Workspace) -> list[Profile]:
    return list(workspace.state().profiles.values())


def facts(workspace: Workspace) -> dict[str, tuple[Any, ...]]:
    """Profiles by braze_id: all but what a merge leaves behind."""
    return {one.braze_id: (one.external_id, one.core, one.custom) for one in alive(workspace)}


@contextmanager
def small(monkeypatch: pytest.MonkeyPatch, merges: int = 4, page: int = 10) -> Iterator[None]:
    monkeypatch.setattr(merging, "MERGES", merges)
    monkeypatch.setattr(duplicates.page, "__defaults__", (0, page))
    yield


def test_a_run_and_its_undo(service: Service, workspace: Workspace) -> None:
    people(workspace, 3)
    before = facts(workspace)
    run = start(workspace)
    assert (run["state"], run["merge_rules"]) == ("queued", [RULE])
    assert work_off(service, after_step=drains(workspace)) == ["done"]
    assert [(one.external_id, one.custom) for one in alive(workspace)] == [
        (f"c{n}", {"tier": "gold", "guest": 1}) for n in range(3)
    ]
    done = run_of(workspace, run)
    assert (done["state"], done["looked_at"], done["total"]) == ("done", 9, 9)
    assert done["merges"] == {"queued": 6, "merged": 6, "waiting": 0, "skipped": {}}
    (listed,) = get(workspace, "/v1/merge_runs")["merge_runs"]
    assert listed == done
    merges = get(workspace, f"/v1/merge_runs/{run['id']}/merges")["merges"]
    assert [merge["status"] for merge in merges] == ["merged"] * 6
    assert undo(workspace, run)["undo"] == {"undone": 0, "left": {}, "state": "queued"}
    assert work_off(service, after_step=drains(workspace)) == ["done"]
    assert facts(workspace) == before
    assert run_of(workspace, run)["undo"] == {"undone": 6, "left": {}, "state": "done"}
    merges = get(workspace, f"/v1/merge_runs/{run['id']}/merges")["merges"]
    assert [merge["status"] for merge in merges] == ["undone"] * 6
    assert differences(workspace) == []


def test_an_undo_leaves_what_it_cannot_take_back_and_says_why(service: Service, workspace: Workspace) -> None:
    people(workspace, 4, size=2)
    run = start(workspace)
    work_off(service, after_step=drains(workspace))
    # c0 was merged into somebody else, c1 was deleted, somebody else has the alias of c2's guest, c3 is as it was.
    workspace.track({"attributes": [{"external_id": "z"}]})
    pair = {"identifier_to_merge": {"external_id": "c0"}, "identifier_to_keep": {"external_id": "z"}}
    workspace.post("/users/merge", {"merge_updates": [pair]})
    workspace.post("/users/delete", {"external_ids": ["c1"]})
    renamed = {"alias_label": "web", "old_alias_name": "2-1", "new_alias_name": "other"}
    workspace.post("/users/alias/update", {"alias_updates": [renamed]})
    workspace.post("/users/alias/new", {"user_aliases": [{"alias_label": "web", "alias_name": "2-1"}]})
    undo(workspace, run)
    assert work_off(service, after_step=drains(workspace)) == ["done"]
    assert run_of(workspace, run)["undo"] == {"undone": 2, "left": {"identifier_reused": 1}, "state": "done"}
    merges = get(workspace, f"/v1/merge_runs/{run['id']}/merges")["merges"]
    assert [(merge["status"], merge.get("reason")) for merge in merges] == [
        ("undone", None),
        ("gone", None),
        ("merged", "identifier_reused"),
        ("undone", None),
    ]
    assert "braze_id" not in str(merges[1])
    assert differences(workspace) == []


STEPS = ["merges_queued", "merges_recorded", "undo_queued", "undo_recorded"]


@pytest.mark.parametrize("applied", [False, True], ids=["queued", "applied"])
@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step(
    service: Service, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, step: str, nth: int, applied: bool
) -> None:
    """Each merge is asked for once, whatever dies when; and so is each undo. `applied`: what was queued by then is
    applied before the next attempt."""
    with small(monkeypatch):
        people(workspace, 7)
        before = facts(workspace)
        run = start(workspace)
        seen = [0]

        def dies(_job: Job, name: str) -> None:
            if name == step:
                seen[0] += 1
                if seen[0] == nth:
                    raise Dead
            if name.endswith("recorded"):
                workspace.drain()

        def attempt() -> None:
            with job_worker(service, after_step=dies) as runner:
                try:
                    runner.run_next()
                except Dead:
                    if applied:
                        workspace.drain()
                    with service.database.write() as connection:
                        jobs.revive(connection, times_now() + 10 * HOUR)
                    runner.run_next()

        attempt()
        done = run_of(workspace, run)
        assert done["state"] == "done"
        assert done["merges"] == {"queued": 14, "merged": 14, "waiting": 0, "skipped": {}}
        assert len(alive(workspace)) == 7
        undo(workspace, run)
        attempt()
        assert seen[0] >= nth
        assert run_of(workspace, run)["undo"] == {"undone": 14, "left": {}, "state": "done"}
        assert facts(workspace) == before
        assert differences(workspace) == []


def test_people_change_while_it_runs(service: Service, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The merges of a request are queued; before they are applied, the people are others."""
    with small(monkeypatch, merges=40):
        people(workspace, 4, size=2)
        run = start(workspace)

        def meanwhile(_job: Job, name: str) -> None:
            if name == "merges_queued":
                workspace.track({"attributes": [{"external_id": "c0", "email": "else@example.org"}]}, drain=False)
                workspace.track({"attributes": [{"external_id": "new", "email": "dup001@example.org"}]}, drain=False)
                workspace.post("/users/delete", {"external_ids": ["c2"]}, drain=False)
            if name.endswith("recorded"):
                workspace.drain()

        assert work_off(service, after_step=meanwhile) == ["done"]
        skipped = {"identifier_changed": 1, "other_choice": 1, "profile_not_found": 1}
        assert run_of(workspace, run)["merges"] == {"queued": 4, "merged": 1, "waiting": 0, "skipped": skipped}
        merges = get(workspace, f"/v1/merge_runs/{run['id']}/merges")["merges"]
        assert [(merge["status"], merge.get("reason")) for merge in merges] == [
            ("skipped", "identifier_changed"),
            ("skipped", "other_choice"),
            ("skipped", "profile_not_found"),
            ("merged", None),
        ]
        assert differences(workspace) == []


def test_a_cancelled_run_stops_and_can_be_taken_back(
    service: Service, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the job was killed between queueing and recording, so that its last request is nowhere but in the
    inbox."""
    with small(monkeypatch):
        people(workspace, 7)
        before = facts(workspace)
        run = start(workspace)

        def dies(_job: Job, name: str) -> None:
            workspace.drain()
            if name == "merges_queued":
                raise Dead

        with job_worker(service, after_step=dies) as runner, pytest.raises(Dead):
            runner.run_next()
        assert workspace.post(f"/v1/merge_runs/{run['id']}/undo", {}, drain=False).status == 400  # it is under way
        assert ask(workspace, "DELETE", f"/v1/jobs/{run['id']}").status == 200
        assert run_of(workspace, run)["state"] == "cancelled"
        workspace.drain()
        assert len(alive(workspace)) == 17
        undo(workspace, run)
        assert work_off(service, after_step=drains(workspace)) == ["done"]
        assert run_of(workspace, run)["undo"]["undone"] == 4
        assert facts(workspace) == before


def test_a_run_goes_on_behind_a_cancellation_of_its_lease(
    service: Service, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small(monkeypatch):
        people(workspace, 7)
        run = start(workspace)

        def cancel(_job: Job, name: str) -> None:
            if name == "merges_recorded":
                workspace.drain()
                ask(workspace, "DELETE", f"/v1/jobs/{run['id']}")

        assert work_off(service, after_step=cancel) == ["lost"]
        shown = run_of(workspace, run)
        assert (shown["state"], shown["merges"]["queued"], shown["merges"]["merged"]) == ("cancelled", 4, 4)


def test_a_run_that_waits_lets_others_go_first(
    service: Service, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody applies what it queues. However often it is begun, it has only so many requests in the stream."""
    monkeypatch.setattr(merging, "PATIENCE_S", 0.0)
    monkeypatch.setattr(merging, "PAUSE_S", 0.0)
    monkeypatch.setattr(merging, "AHEAD", 2)
    other = service.workspace("legacy")
    with small(monkeypatch):
        people(workspace, 7)
        before = facts(workspace)
        run = start(workspace)
        with job_worker(service) as runner:
            assert runner.run_next().state == "waiting"
            other.post("/users/export/global_control_group", {}, drain=False)
            assert [runner.run_next().state for _ in range(8)] == ["done", *["waiting"] * 7]
        shown = run_of(workspace, run)
        assert (shown["state"], shown["merges"]["queued"], shown["merges"]["waiting"]) == ("queued", 8, 8)
        (job,) = [job for job in jobs_of(workspace) if job["kind"] == "merge_run"]
        assert job["attempts"] == 0
        workspace.drain()
        assert work_off(service, after_step=drains(workspace))[-1] == "done"
        assert run_of(workspace, run)["merges"]["merged"] == 14
        undo(workspace, run)
        with job_worker(service) as runner:
            assert [runner.run_next().state for _ in range(3)] == ["waiting"] * 3
        workspace.drain()
        assert work_off(service, after_step=drains(workspace))[-1] == "done"
        assert run_of(workspace, run)["undo"] == {"undone": 14, "left": {}, "state": "done"}
        assert facts(workspace) == before


def test_rules_one_after_another(service: Service, workspace: Workspace) -> None:
    """The second rule finds what the first one left: a profile that got its phone number from another one."""
    rules = [RULE, {**RULE, "identifier": "phone", "prioritization": "oldest"}]
    assert put(workspace, "/v1/merge_rules", {"merge_rules": rules})["merge_rules"] == rules
    assert get(workspace, "/v1/merge_rules")["merge_rules"] == rules
    for attributes in (
        {"external_id": "a", "email": "x@example.org"},
        {"external_id": "b", "email": "x@example.org", "phone": "+34600123450"},
        {"external_id": "c", "phone": "+34600123450"},
    ):
        workspace.track({"attributes": [attributes]})
    run = start(workspace)
    assert work_off(service, after_step=drains(workspace)) == ["done"]
    assert run_of(workspace, run)["merges"] == {"queued": 2, "merged": 2, "waiting": 0, "skipped": {}}
    (left,) = alive(workspace)
    assert left.external_id == "c"  # b is the kept one by e-mail, and was written to by that merge
    assert differences(workspace) == []


def test_one_rule_alone(service: Service, workspace: Workspace) -> None:
    put(workspace, "/v1/merge_rules", {"merge_rules": [RULE, {**RULE, "identifier": "phone"}]})
    people(workspace, 1)
    assert start(workspace, identifier="phone")["merge_rules"] == [{**RULE, "identifier": "phone"}]
    assert work_off(service, after_step=drains(workspace)) == ["done"]
    assert len(alive(workspace)) == 3


def test_previews(workspace: Workspace) -> None:
    people(workspace, 3, size=2, phone="+34600123450")
    workspace.track(
        {
            "attributes": [
                {"external_id": "=SUM(A1)", "email": "tie@example.org"},
                {"external_id": "@b", "email": "tie@example.org"},
            ]
        }
    )
    workspace.track({"attributes": [{"external_id": f"t{n}", "email": "test@example.org"} for n in range(2)]})
    rule = {"identifier": "email", "resolve_ties_using": "created_at", "prioritization": "newest"}
    put(workspace, "/v1/merge_rules", {"merge_rules": [rule]})
    before = facts(workspace)
    seen: list[Json] = []
    cursor: Json = {}
    while True:
        answer = workspace.post("/v1/merge_previews", {"limit": 2, **cursor}, drain=False)
        assert answer.status == 200, answer.text
        assert answer.body["merge_rule"] == rule
        seen += answer.body["groups"]
        if "next_cursor" not in answer.body:
            break
        cursor = {"cursor": answer.body["next_cursor"]}
    assert [(group["email"], group["profiles"], group.get("reason")) for group in seen] == [
        ("dup000@example.org", 2, None),
        ("dup001@example.org", 2, None),
        ("dup002@example.org", 2, None),
        ("test@example.org", 2, "junk_identifier"),
        ("tie@example.org", 2, "tied"),
    ]
    assert seen[0]["keep"]["external_id"] == "c0"
    assert [person.keys() for person in seen[0]["merge"]] == [{"braze_id"}]
    rows = list(csv.reader(io.StringIO(preview_csv(workspace))))
    assert rows[0] == list(contract.COLUMNS)
    assert sorted(tuple(row[:3]) + tuple(row[4:]) for row in rows[1:]) == sorted(
        [
            *((f"dup00{n}@example.org", f"c{n}", "'+34600123450", "email", "rest", "TRUE", "FALSE") for n in range(3)),
            *((f"dup00{n}@example.org", "", "'+34600123450", "email", "rest", "FALSE", "TRUE") for n in range(3)),
            ("tie@example.org", "'=SUM(A1)", "", "email", "rest", "FALSE", "FALSE"),
            ("tie@example.org", "'@b", "", "email", "rest", "FALSE", "FALSE"),
        ]
    )
    assert facts(workspace) == before


def preview_csv(workspace: Workspace) -> str:
    service = workspace.service
    path = "/v1/merge_previews/csv"
    response = service.loop.run(service._client.post(path, headers=workspace.headers(), content=b"{}"))
    service.conformity.check("POST", path, response.status_code, response.headers, None)
    assert response.status_code == 200
    return response.text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "=", '"=1"', "a=1", "a,b", "a\nb", ""])
def test_no_cell_is_a_formula(text: str) -> None:
    person = profile(1, external_id=text, email="a@example.org")
    group = Group((EMAIL, "", "a@example.org"), None, members=(person,))
    (row,) = csv.reader(io.StringIO(contract.csv_rows([group]).decode(), newline=""))
    assert row[1] == (f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and text else text)


BAD = [
    ("PUT", "/v1/merge_rules", {}, contract.BAD_RULES),
    ("PUT", "/v1/merge_rules", {"merge_rules": []}, contract.BAD_RULES),
    ("PUT", "/v1/merge_rules", {"merge_rules": [1]}, contract.BAD_RULES),
    ("PUT", "/v1/merge_rules", {"merge_rules": [RULE], "more": 1}, contract.BAD_RULES),
    ("PUT", "/v1/merge_rules", {"merge_rules": [{**RULE, "more": 1}]}, contract.BAD_RULES),
    ("PUT", "/v1/merge_rules", {"merge_rules": [RULE, RULE]}, contract.BAD_IDENTIFIER),
    ("PUT", "/v1/merge_rules", {"merge_rules": [{}]}, contract.BAD_IDENTIFIER),
    ("PUT", "/v1/merge_rules", {"merge_rules": [{"identifier": ["email"]}]}, contract.BAD_IDENTIFIER),
    ("PUT", "/v1/merge_rules", {"merge_rules": [{**RULE, "resolve_ties_using": []}]}, contract.BAD_TIES),
    ("PUT", "/v1/merge_rules", {"merge_rules": [{**RULE, "prioritization": "x"}]}, contract.BAD_PRIORITIZATION),
    ("POST", "/v1/merge_previews", {"limit": 0}, contract.BAD_GROUPS),
    ("POST", "/v1/merge_previews", {"limit": True}, contract.BAD_GROUPS),
    ("POST", "/v1/merge_previews", {"cursor": 1}, contract.BAD_PREVIEW),
    ("POST", "/v1/merge_previews", {"more": 1}, contract.BAD_PREVIEW),
    ("POST", "/v1/merge_previews", {"identifier": "phone"}, contract.NO_RULE),
    ("POST", "/v1/merge_previews/csv", {"identifier": "phone"}, contract.NO_RULE),
    ("POST", "/v1/merge_runs", {"identifier": "phone"}, contract.NO_RULE),
    ("POST", "/v1/merge_runs", {"identifier": None}, contract.BAD_IDENTIFIER),
    ("POST", "/v1/merge_runs", {"rules": []}, contract.BAD_RUN),
    ("PUT", "/v1/merge_schedule", {"enabled": "yes"}, contract.BAD_SCHEDULE),
    ("PUT", "/v1/merge_schedule", {"enabled": True, "at": "03:00"}, contract.BAD_SCHEDULE),
]


@pytest.mark.parametrize(("method", "path", "body", "message"), BAD)
def test_bad_bodies(workspace: Workspace, method: str, path: str, body: Json, message: str) -> None:
    answer = ask(workspace, method, path, encoded(body))
    assert (answer.status, answer.message) == (400, message)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=x"])
def test_bad_queries(workspace: Workspace, query: str) -> None:
    assert ask(workspace, "GET", f"/v1/merge_runs?{query}").status == 400


@pytest.mark.parametrize("run_id", ["x", "%00", "00000000-0000-4000-8000-000000000000"])
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/merges"), ("POST", "/undo")])
def test_unknown_runs(workspace: Workspace, method: str, path: str, run_id: str) -> None:
    answer = ask(workspace, method, f"/v1/merge_runs/{run_id}{path}", b"{}" if method == "POST" else None)
    assert (answer.status, answer.message) == (404, contract.UNKNOWN_RUN)


def test_one_run_at_a_time(service: Service, workspace: Workspace) -> None:
    people(workspace, 1)
    run = start(workspace)
    assert workspace.post("/v1/merge_runs", {}, drain=False).message == contract.RUN_UNDER_WAY
    assert workspace.post(f"/v1/merge_runs/{run['id']}/undo", {}, drain=False).message == contract.RUN_UNDER_WAY
    work_off(service, after_step=drains(workspace))
    undo(workspace, run)
    assert workspace.post(f"/v1/merge_runs/{run['id']}/undo", {}, drain=False).message == contract.UNDO_UNDER_WAY
    work_off(service, after_step=drains(workspace))


def test_runs_have_pages_and_a_bound(service: Service, workspace: Workspace) -> None:
    made = []
    for _ in range(5):
        made.append(start(workspace)["id"])
        work_off(service)
    first = get(workspace, "/v1/merge_runs?limit=3")
    second = get(workspace, f"/v1/merge_runs?limit=3&cursor={first['next_cursor']}")
    assert [run["id"] for run in first["merge_runs"] + second["merge_runs"]] == made[::-1]
    assert "next_cursor" not in second
    assert merge_runs.expire(service.database, 2) >= 3
    assert [run["id"] for run in get(workspace, "/v1/merge_runs")["merge_runs"]] == made[:2:-1]
    assert ask(workspace, "GET", f"/v1/jobs/{made[0]}").status == 404


def test_no_table_of_runs_names_anybody(service: Service, workspace: Workspace) -> None:
    people(workspace, 2)
    run = start(workspace)
    work_off(service, after_step=drains(workspace))
    names = [one.braze_id for one in alive(workspace)]
    workspace.post("/users/delete", {"external_ids": ["c0", "c1"]})
    assert "braze" not in ask(workspace, "GET", f"/v1/merge_runs/{run['id']}/merges").text
    with service.database.read() as connection:
        rows = [
            str(connection.exec_driver_sql(f"select * from {table}").all())
            for table in ("merge_run", "merge_run_request", "job")
        ]
    assert not any(name in text for name in [*names, "dup00"] for text in rows)


LEADS: Json = {
    "groups": [
        {
            "op": "AND",
            "filters": [
                {"field": "external_id", "op": "is_blank"},
                {"field": "custom_attribute", "name": "is_lead_profile", "op": "is_true"},
            ],
        }
    ]
}


def test_the_story_of_the_leads(service: Service, workspace: Workspace) -> None:
    """A visitor leaves an address and signs up with it later: the lead is merged by rule, and comes back by an undo."""
    alias = {"user_alias": {"alias_label": "form", "alias_name": "visitor"}}
    lead = {**alias, "_update_existing_only": False, "is_lead_profile": True, "email": "hedy@example.org"}
    workspace.track({"attributes": [lead]})
    workspace.track({"attributes": [{"external_id": "hedy", "email": "Hedy@Example.org", "first_name": "Hedy"}]})
    assert len(workspace.segment(LEADS)) == 1
    (group,) = workspace.post("/v1/merge_previews", {}, drain=False).body["groups"]
    assert (group["email"], group["keep"]["external_id"], len(group["merge"])) == ("hedy@example.org", "hedy", 1)
    run = start(workspace)
    assert work_off(service, after_step=drains(workspace)) == ["done"]
    assert workspace.segment(LEADS) == set()
    merged = workspace.user("hedy")
    assert (merged["first_name"], merged["custom_attributes"]) == ("Hedy", {"is_lead_profile": True})
    assert merged["user_aliases"] == [{"alias_label": "form", "alias_name": "visitor"}]
    undo(workspace, run)
    assert work_off(service, after_step=drains(workspace)) == ["done"]
    assert len(workspace.segment(LEADS)) == 1
    assert "custom_attributes" not in workspace.user("hedy")
    assert differences(workspace) == []


def test_a_run_is_what_a_person_would_have_merged_by_its_preview(service: Service, workspace: Workspace) -> None:
    """Pair by pair, with /users/merge, in a workspace with the same people."""
    twin = service.workspace("legacy")
    for one in (workspace, twin):
        people(one, 4, size=3, phone="+34600123450")
        one.track({"attributes": [{"external_id": f"x{n}", "email": "dup001@example.org", "n": n} for n in range(2)]})
        one.track({"attributes": [{"external_id": "alone", "email": "alone@example.org"}]})
    for group in twin.post("/v1/merge_previews", {}, drain=False).body["groups"]:
        for person in group.get("merge", ()):
            pair = {
                "identifier_to_merge": {"braze_id": person["braze_id"]},
                "identifier_to_keep": {"braze_id": group["keep"]["braze_id"]},
            }
            skipped = twin.skipped(twin.post("/users/merge", {"merge_updates": [pair]}).request_id)
            assert {reason for *_, reason in skipped} <= {"alias_retired"}
    start(workspace)
    assert work_off(service, after_step=drains(workspace)) == ["done"]
    assert shape(workspace) == shape(twin)
    assert len(shape(workspace)) == 5


def shape(workspace: Workspace) -> list[Any]:
    """All profiles without ids and times of our own making."""
    found = []
    for one in alive(workspace):
        core = {name: value for name, value in (one.core or {}).items() if name != "last_merge"}
        found.append((one.external_id or "", sorted(core.items(), key=repr), sorted((one.custom or {}).items())))
    return sorted(found, key=repr)
