"""Faults of deletions: whoever is to go is gone, and nobody else, whatever is killed."""

import time
from contextlib import suppress
from typing import Any, Final
from urllib.error import HTTPError, URLError

import psutil
from sqlalchemy import func, select
from sqlmodel import SQLModel

from app.adapters.clock import now_us
from app.domain.profile import MARKED_FOR_DELETION
from app.store import workspace_deletions, workspaces
from app.store.engine import Database
from app.store.profiles.dump import dump
from app.store.tables import INBOX_TABLES
from fault import judge
from fault.clients import LoadPlan
from fault.processes import role
from fault.rounds import Round, Scenario
from fault.scenarios.jobs import people
from fault.stack import POSTGRESQL, SCRIPTS, SQLITE, Layout, Workspace
from tests.polling import until

PEOPLE: Final = 6_000
OBJECTS: Final = 75
DONE_SECONDS: Final = 180.0
#: PostgreSQL: a workspace is empty so soon after the sweeper has begun with it, which takes it up to a second.
SOON_SECONDS: Final = 1.5
#: The waiting period of a segment's deletion: three seconds, in days.
WAIT_DAYS: Final = 3 / 86_400
_ONEFOLD: Final = str(SCRIPTS / "onefold")
_GOLD: Final = {
    "name": "gold",
    "groups": [{"filters": [{"field": "custom_attribute", "name": "tier", "op": "equals", "value": "gold"}]}],
}
_LAYOUT: Final = Layout(
    node_programs=((_ONEFOLD, "worker", "--workers", "1"), (_ONEFOLD, "jobs", "run")),
    settings={"ONEFOLD_SEGMENT_DELETION_DAYS": str(WAIT_DAYS)},
)


def kill_while_deleting(now: Round) -> None:
    """40: SIGKILL for the job worker and for workers while everybody in a segment is marked and then deleted; people
    come, go and change their tier meanwhile."""
    site = now.stack.workspace("legacy", None)
    objects = [{"external_id": f"p{n}", "tier": _tier(n)} for n in range(PEOPLE)]
    for first in range(0, PEOPLE, OBJECTS):
        now.call(site, "POST", "/users/track", {"attributes": objects[first : first + OBJECTS]})
    until(lambda: now.stack.behind(site.id) == 0, DONE_SECONDS, message="the people are not applied")
    segment = now.call(site, "POST", "/v1/segments", _GOLD)["id"]
    job = now.call(site, "POST", f"/v1/segments/{segment}/deletions")["job"]["id"]
    dies = sorted((now.rng.uniform(0.0, 8.0), now.rng.random() < 0.6) for _ in range(now.rng.randint(3, 5)))
    shown: dict[str, Any] = {"state": "queued"}
    began = time.monotonic()
    while shown["state"] not in ("done", "failed") and time.monotonic() - began < DONE_SECONDS:
        _edit(now, site)
        shown = now.call(site, "GET", f"/v1/jobs/{job}")["job"]
        if dies and time.monotonic() - began > dies[0][0]:
            _, jobs = dies.pop(0)
            busy = shown["state"] == "running" or now.stack.behind(site.id) > 0
            now.hit(now.kill_forked(jobs=jobs) and busy)
    until(lambda: now.stack.behind(site.id) == 0, DONE_SECONDS, message="the backlog of deletions stays")
    if shown["state"] != "done":
        now.blame(f"job: {shown['state']} {shown.get('error', '')}")
    now.notes["attempts"] = float(shown.get("attempts", 0))
    _judge(now, site)


def _tier(n: int) -> str:
    return "gold" if n % 2 else "silver"


