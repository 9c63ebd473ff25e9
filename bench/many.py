"""Ten thousand workspaces, each with a request now and then: how long one waits, and what watching them all costs."""

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Final

from sqlalchemy import text

from app.adapters.clock import now_us
from app.adapters.rates import reference_table
from app.services.permissions import PERMISSIONS
from app.store import keys, workspaces
from bench.latency import number_of
from bench.load import HOST
from bench.options import Options
from bench.stack import KEY_NAME, Site, Stack
from bench.table import BenchError, Row, median, say

WORKSPACES: Final = 10_000
PER_SECOND: Final = 20
#: Milliseconds that the slowest may take, and the share of one core that a sweeper may.
GOAL_MS, GOAL_SHARE = 1_000.0, 0.05
LATEST_SECONDS: Final = 30.0
_SETTINGS: Final = text("update lane set settings = :settings")
_CURSOR: Final = text("select cursor_normal from lane where workspace_id = :workspace_id")


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """Milliseconds from a 201 to applied, and the sweeper's share of a core. Raises BenchError for a missed goal."""
    count = 50 if options.quick else WORKSPACES
    site = stack.site("many")
    began = time.monotonic()
    tenants = _tenants(site, count)
    say(f"  {count:,} workspaces made in {time.monotonic() - began:.0f} s")
    with stack.api(site) as port, stack.worker(site), _cursor(site) as cursor:
        connection = HTTPConnection(HOST, port, timeout=LATEST_SECONDS)
        try:
            _once(connection, tenants[0], cursor)  # has waited for the worker to start
            before, began = stack.meter.read(), time.monotonic()
            rng = random.Random(options.seed)
            found = list(_during(options.seconds, lambda: _once(connection, rng.choice(tenants), cursor)))
            seconds = time.monotonic() - began
            share, shares = stack.meter.used("sweeper", before) / seconds, stack.meter.shares(before)
        finally:
            connection.close()
    found.sort()
    label = f"{count:,} workspaces, {stack.store}"
    yield Row(f"{label}: from 201 to applied, median", median(found), "ms", notes=f"{len(found)} requests. {shares}")
    yield Row(f"{label}: the same, p99", found[len(found) * 99 // 100], "ms")
    yield Row(f"{label}: the same, greatest", found[-1], "ms", GOAL_MS, "floor: the aim")
    yield Row(f"{label}: sweeper, of one core", 100 * max(share, 1e-4), "%", 100 * GOAL_SHARE, "floor: the aim")
    if not options.quick and (found[-1] > GOAL_MS or share > GOAL_SHARE):
        raise BenchError(f"the aim is missed: {found[-1]:.0f} ms, sweeper {share:.1%} of a core")


Tenant = tuple[int, str]
"""Number of a workspace, and a key of it."""


def _tenants(site: Site, count: int) -> list[Tenant]:
    database, made = site.open(), list[Tenant]()
    limits = {"hourly_limit": 10**9, "burst_limit": 10**6, "burst_window_seconds": 1}
    try:
        for n in range(count):
            number = workspaces.number(workspaces.create(database, f"tenant {n}", "mau_cy_24_25", now_us(), **limits))
            made.append((number, keys.create(database, number, KEY_NAME, PERMISSIONS, now_us())))
        # The table of reference rates is in force, as it is but for the minutes after a newer one was installed.
        with database.write() as connection:
            connection.execute(_SETTINGS, {"settings": json.dumps({"rates_until": reference_table().last_day})})
    finally:
        database.dispose()
    return made


def _during(seconds: float, once: Callable[[], float]) -> Iterator[float]:
    ends = time.monotonic() + max(2.0, seconds)
    while time.monotonic() < ends:
        due = time.monotonic() + 1 / PER_SECOND
        yield once()
        time.sleep(max(0.0, due - time.monotonic()))


def _once(connection: HTTPConnection, tenant: Tenant, cursor: Callable[[int], int]) -> float:
    """Milliseconds from the 201 of a request until it is applied."""
    number, key = tenant
    body = json.dumps({"attributes": [{"external_id": "ada", "visits": {"inc": 1}}]})
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", "/users/track", body, headers)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 201:
        raise BenchError(f"answered {answer.status}")
    began, seq = time.perf_counter(), number_of(answer)
    while cursor(number) < seq:
        if time.perf_counter() - began > LATEST_SECONDS:
            raise BenchError(f"a request was not applied within {LATEST_SECONDS:g} s")
        time.sleep(0.0005)
    return (time.perf_counter() - began) * 1000


@contextmanager
def _cursor(site: Site) -> Iterator[Callable[[int], int]]:
    """A function that reads the cursor of a workspace's live stream."""
    database = site.open()
    try:

        def read(workspace_id: int) -> int:
            with database.read() as connection:
                return int(connection.execute(_CURSOR, {"workspace_id": workspace_id}).scalar_one())

        yield read
    finally:
        database.dispose()
