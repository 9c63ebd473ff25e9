"""Faults of runs of merge rules: each duplicate is asked for once, whatever is killed, and whoever is edited."""

import time
from collections import Counter
from contextlib import suppress
from typing import Any, Final
from urllib.error import HTTPError, URLError

from sqlalchemy import text

from app.contract import stored
from app.contract.kinds import KIND_OF
from app.domain.commands import MergeDuplicate
from fault import judge
from fault.clients import LoadPlan
from fault.rounds import Round, Scenario
from fault.stack import POSTGRESQL, SCRIPTS, SQLITE, Layout, Workspace
from tests.polling import until

GROUPS: Final = 1_500
OBJECTS: Final = 75
DONE_SECONDS: Final = 180.0
#: Between two edits: without a pause they take the machine from the run, and each has to be applied once more to judge.
_PAUSE_SECONDS: Final = 0.02
_ONEFOLD: Final = str(SCRIPTS / "onefold")
_LABEL: Final = "web"
_MERGES: Final = text("select seq, codec, body from inbox where workspace_id = :workspace_id and kind = :kind")


def kill_while_merging(now: Round) -> None:
    """39: SIGKILL for the job worker while a run of merge rules is under way, and for workers that apply its merges;
    people are edited, deleted and made meanwhile. Every other round the run is then taken back, likewise."""
    site = now.stack.workspace("legacy", None)
    _people(now, site)
    run = now.call(site, "POST", "/v1/merge_runs", {})["merge_run"]["id"]
    path = f"/v1/merge_runs/{run}"
    _watch(now, site, lambda: now.call(site, "GET", path)["merge_run"], run)
    if now.seed % 2:
        now.call(site, "POST", f"{path}/undo", {})
        _watch(now, site, lambda: now.call(site, "GET", path)["merge_run"]["undo"], run)
    until(lambda: now.stack.behind(site.id) == 0, DONE_SECONDS, message="the backlog of merges stays")
    _judge(now, site, now.call(site, "GET", path)["merge_run"])


def _watch(now: Round, site: Workspace, look: Any, run: str) -> None:
    """Edit people until a job is over; kill what works at it once, and what applies a few times."""
    job_dies = now.rng.uniform(0.1, 2.0)
    workers_die = sorted(now.rng.uniform(0.0, 3.0) for _ in range(now.rng.randint(1, 3)))
    began = time.monotonic()
    while time.monotonic() - began < DONE_SECONDS:
        _edit(now, site)
        time.sleep(_PAUSE_SECONDS)
        shown = look()
        if shown.get("state") in ("done", "failed"):
            now.notes["state"] = float(shown["state"] == "done")
            return
        passed = time.monotonic() - began
        if passed > job_dies and shown.get("state") == "running":
            job_dies = float("inf")
            now.hit(now.kill_forked(jobs=True))
        if workers_die and passed > workers_die[0]:
            workers_die.pop(0)
            now.hit(now.kill_forked(jobs=False))
    now.blame(f"run {run}: not over after {DONE_SECONDS:g} s")


def _people(now: Round, site: Workspace) -> None:
    """Groups of two or three that share an address, through the API: the reference knows how they came."""
    objects: list[dict[str, Any]] = [
        {**_who(n, k), "email": _address(n), f"from_{k}": n, "_update_existing_only": False}
        for n in range(GROUPS)
        for k in range(now.rng.randint(2, 3))
    ]
    now.rng.shuffle(objects)
    for first in range(0, len(objects), OBJECTS):
        now.call(site, "POST", "/users/track", {"attributes": objects[first : first + OBJECTS]})
    until(lambda: now.stack.behind(site.id) == 0, DONE_SECONDS, message="the people are not applied")


def _who(n: int, k: int) -> dict[str, Any]:
    if k == 0 and n % 3:
        return {"external_id": f"c{n}"}
    return {"user_alias": {"alias_label": _LABEL, "alias_name": f"{n}-{k}"}}


def _address(n: int) -> str:
    return f"dup{n:05}@example.org"


def _edit(now: Round, site: Workspace) -> None:
    """One thing that happens to somebody. An answer that is none is nothing that was accepted."""
    n, rng = now.rng.randrange(GROUPS), now.rng
    who = _who(n, rng.randrange(3))
    kind = rng.randrange(5)
    with suppress(HTTPError, URLError, TimeoutError):
        if kind == 0:
            now.call(site, "POST", "/users/track", {"attributes": [{**who, "email": _address(rng.randrange(GROUPS))}]})
        elif kind == 1 and "external_id" in who:
            now.call(site, "POST", "/users/delete", {"external_ids": [who["external_id"]]})
        elif kind == 2:
            new = {"external_id": f"n{rng.randrange(10**6)}", "email": _address(n)}
            now.call(site, "POST", "/users/track", {"attributes": [new]})
        else:
            now.call(site, "POST", "/users/track", {"attributes": [{**who, "seen": rng.randrange(9)}]})


def _judge(now: Round, site: Workspace, shown: dict[str, Any]) -> None:
    """The database is what the inbox says; each merge was asked for once; the report is about all of them."""
    now.findings += judge.reference(now.stack.database, site)
    now.findings += judge.dead(now.stack.database, site, ())
    wanted = {"workspace_id": site.id, "kind": KIND_OF[MergeDuplicate]}
    with now.stack.database.read(now.stack.database.inbox) as connection:
        rows = connection.execute(_MERGES, wanted).all()
    # Whoever got another address behind the place that the run has reached is asked for once more, by that one.
    asked: Counter[tuple[str, str]] = Counter()
    for row in rows:
        _, codec, body = stored.opened(row.codec, bytes(row.body))
        found = stored.commands(KIND_OF[MergeDuplicate], codec, body)
        asked.update((one.merged_braze_id, one.shared[2]) for one in found if isinstance(one, MergeDuplicate))
    twice = [who for who, times in asked.items() if times > 1]
    merges = shown["merges"]
    now.notes["merged"], now.notes["skipped"] = float(merges["merged"]), float(sum(merges["skipped"].values()))
    if twice:
        now.blame(f"merges: {len(twice)} asked for twice")
    if shown["state"] != "done":
        now.blame(f"run: {shown['state']} {shown.get('error', '')}")
    if merges["queued"] != asked.total() or merges["queued"] != merges["merged"] + sum(merges["skipped"].values()):
        now.blame(f"report: {merges} for {asked.total()} merges in the inbox")
    undo = shown.get("undo")
    if undo is not None and undo["state"] != "done":
        now.blame(f"undo: {undo}")


SCENARIOS: Final = (
    Scenario(
        39,
        "a run of merge rules, its workers killed, its people edited",
        "the process worked on the run, or applied, when it was killed",
        kill_while_merging,
        layout=Layout(node_programs=((_ONEFOLD, "worker", "--workers", "1"), (_ONEFOLD, "jobs", "run"))),
        load=LoadPlan(clients=2, rate=20),
        stores=(POSTGRESQL, SQLITE),
    ),
)