def _edit(now: Round, site: Workspace) -> None:
    """One thing that happens to somebody of the first third, or somebody new. No answer is nothing accepted."""
    n, rng = now.rng.randrange(PEOPLE // 3), now.rng
    with suppress(HTTPError, URLError, TimeoutError):
        match rng.randrange(3):
            case 0:
                now.call(site, "POST", "/users/delete", {"external_ids": [f"p{n}"]})
            case 1:
                new = {"external_id": f"new{rng.randrange(10**6)}", "tier": rng.choice(("gold", "silver"))}
                now.call(site, "POST", "/users/track", {"attributes": [new]})
            case _:
                changed = {"external_id": f"p{n}", "tier": rng.choice(("gold", "silver"))}
                now.call(site, "POST", "/users/track", {"attributes": [changed]})


def _judge(now: Round, site: Workspace) -> None:
    """The database is what the inbox says; of those whom nobody touched the gold ones are gone, and only they; nobody
    is marked any more."""
    now.findings += judge.reference(now.stack.database, site)
    now.findings += judge.dead(now.stack.database, site, ())
    with now.stack.database.read() as connection:
        profiles = dump(connection, site.id).profiles.values()
    left = {str(profile.external_id) for profile in profiles}
    wanted = {f"p{n}": _tier(n) == "silver" for n in range(PEOPLE // 3, PEOPLE)}
    wrong = [name for name, stays in wanted.items() if (name in left) is not stays]
    if wrong:
        now.blame(f"people: {len(wrong)} are there or gone and should not be")
    marked = sum(bool(profile.flags & MARKED_FOR_DELETION) for profile in profiles)
    if marked:
        now.blame(f"people: {marked} are still marked")


def kill_while_emptying(now: Round) -> None:
    """41: SIGKILL for the sweeper, which empties a workspace that was deleted, for workers, and for a job worker that
    makes a file of it; another workspace is written to meanwhile."""
    site = now.stack.workspace("legacy", None)
    people(now, site)
    tracked = [{"external_id": f"p{n}", "text": "x" * 200} for n in range(OBJECTS)]
    now.call(site, "POST", "/users/export/global_control_group", {"output_format": "gzip"})
    for _ in range(20):
        now.call(site, "POST", "/users/track", {"attributes": tracked})
    now.pause(0.0, 1.0)
    name = next(one.name for one in workspaces.listed(now.stack.database) if one.id == site.id)
    now.call(site, "DELETE", f"/v1/workspaces/{name}")
    longest = SOON_SECONDS if now.stack.store == POSTGRESQL else 6.0
    dies = sorted((now.rng.uniform(0.0, longest), now.rng.choice("sssjw")) for _ in range(now.rng.randint(3, 5)))
    began = time.monotonic()
    while not _emptied(now, site) and time.monotonic() - began < DONE_SECONDS:
        if dies and time.monotonic() - began > dies[0][0]:
            _, who = dies.pop(0)
            killed = _kill_sweeper(now) if who == "s" else now.kill_forked(jobs=who == "j")
            now.hit(killed and not _emptied(now, site))
        now.pause(0.02)
    now.notes["emptied s"] = time.monotonic() - began
    if not _emptied(now, site):
        now.blame(f"workspace: not empty after {DONE_SECONDS:g} s")
        return
    # Whoever was writing then may have written a row after it, so the sweeper looks once more, three minutes later.
    _look_again(now.stack.database, site)
    rows = now.stack.look(lambda: _rows(now, site))
    if rows:
        now.blame(f"workspace: rows are left in {rows}")


def _kill_sweeper(now: Round) -> bool:
    family = [process for program in now.stack.programs() for process in program.family()]
    return now.kill([process for process in family if _is_sweeper(process)])


def _is_sweeper(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return role(process) == "sweeper"
    return False


def _look_again(database: Database, site: Workspace) -> None:
    with database.read() as connection:
        (deletion,) = (one for one in workspace_deletions.listed(connection) if one.workspace_id == site.id)
    while not workspace_deletions.work(database, deletion, now_us() + workspace_deletions.GRACE_US)[1]:
        pass


def _emptied(now: Round, site: Workspace) -> bool:
    def look() -> bool:
        with now.stack.database.read() as connection:
            found = workspace_deletions.listed(connection)
        return any(one.workspace_id == site.id and one.emptied_us is not None for one in found)

    return now.stack.look(look)


def _rows(now: Round, site: Workspace) -> dict[str, int]:
    """What is left of the workspace, by table."""
    database, left = now.stack.database, {}
    for name, table in SQLModel.metadata.tables.items():
        if "workspace_id" not in table.c or name == "workspace_deletion":
            continue
        with database.read(database.inbox if name in INBOX_TABLES else None) as connection:
            counted = select(func.count()).select_from(table).where(table.c.workspace_id == site.id)
            left[name] = int(connection.execute(counted).scalar_one())
    return {name: rows for name, rows in left.items() if rows}


SCENARIOS: Final = (
    Scenario(
        40,
        "a segment's people deleted, its workers killed",
        "the job was running, or its deletions were not applied, when a process of it was killed",
        kill_while_deleting,
        layout=_LAYOUT,
        load=LoadPlan(clients=2, rate=20),
        stores=(POSTGRESQL, SQLITE),
        scaled="a waiting period of 3 s",
    ),
    Scenario(
        41,
        "a workspace deleted, what empties it killed",
        "the workspace was not empty when a process was killed",
        kill_while_emptying,
        layout=_LAYOUT,
        load=LoadPlan(clients=2, rate=20),
        stores=(POSTGRESQL, SQLITE),
    ),
)
