"""Metrics: who may read them, what they count, that they name nobody; and the canary."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fastapi import Request, Response
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from app.adapters.metrics import CONTENT_TYPE, OBJECTS, Metrics
from app.api.app import create_app
from app.api.metrics import counted
from app.domain.changes import Counts
from app.store import workspaces
from tests.api.harness import Json, Service, Workspace, running
from tests.api.jobs import work_off
from tests.api.sdk import SESSION, Shop, event
from tests.polling import until
from workers import replay
from workers.jobs.run import Summary as JobSummary
from workers.summary import Summary

TOKEN: Final = "a token of its own"
ADA: Final[Json] = {"attributes": [{"external_id": "ada-of-the-metrics"}]}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def measured(service: Service, tmp_path: Path) -> Iterator[Service]:
    changes = {"metrics_token": TOKEN, "canary_seconds": 0.2}
    settings = type(service.settings)(**{**service.settings.model_dump(by_alias=True), **changes})
    with running(settings) as found:
        yield found


def get(service: Service, headers: dict[str, str]) -> httpx.Response:
    return service.loop.run(service._client.get("/metrics", headers=headers))


def read(service: Service) -> Samples:
    answer = get(service, {"Authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, CONTENT_TYPE)
    return parsed(answer.text)


def parsed(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def test_who_may_read_them(service: Service, measured: Service) -> None:
    workspace = measured.workspace()
    assert get(service, {"Authorization": f"Bearer {TOKEN}"}).status_code == 404
    for sent in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {workspace.key}"}):
        answer = get(measured, sent)
        assert (answer.status_code, answer.json()) == (401, {"message": "Invalid API key"})


def test_what_is_counted(measured: Service) -> None:
    workspace = measured.workspace("legacy", burst_limit=3)
    before = read(measured)
    bodies: list[Json] = [ADA, ADA, {"attributes": [{}]}, ADA]  # the third is refused, the fourth one too many
    # On a busy machine Redis may be too slow, and the limit then be the process's own share of it.
    answered = Counter(workspace.track(body, drain=False).status for body in bodies)
    assert answered.keys() >= {201, 429}

    def seen() -> Samples | None:
        samples = read(measured)
        queued = value(samples, "onefold_backlog_requests", workspace=str(workspace.id), stream="normal")
        return samples if queued == answered[201] else None

    after = until(seen)
    assert after is not None

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    for status, number in answered.items():
        assert more("onefold_requests_total", endpoint="/users/track", status=str(status)) == number
    assert more("onefold_request_seconds_count", endpoint="/users/track") == 4
    assert more("onefold_quota_total", result="granted") == 4 - answered[429]
    assert more("onefold_quota_total", result="refused") == answered[429]
    assert more("onefold_accepted_requests_total") >= answered[201]
    assert value(after, "onefold_oldest_queued_seconds", workspace=str(workspace.id), stream="normal") > 0
    assert value(after, "onefold_requests_in_hand") == 0
    text = get(measured, {"Authorization": f"Bearer {TOKEN}"}).text
    assert "ada" not in text
    assert workspace.key not in text


def test_a_lane_that_does_not_move_is_told(measured: Service, workspace: Workspace) -> None:
    of = {"workspace": str(workspace.id), "stream": "normal"}

    def standing() -> float:
        return value(read(measured), "onefold_lane_standing_seconds", **of)

    workspace.track(ADA, drain=False)
    until(lambda: standing() > 0)  # two looks met the same request
    with measured.database.write() as connection:  # as a process leaves it that was killed by the request, alone
        connection.execute(
            text(
                "update lane set attempts = 3, trial_stream = 0, trial_last = cursor_normal + 1 where workspace_id = :w"
            ),
            {"w": workspace.id},
        )
    until(lambda: value(read(measured), "onefold_lane_attempts", **of) == 3)
    workspace.drain()
    until(lambda: standing() == 0)
    assert value(read(measured), "onefold_lane_attempts", **of) == 0


def test_jobs_are_told(measured: Service) -> None:
    workspace = measured.workspace()
    watch = measured.services.readings._read.__self__.jobs  # type: ignore[attr-defined]
    of = {"kind": "export_global_control_group", "state": "queued"}
    workspace.post("/users/export/global_control_group", {}, drain=False)
    measured.loop.run(watch.look())
    told = read(measured)
    assert (value(told, "onefold_jobs", **of), value(told, "onefold_job_oldest_seconds", **of) > 0) == (1, True)
    assert work_off(measured) == ["done"]
    measured.loop.run(watch.look())
    told = read(measured)
    assert (value(told, "onefold_jobs", **of), value(told, "onefold_job_oldest_seconds", **of)) == (0, 0)


def test_sdk_data_is_counted(measured: Service) -> None:
    shop = Shop(measured.workspace())
    device = shop.batch(SESSION, event("a"), event("a"), event(""), device="device-1", dropped=7)
    for body, status in ((device, 201), (device, 201), (shop.batch(event("")), 400), ({"device_id": 5}, 400)):
        assert shop.post(body, drain=False).status == status
    found = {
        (name.removeprefix("onefold_sdk_"), *(label for _, label in labels)): number
        for (name, labels), number in read(measured).items()
        if name.startswith("onefold_sdk_")
    }
    assert found == {
        ("batches_total", "taken"): 2,
        ("batches_total", "refused"): 2,
        ("records_total", "session_start"): 2,
        ("records_total", "event"): 4,
        ("records_dropped_total", "gateway"): 2,
        ("records_dropped_total", "device"): 14,
    }


def test_an_attempt_at_a_job_is_counted() -> None:
    metrics = Metrics()
    for state in ("done", "failed", "done"):
        metrics.worked(JobSummary(job="x", kind="archive", state=state, ms=2_000).as_dict())
    metrics.worked(JobSummary(ms=5).as_dict())  # there was none
    found = parsed(metrics.exposition().decode())
    assert value(found, "onefold_job_attempts_total", kind="archive", result="done") == 2
    assert value(found, "onefold_job_attempts_total", kind="archive", result="failed") == 1
    assert value(found, "onefold_job_seconds_sum", kind="archive") == 6
    assert sum(number for (name, _), number in found.items() if name == "onefold_job_seconds_count") == 3


def test_an_exception_is_counted(measured: Service) -> None:
    """As the 500 that it becomes."""

    async def broken(_request: Request) -> Response:
        raise LookupError("a value of a client")

    async def call() -> httpx.Response:
        app = create_app(measured.services)
        app.add_route("/broken", counted(measured.services, "GET", "/broken", broken))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://onefold") as client:
            return await client.get("/broken")

    answer = measured.loop.run(call())
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
    assert value(read(measured), "onefold_requests_total", endpoint="/broken", status="500") == 1
    assert value(read(measured), "onefold_request_seconds_count", endpoint="/broken") == 1


def test_a_drain_is_counted() -> None:
    metrics = Metrics()
    objects: dict[str, Any] = {kind: 5 + n for n, kind in enumerate(OBJECTS)}
    assert objects.keys() | {"skipped"} == {member.name for member in fields(Counts)}
    counts = Counts(skipped=1, **objects)
    summary = Summary(2, counts, batches=1, lag_ms=70, ms=40, skipped_by_reason={"too_deep": 1})
    metrics.drained(summary.as_dict())
    metrics.drained(Summary(busy=True).as_dict())
    metrics.drained(Summary(requests=1, batches=1, dead=1, behind=True).as_dict())
    metrics.drain_failed()
    found = parsed(metrics.exposition().decode())
    assert {
        (name, tuple(min(labels)) if labels else ()): number
        for (name, labels), number in found.items()
        if name.endswith("_total") and number
    } == {("onefold_applied_objects_total", ("kind", kind)): number for kind, number in objects.items()} | {
        ("onefold_drains_total", ("result", "done")): 1,
        ("onefold_drains_total", ("result", "busy")): 1,
        ("onefold_drains_total", ("result", "behind")): 1,
        ("onefold_drains_total", ("result", "failed")): 1,
        ("onefold_applied_requests_total", ()): 3,
        ("onefold_apply_batches_total", ()): 2,
        ("onefold_skipped_total", ("reason", "too_deep")): 1,
        ("onefold_dead_letters_total", ()): 1,
    }
    assert value(found, "onefold_apply_lag_seconds_count") == 2


def test_the_canary(measured: Service) -> None:
    def beats(result: str) -> float:
        return value(read(measured), "onefold_canary_total", result=result)

    assert until(lambda: beats("late"))  # nobody applies
    canary = workspaces.get(measured.database, workspaces.CANARY)
    number = workspaces.number(canary)
    with measured.draining(number):
        assert until(lambda: beats("applied"))
    assert value(read(measured), "onefold_canary_seconds") > 0
    assert workspaces.CANARY not in {workspace.name for workspace in workspaces.listed(measured.database)}
    own = Workspace(measured, number, "", bytes(canary.secret))
    own.drain()
    assert [profile["external_id"] for profile in own.stored()] == ["canary"]
    assert replay.differences(measured.database, number, own.secret) == []


def test_standbys_and_a_database_that_was_put_back_are_told(measured: Service) -> None:
    """The tests' databases are copies of a template, which PostgreSQL tells of and SQLite does not."""
    elsewhere = float(measured.database.is_postgresql)

    def doubts() -> dict[str, float]:
        found = read(measured)
        return {
            dict(labels)["why"]: number for (name, labels), number in found.items() if name == "onefold_database_doubt"
        }

    until(lambda: doubts() == {"timeline": 0.0, "elsewhere": elsewhere, "back": 0.0})
    assert not [name for name, _ in read(measured) if name == "onefold_standbys"]
    changed = type(measured.settings)(**{**measured.settings.model_dump(by_alias=True), "standbys": 1})
    with running(changed) as wanting:
        until(lambda: value(read(wanting), "onefold_standbys", what="wanted") == 1.0)
        assert ("onefold_standbys", frozenset({("what", "present")})) in read(wanting)
        assert value(read(wanting), "onefold_standbys", what="present") == 0.0
