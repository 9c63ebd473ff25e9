"""Row 6, the time from 201 to applied: of single requests at rest, and beside a load."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy import make_url

from bench import data
from bench.accepting import driver_dsn
from bench.applying import filled
from bench.load import HOST
from bench.options import Options
from bench.stack import Site, Stack
from bench.table import BenchError, Row, median

SINGLES_PER_SECOND: Final = 20
#: Before anything counts: the worker starts, and everything is used once.
WARM_SECONDS: Final = 1.0
#: After which a request counts as lost.
LATEST_SECONDS: Final = 30.0


def latency(stack: Stack, options: Options) -> Iterator[Row]:
    """Single requests at a low rate, and nothing else. Raises BenchError."""
    site = filled(stack, options)
    bodies = data.bodies(200, options.users, data.UNIFORM, options.seed + 1)
    with ExitStack() as running:
        port = running.enter_context(stack.api(site))
        running.enter_context(stack.worker(site))
        found = singles(site, port, bodies, options.seconds)
    yield from rows(f"from 201 to applied, {stack.store}", found)


def rows(label: str, found: list[float], notes: str = "") -> Iterator[Row]:
    """Median and p99 of times in milliseconds."""
    found = sorted(found)
    single = f"{len(found)} single requests of {data.OBJECTS} objects, {SINGLES_PER_SECOND}/s at most"
    yield Row(f"{label}, median", median(found), "ms", notes="; ".join(filter(None, [single, notes])))
    yield Row(f"{label}, p99", found[len(found) * 99 // 100], "ms")


def singles(site: Site, port: int, bodies: list[bytes], seconds: float) -> list[float]:
    """Send single requests for so long. Milliseconds of each from its 201 until the cursor has passed it.

    The cursor is read directly, again and again, from the moment of the 201. Raises BenchError.
    """
    found: list[float] = []
    with ExitStack() as running:
        read = running.enter_context(cursor_of(site))
        connection = HTTPConnection(HOST, port, timeout=10)
        running.callback(connection.close)
        headers = {"Authorization": f"Bearer {site.key}", "Content-Type": "application/json"}
        warm = end = 0.0
        for number in range(100_000):
            due = time.monotonic() + 1 / SINGLES_PER_SECOND
            if number == 1:  # the first one has waited for the worker to start
                warm, end = due + WARM_SECONDS, due + WARM_SECONDS + seconds
            elif number and due > end:
                break
            connection.request("POST", "/users/track", bodies[number % len(bodies)], headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 201:
                raise BenchError(f"answered {answer.status}")
            # Others' requests are in the stream too, so counting does not tell its number.
            began, expected = time.perf_counter(), number_of(answer)
            while read() < expected:
                if time.perf_counter() - began > LATEST_SECONDS:
                    raise BenchError(f"a request was not applied within {LATEST_SECONDS:.0f} s")
                time.sleep(0.0003)
            if number and time.monotonic() > warm:
                found.append((time.perf_counter() - began) * 1000)
            with suppress(ValueError):
                time.sleep(due - time.monotonic())
    return found


def number_of(answer: HTTPResponse) -> int:
    """The number of an accepted request in its stream, as its request id says."""
    return int(str(answer.headers["X-Request-Id"]).replace("-", "")[:12], 16)


@contextmanager
def cursor_of(site: Site) -> Iterator[Callable[[], int]]:
    """A function that reads the cursor of the live stream on a connection of its own."""
    query = f"select cursor_normal from lane where workspace_id = {site.workspace_id}"
    if site.url.startswith("sqlite"):
        path = make_url(site.url).database
        assert path is not None
        lite = sqlite3.connect(Path(path), isolation_level=None)
        try:
            yield lambda: int(lite.execute(query).fetchone()[0])
        finally:
            lite.close()
        return
    with psycopg.connect(driver_dsn(site.url), autocommit=True) as connection:

        def read() -> int:
            row = connection.execute(query, prepare=True).fetchone()
            assert row is not None
            return int(row[0])

        yield read
