"""Faults of the applying side: killed, stopped, starved and crowded workers."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psutil

from app.bootstrap import background
from app.settings import Settings
from fault.clients import LoadPlan
from fault.processes import Program, words
from fault.rounds import Round, Scenario
from fault.stack import POSTGRESQL, SQLITE, Layout
from tests.polling import gone, until

#: Enough to keep a lane busy, so that blows meet batches.
BUSY: Final = LoadPlan(clients=5, objects=40, rate=60)
STALL_TIMEOUT: Final = 3
HELD_SECONDS: Final = 0.4


def kill_child(now: Round) -> None:
    """1: SIGKILL for the process that applies, in the middle of a batch."""
    for _ in range(8):
        children = _children(now)
        if now.in_batch():
            now.pause(0.0, 0.02)
            _kill(now, children, lambda: now.stack.attempts(now.workspace.id) > 0)
        now.pause(0.1, 0.3)
        if now.hits >= 2:
            return


def kill_between(now: Round) -> None:
    """43: SIGKILL for the process that applies, while a part of a request is committed and another is not."""
    for _ in range(12):
        children = _children(now)
        deadline = time.monotonic() + 3.0
        while not now.stack.begun(now.workspace.id) and time.monotonic() < deadline:
            pass
        now.pause(0.0, 0.02)
        _kill(now, children, lambda: now.stack.begun(now.workspace.id) > 0)
        now.pause(0.1, 0.3)
        if now.hits >= 3:
            return


def _children(now: Round) -> list[psutil.Process]:
    return until(lambda: [p for node in now.stack.nodes for p in node.pool()], 15, message="no pool process")


def _kill(now: Round, children: list[psutil.Process], is_hit: Callable[[], bool]) -> None:
    """SIGKILL for one of them; a hit when it was at what it should be killed at."""
    child = now.rng.choice(children)
    with suppress(psutil.NoSuchProcess):
        main = child.parent()
        if main is None:
            return
        main.suspend()  # so that it cannot replace its child before we have looked
        try:
            child.kill()
            until(lambda: gone(child.pid))
            now.hit(is_hit())
        finally:
            main.resume()


def kill_node(now: Round) -> None:
    """2: SIGKILL for a whole node at once, launcher, Celery, pool and sweeper, and a new start."""
    for _ in range(4):
        node = now.stack.nodes[0]
        now.in_batch()
        now.pause(0.0, 0.02)
        node.kill9()
        now.hit(now.stack.attempts(now.workspace.id) > 0)
        now.stack.start_one(node)
        now.stack.wait_until_ready()
        now.pause(0.3, 0.6)
        if now.hits:
            return


def stop_holder(now: Round) -> None:
    """3: SIGSTOP for the process that holds the lane, until the others have gone on, and then SIGCONT."""
    for _ in range(20):
        if not now.in_batch():
            continue
        child = now.rng.choice([p for node in now.stack.nodes for p in node.pool()])
        now.pause(0.0, 0.02)
        child.suspend()
        try:
            if not _held_for(now, HELD_SECONDS):
                continue
            before, began = now.cursor(), time.monotonic()
            allowed = STALL_TIMEOUT + 3
            try:
                until(lambda before=before: now.cursor() > before, allowed * 3, message="the lane stays")  # type: ignore[misc]
            except AssertionError:
                now.findings += [f"session: {session}" for session in now.stack.sessions()]
                raise
            seconds = time.monotonic() - began + HELD_SECONDS
            if seconds < STALL_TIMEOUT / 2:
                continue  # somebody else had the lane, and took long
            now.notes["resumed s"] = seconds
            if seconds > allowed:
                now.blame(f"lane: others resumed after {seconds:.1f} s, {allowed} s allowed")
            now.hit()
            now.pause(0.2)
        finally:
            child.resume()
        now.pause(0.3)
        return


def _held_for(now: Round, seconds: float) -> bool:
    """Whether the lane is held, without a break, and its cursor does not move."""
    cursor, ends = now.cursor(), time.monotonic() + seconds
    while time.monotonic() < ends:
        if not now.stack.lane_held(now.workspace.id):
            return False
        time.sleep(0.02)
    return now.cursor() == cursor


def crowd(now: Round) -> None:
    """19: two sweepers and ten workers, and everybody is rung for one workspace all the time."""
    bell = background.celery(_settings(now), producer=True)
    holders: set[int] = set()
    ends = time.monotonic() + 3.0
    while time.monotonic() < ends:
        for _ in range(10):
            bell.send_task("onefold.apply", args=[now.workspace.id], queue="normal", retry=False, ignore_result=True)
        holders |= _lane_holders(now)
        now.pause(0.005)
    now.notes["holders"] = len(holders)
    if len(holders) > 1:
        now.hit(len(holders))
    deadlocks = now.stack.scalar("select deadlocks from pg_stat_database where datname = current_database()")
    if deadlocks:
        now.blame(f"deadlocks: {deadlocks}")


def storm(now: Round) -> None:
    """20: merges in chains, cycles and stars, and applying processes are killed meanwhile."""
    before = now.load.merges()
    ends = time.monotonic() + 3.0
    while time.monotonic() < ends:
        children = [p for node in now.stack.nodes for p in node.pool()]
        if now.in_batch(1.0) and children:
            with suppress(psutil.NoSuchProcess):
                now.rng.choice(children).kill()
        now.pause(0.2, 0.5)
    now.hit(now.load.merges() - before)
    now.notes["merges"] = now.load.merges() - before


def separate(now: Round) -> None:
    """37: merges are taken back and looked at before they are made, and applying processes are killed meanwhile."""
    before = now.load.undone()
    ends = time.monotonic() + 3.0
    while time.monotonic() < ends or (now.load.undone() == before and time.monotonic() < ends + 10.0):
        children = [p for node in now.stack.nodes for p in node.pool()]
        if now.in_batch(1.0) and children:
            with suppress(psutil.NoSuchProcess):
                now.rng.choice(children).kill()
        now.pause(0.3, 0.8)
    now.hit(now.load.undone() - before)


def _lane_holders(now: Round) -> set[int]:
    def work() -> set[int]:
        with now.stack.database.read() as connection:
            rows = connection.exec_driver_sql(
                "select l.pid from pg_locks l join pg_stat_activity a using (pid) where l.relation = 'lane'::regclass"
                " and l.mode = 'RowShareLock' and a.application_name = 'onefold apply'"
            )
            return {row[0] for row in rows}

    return now.stack.look(work)


def _settings(now: Round) -> Settings:
    assert now.stack.valkey is not None
    return Settings(REDIS_URL=now.stack.valkey.url, DATABASE_URL=now.stack.url)


def kill_in_flow(now: Round) -> None:
    """46: backlogs of requests, most of them plain. First the pool process and the sweeper work one off in turns, so
    that each has in memory what was true before the other. Then SIGKILL for the pool process: one batch is being
    written, the next is in memory."""
    for turn in range(3):
        with _backlog(now) as asleep:
            asleep[turn % 2].resume()
            _wait_for_end(now)
    for _ in range(2):
        with _backlog(now):
            pass
        now.load.go()
        for _ in range(2):
            if now.in_batch(2.0):
                now.pause(0.05, 0.4)
                _kill(now, _children(now), lambda: now.stack.attempts(now.workspace.id) > 0)
    now.load.go()


@contextmanager
def _backlog(now: Round) -> Iterator[list[psutil.Process]]:
    """Requests that nobody has begun to apply, and the clients at rest. Gives the processes that apply, which are
    suspended until the end: the pool's first, then sweepers."""
    now.load.hold()
    _wait_for_end(now)
    asleep = [*_children(now), *(sweeper for node in now.stack.nodes for sweeper in _sweepers(node))]
    for process in asleep:
        process.suspend()
    try:
        now.load.go()
        now.accept_more(250)
        now.load.hold()
        yield asleep
    finally:
        for process in asleep:
            process.resume()


