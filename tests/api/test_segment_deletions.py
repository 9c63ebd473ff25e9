"""Deleting everybody in a segment: marked at once, deleted when the time has come, or not at all."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from app.domain.profile import MARKED_FOR_DELETION
from app.store import jobs as store
from app.store.jobs import Job
from tests.api.harness import Answer, Service, Workspace, times_now
from tests.api.jobs import job_worker, jobs_of
from tests.api.reference import equal
from tests.api.tiers import people, segment
from tests.command_line import command_line
from workers.jobs import segment_deletion
from workers.jobs.upkeep import Upkeep

NO_WAIT = {"deletion_seconds": 0.0}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_deletion, "PART_PEOPLE", 3)


class Killed(BaseException):
    """The process is gone: nobody catches it, and nothing is released."""


def begin(workspace: Workspace, segment_id: str) -> Answer:
    return workspace.post(f"/v1/segments/{segment_id}/deletions", b"", drain=False)


def work(service: Service, workspace: Workspace, step: Any = lambda _job, _step: None, **limits: Any) -> list[str]:
    """What became of all that can be done now, with a drain beside it."""
    states = []
    with service.draining(workspace.id), job_worker(service, after_step=step, **limits) as runner:
        while (summary := runner.run_next()).job:
            states.append(summary.error or summary.state)
    workspace.drain()
    return states


def marked(workspace: Workspace) -> list[str]:
    found = workspace.state().profiles.values()
    return sorted(str(one.external_id) for one in found if one.flags & MARKED_FOR_DELETION)


def left(workspace: Workspace) -> list[str]:
    return sorted(str(one.external_id) for one in workspace.state().profiles.values())


GOLD = ["u1", "u3", "u5", "u7"]
OTHERS = ["u0", "u2", "u4", "u6"]


def test_members_are_marked_wait_and_are_deleted(service: Service, workspace: Workspace) -> None:
    people(workspace, 8)
    segment_id = segment(workspace)
    answer = begin(workspace, segment_id)
    assert (answer.status, answer.body["job"]["kind"]) == (201, "delete_segment")
    assert begin(workspace, segment_id).message == "A deletion of this segment is already under way"
    assert work(service, workspace) == ["done"]
    assert marked(workspace) == GOLD
    (job,) = jobs_of(workspace)
    assert (job["state"], job["progress"]) == ("queued", 4)
    assert job["due_at"] > job["created_at"]
    assert work(service, workspace) == []  # it waits
    merge = {"identifier_to_merge": {"external_id": "u0"}, "identifier_to_keep": {"external_id": "u1"}}
    refused = workspace.post("/users/merge", {"merge_updates": [merge]})
    assert workspace.skipped(refused.request_id) == [("merge_updates", 0, "", "marked_for_deletion")]
    # One is not in the segment any more, one is deleted before, one comes too late to be marked.
    workspace.track({"attributes": [{"external_id": "u3", "tier": "silver"}, {"external_id": "u0", "tier": "gold"}]})
    workspace.post("/users/delete", {"external_ids": ["u7"]})
    _let_it_begin(service, workspace)
    assert work(service, workspace) == ["done"]
    assert left(workspace) == ["u0", "u2", "u3", "u4", "u6"]
    assert marked(workspace) == []
    (job,) = jobs_of(workspace)
    assert (job["state"], job["users"]) == ("done", 3)
    assert equal(workspace)


def _let_it_begin(service: Service, workspace: Workspace, job_id: str = "%") -> None:
    with service.database.write() as connection:
        connection.execute(
            text("update job set due_us = 0 where workspace_id = :w and id like :id"), {"w": workspace.id, "id": job_id}
        )


def test_cancelled_in_the_waiting_period(service: Service, workspace: Workspace) -> None:
    people(workspace, 8)
    gold, everybody = segment(workspace), segment(workspace, name="all", groups=[])
    first, second = begin(workspace, gold).body["job"]["id"], begin(workspace, everybody).body["job"]["id"]
    assert work(service, workspace) == ["done", "done"]
    assert marked(workspace) == sorted(GOLD + OTHERS)
    cancelled = service.send("DELETE", f"/v1/jobs/{second}", None, workspace.headers())
    assert cancelled.body["job"]["state"] == "cancelled"
    assert work(service, workspace) == ["done"]
    assert marked(workspace) == GOLD  # the other deletion needs them
    assert service.send("DELETE", f"/v1/jobs/{first}", None, workspace.headers()).status == 200
    assert work(service, workspace) == ["done"]
    assert marked(workspace) == []
    assert len(left(workspace)) == 8
    assert equal(workspace)


def test_one_that_comes_first_leaves_the_marks_of_the_others(service: Service, workspace: Workspace) -> None:
    people(workspace, 8)
    gold, everybody = segment(workspace), segment(workspace, name="all", groups=[])
    first, second = begin(workspace, gold).body["job"]["id"], begin(workspace, everybody).body["job"]["id"]
    assert work(service, workspace) == ["done", "done"]
    workspace.track({"attributes": [{"external_id": "u3", "tier": "silver"}]})
    _let_it_begin(service, workspace, first)
    assert work(service, workspace) == ["done"]
    assert marked(workspace) == sorted([*OTHERS, "u3"])
    _let_it_begin(service, workspace, second)
    assert work(service, workspace) == ["done"]
    assert left(workspace) == []
    assert equal(workspace)


@pytest.mark.parametrize("at", [("part_recorded", 1), ("part_sent", 1), ("part_sent", 2), ("part_sent", 3)])
def test_killed_and_begun_again(service: Service, workspace: Workspace, at: tuple[str, int]) -> None:
    people(workspace, 8)
    segment_id = segment(workspace)
    begin(workspace, segment_id)
    seen: list[str] = []

    def kill(_job: Job, step: str) -> None:
        seen.append(step)
        if step == at[0] and seen.count(step) == at[1]:
            raise Killed

    for _ in range(2):  # in the first phase, or in the second
        try:
            work(service, workspace, kill, **NO_WAIT)
        except Killed:
            break
    with service.database.write() as connection:
        assert store.revive(connection, 2**62) == (1, 0)
    assert work(service, workspace, **NO_WAIT)[-1] == "done"
    assert left(workspace) == OTHERS
    assert equal(workspace)


def test_a_segment_that_is_gone_by_then(service: Service, workspace: Workspace) -> None:
    people(workspace, 8)
    segment_id = segment(workspace)
    begin(workspace, segment_id)
    work(service, workspace)
    assert service.send("DELETE", f"/v1/segments/{segment_id}", None, workspace.headers()).status == 200
    _let_it_begin(service, workspace)
    assert work(service, workspace) == ["target_gone"]
    upkeep = Upkeep(service.database, service._bell, times_now)
    upkeep.look()
    assert work(service, workspace) == ["done"]
    assert marked(workspace) == []
    assert len(left(workspace)) == 8


def test_who_may_and_what_there_is_not(service: Service, workspace: Workspace) -> None:
    assert begin(workspace, "nothing").status == 404
    key = service.key(workspace.id, "users.delete", "admin.segments", "admin.jobs")
    path = "/v1/segments/x/deletions"
    assert workspace.post(path, b"", Authorization=f"Bearer {key}").status == 403


def test_the_command(tmp_path: Path) -> None:
    run = command_line(tmp_path)
    run("migrate")
    run("workspaces", "create", "default")
    file = tmp_path / "all.json"
    file.write_bytes(msgspec.json.encode({"name": "all"}))
    segment_id = run("segments", "add", str(file)).strip()
    assert "Nothing was deleted" in run("segments", "delete-people", segment_id, typed="n\n", fails=True)
    job = run("segments", "delete-people", segment_id, "--yes").strip()
    assert "under way" in run("segments", "delete-people", segment_id, "--yes", fails=True)
    assert "delete_segment" in run("jobs", "show", job)
    assert run("jobs", "cancel", job).strip() == "cancelled"
