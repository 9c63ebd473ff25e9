"""Rows 1 to 3: the bare FastAPI route, and accepting for real, in turns; and what the disk allows one client."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from bench import data, preload
from bench.load import Result, Run
from bench.options import Options
from bench.stack import Generator, Site, Stack
from bench.table import BenchError, Row, median, say

CONNECTIONS = (1, 64)
#: Connections, and objects in a request.
LOADS = (*((connections, data.OBJECTS) for connections in CONNECTIONS), (CONNECTIONS[-1], 1))
#: Whose work a request is, while no worker runs.
SERVERS = ("api", "postgres", "valkey")
ROUNDS = 3
WARM_SECONDS = 0.7


@dataclass(slots=True)
class Turns:
    """What the floor and the real API did in turns. `cost`: milliseconds of CPU of the API for a request; `whole`: of
    the API, PostgreSQL and Valkey."""

    floors: list[Result] = field(default_factory=list)
    ours: list[Result] = field(default_factory=list)
    accepted: int = 0
    shares: str = ""
    cost: float = 0.0
    whole: float = 0.0

    def rows(self, store: str, what: str, connections: int, objects: int, unit: str) -> list[Row]:
        """`objects`: in a request."""
        rate, floor = median([one.rate for one in self.ours]), median([one.rate for one in self.floors])
        label = f"{connections} connection{'s' if connections > 1 else ''}"
        if objects == 1:
            label += ", 1 object each"
        cost = f"{self.cost:.2f} ms of CPU each, {self.whole:.2f} with the servers"
        notes = f"{_latency(self.ours)}; all 201; {cost}. {self.shares}"
        return [
            Row(f"bare FastAPI route, {label}", floor, "requests/s", notes=f"the floor; {_latency(self.floors)}"),
            Row(f"{what}, {label}, {store}", rate, "requests/s", floor, notes),
            Row(f"{what}, {label}, {store}", rate * objects, unit, floor * objects),
        ]


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """The API alone on an empty database: no worker runs."""
    site = stack.site("accept")
    accepted = 0
    with stack.bare() as floor_port, stack.api(site) as port:
        for connections, objects in LOADS:
            floor, ours = (Run(one, site.key, connections, 0.0) for one in (floor_port, port))
            with stack.generator(options.users, data.UNIFORM, options.bodies, objects) as generator:
                turns = in_turns(stack, generator, floor, ours, options)
            accepted += turns.accepted
            yield from turns.rows(stack.store, "accept", connections, objects, "objects/s")
        counted(site, accepted)
    yield _commit_floor(stack, options)


def in_turns(stack: Stack, generator: Generator, floor: Run, ours: Run, options: Options) -> Turns:
    """Several rounds of the two, each as long as `options` says; one before them warms both up."""
    turns = Turns()
    for number in range(ROUNDS + 1):
        seconds = options.seconds / ROUNDS if number else WARM_SECONDS
        bare = generator.run(replace(floor, seconds=seconds))
        before = stack.meter.read()
        found = generator.run(replace(ours, seconds=seconds))
        turns.accepted += found.accepted
        if number:
            turns.floors.append(bare)
            turns.ours.append(found)
            turns.shares = stack.meter.shares(before)
            used = {name: stack.meter.used(name, before) for name in SERVERS if name in before.seconds}
            turns.cost = 1000 * used["api"] / max(1, found.accepted)
            turns.whole = 1000 * sum(used.values()) / max(1, found.accepted)
    say(f"  {ours.connections} connections: {turns.shares}")
    return turns


def _latency(results: list[Result]) -> str:
    p50, p99 = median([one.median_ms for one in results]), median([one.p99_ms for one in results])
    return f"median {p50:.2f} ms, p99 {p99:.1f} ms"


def counted(site: Site, accepted: int) -> None:
    """Every 201 is in the inbox, and nothing else is."""
    database = site.open()
    try:
        head, cursor = preload.place(database, site)
        with database.read(database.inbox) as connection:
            rows = connection.exec_driver_sql("select count(*) from inbox").scalar_one()
    finally:
        database.dispose()
    if not head == rows == accepted or cursor:
        raise BenchError(f"{accepted} requests were answered 201, {rows} are in the inbox, its head is {head}")
    say(f"  {accepted:,} answers 201, {rows:,} rows in the inbox")


def _commit_floor(stack: Stack, options: Options) -> Row:
    """One client that inserts 11 KB and waits for the disk: what a single connection can get at best."""
    body = data.bodies(1, 100, data.UNIFORM, options.seed)[0]
    if stack.postgres is not None:
        with psycopg.connect(stack.postgres.dsn, autocommit=True) as connection:
            connection.execute("create table commit_floor (body bytea not null)")

            def insert() -> None:
                connection.execute("insert into commit_floor values (%s)", (body,), prepare=True)

            rate = _rate(insert, options.seconds / ROUNDS)
    else:
        rate = _sqlite_commits(stack.folder / "commit-floor.db", body, options.seconds / ROUNDS)
    return Row(f"durable insert of one request, {stack.store}", rate, "commits/s", notes="the disk's floor: one client")


def _sqlite_commits(path: Path, body: bytes, seconds: float) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("create table commit_floor (body blob not null)")
    try:
        return _rate(lambda: connection.execute("insert into commit_floor values (?)", (body,)), seconds)
    finally:
        connection.close()


def _rate(work: Callable[[], object], seconds: float) -> float:
    done, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        work()
        done += 1
    return done / elapsed


def driver_dsn(url: str) -> str:
    """The URL of a site for psycopg itself."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