def _wait_for_end(now: Round) -> None:
    until(lambda: now.cursor() == sum(now.stack.heads(now.workspace.id)), 30, message="the backlog stays")


def starve(now: Round) -> None:
    """24: no memory for what applies: nothing more than it has now, and a backlog to work off."""
    before = _memory_errors(now)
    node = now.stack.nodes[0]
    used = node.pool()
    for process in used:  # a new one has no memory left over from earlier batches
        process.kill()
    fresh = until(lambda: [p for p in node.pool() if p not in used], 15, message="no pool process")
    limited = [*fresh, *_sweepers(node)]
    for process in limited:
        process.suspend()
    now.accept_more(150)
    for process in limited:
        process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms, psutil.RLIM_INFINITY))
        process.resume()
    now.pause(1.0, 2.0)
    died = sum(gone(process.pid) for process in limited)
    for process in limited:
        with suppress(psutil.NoSuchProcess):
            process.rlimit(psutil.RLIMIT_AS, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
    now.hit(_memory_errors(now) - before + died)
    now.pause(0.3)


def _memory_errors(now: Round) -> int:
    return len(re.findall(r"MemoryError|Cannot allocate memory|out of memory", now.stack.logs()))


def _sweepers(node: Program) -> list[psutil.Process]:
    found = []
    for process in node.family():
        with suppress(psutil.NoSuchProcess):
            found += [process] if "sweeper" in words(process) else []
    return found


def poisoned(now: Round) -> None:
    """28: some requests make applying raise. They die alone, and the lane goes on."""
    worst, ends = 0.0, time.monotonic() + 3.0
    while time.monotonic() < ends:
        head, began = sum(now.stack.heads(now.workspace.id)), time.monotonic()
        until(lambda head=head: now.cursor() >= head, 20, message="the lane stops at a poison request")  # type: ignore[misc]
        worst = max(worst, time.monotonic() - began)
    now.notes["lag ms"] = worst * 1000


def died(now: Round) -> list[str]:
    """Dead are exactly the poison requests."""
    sent = {call.place for call in now.load.calls if call.accepted and call.sending.marker.startswith("poison")}
    with now.stack.database.read() as connection:
        rows = connection.exec_driver_sql(f"select stream, seq from dead where workspace_id = {now.workspace.id}").all()
    now.hit(len(rows))
    dead = {(row[0], row[1]) for row in rows}
    return [] if dead == sent else [f"dead: {len(dead)} requests, {len(sent)} were poison, {len(dead ^ sent)} differ"]


def two_writers(now: Round) -> None:
    """31: two API processes append to one SQLite inbox, half of the clients each, while the worker is killed."""
    now.accept_more(20)
    kill_child(now)


_PROCESSES: Final = ("-m", "celery", "-A", "fault.poisoned", "worker", "-E", "-Q", "sync,normal,bulk")
_HASTY: Final = ("-m", "celery", "-A", "fault.hasty", "worker", "-E", "-Q", "sync,normal,bulk")
_QUIETLY: Final = ("-c", "1", "--without-mingle", "--without-gossip", "-l", "WARNING")

SCENARIOS: Final = (
    Scenario(
        1,
        "kill -9 of the applying process",
        "a batch had begun and was rolled back: its counted attempt stayed",
        kill_child,
        load=BUSY,
        stores=(POSTGRESQL, SQLITE),
        lag_seconds=5,
        clean=True,
    ),
    Scenario(
        2,
        "kill -9 of a whole node",
        "a batch had begun and was rolled back: its counted attempt stayed",
        kill_node,
        load=LoadPlan(clients=4, objects=40, rate=30),
        stores=(POSTGRESQL, SQLITE),
        lag_seconds=5,
        may_break=True,
        scaled="a kill a round",
    ),
    Scenario(
        3,
        "SIGSTOP of the process that holds the lane",
        "the stopped process held the lane, and others took it over while it was stopped",
        stop_holder,
        layout=Layout(nodes=2, settings={"ONEFOLD_DATABASE_TIMEOUT_SECONDS": str(STALL_TIMEOUT)}),
        load=BUSY,
        clean=True,
        scaled=f"time-out of a stalled transaction {STALL_TIMEOUT} s, not 15",
    ),
    Scenario(
        19,
        "two sweepers, ten workers, one workspace",
        "several sessions of workers have held the lane",
        crowd,
        layout=Layout(apis=2, nodes=2, processes=5),
        load=BUSY,
        clean=True,
    ),
    Scenario(
        20,
        "merges in chains, cycles and stars, ten workers",
        "profiles were merged",
        storm,
        layout=Layout(nodes=2, processes=5),
        load=LoadPlan(clients=5, own=10, rate=80, operations={"track": 0.2, "identity": 0.8}),
        clean=True,
    ),
    Scenario(
        37,
        "merges undone and previewed, while workers are killed",
        "merges were undone",
        separate,
        layout=Layout(nodes=2, processes=2),
        load=LoadPlan(
            clients=6,
            own=10,
            rate=40,
            operations={"track": 0.25, "identity": 0.4, "undo": 0.25, "preview": 0.05, "flags": 0.05},
        ),
        stores=(POSTGRESQL, SQLITE),
    ),
    Scenario(
        46,
        "a backlog, and what works it off killed",
        "a batch had begun and was rolled back: its counted attempt stayed",
        kill_in_flow,
        load=LoadPlan(
            clients=3, people=3_000, objects=48, rate=40, operations={"track by id": 0.995, "identity": 0.005}
        ),
        stores=(POSTGRESQL, SQLITE),
        clean=True,
    ),
    Scenario(
        24,
        "no memory for workers (RLIMIT_AS)",
        "MemoryError, or a process that died of it",
        starve,
        load=LoadPlan(clients=5, objects=50, rate=60),
        clean=True,
    ),
    Scenario(
        28,
        "poison requests",
        "requests are dead, and they are the poison ones",
        poisoned,
        layout=Layout(
            node_programs=((*_PROCESSES, *_QUIETLY), ("-m", "fault.poisoned")),
        ),
        load=LoadPlan(operations={"track": 0.87, "identity": 0.1, "poison": 0.03}),
        check=died,
        clean=True,
    ),
    Scenario(
        43,
        "kill -9 between two parts of a request",
        "a part of a request was committed, and the rest of it was not",
        kill_between,
        layout=Layout(node_programs=((*_HASTY, *_QUIETLY), ("-m", "fault.hasty"))),
        load=LoadPlan(clients=3, objects=6, rate=4),
        clean=True,
        scaled="a transaction ends after two commands",
    ),
    Scenario(
        31,
        "SQLite: two processes accept, one is killed applying",
        "a batch had begun and was rolled back, with two processes writing",
        two_writers,
        layout=Layout(apis=2),
        load=BUSY,
        stores=(SQLITE,),
        clean=True,
    ),
)
