"""What a neighbour costs: the time from 201 to applied of single requests, alone and beside something that never ends.

One worker process. The load beside it is more than the worker can apply, through the API, so its backlog grows from the
first second to the last.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from typing import Final

from bench import data, preload
from bench.latency import cursor_of, number_of
from bench.load import HOST, Run
from bench.options import Options
from bench.stack import Site, Stack, neighbour
from bench.table import BenchError, Row, median, say

#: Requests of 50 objects a second: two and a half times what a worker applies on the machine of docs/performance.md.
FLOOD_RATE: Final = 450.0
CONNECTIONS: Final = 32
USERS: Final = 10_000
ALONE_SECONDS: Final = 5.0
#: Of the workspace with poison in it: well below what a worker applies.
STEADY_RATE: Final = 60.0
PAUSE_SECONDS: Final = 0.05
LATEST_SECONDS: Final = 30.0
POISON: Final = {"events": [{"external_id": data.external_id(0), "name": "poison", "time": "2026-11-20T10:00:00Z"}]}


class Single:
    """A client that sends one request, waits until it is applied, and sends the next."""

    def __init__(self, port: int, site: Site, bodies: list[bytes], cursor: Callable[[], int]) -> None:
        self._connection = HTTPConnection(HOST, port, timeout=LATEST_SECONDS)
        self._headers = {"Authorization": f"Bearer {site.key}", "Content-Type": "application/json"}
        self._bodies, self._cursor, self._sent = bodies, cursor, 0

    def close(self) -> None:
        self._connection.close()

    def post(self, body: bytes) -> int:
        """Its number in the stream, as its request id says. Raises BenchError for another answer than 201."""
        self._connection.request("POST", "/users/track", body, self._headers)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise BenchError(f"answered {answer.status}")
        return number_of(answer)

    def once(self) -> float:
        """Milliseconds from the 201 of the next request until it is applied."""
        self._sent += 1
        number = self.post(self._bodies[self._sent % len(self._bodies)])
        began = time.perf_counter()
        while self._cursor() < number:
            if time.perf_counter() - began > LATEST_SECONDS:
                raise BenchError(f"a request was not applied within {LATEST_SECONDS:g} s")
            time.sleep(0.0005)
        return (time.perf_counter() - began) * 1000

    def during(self, seconds: float, first: Callable[[], object] = lambda: None) -> list[float]:
        """All of them for so long, sorted; `first` is called before each."""
        found, ends = list[float](), time.monotonic() + seconds
        while time.monotonic() < ends:
            first()
            found.append(self.once())
            time.sleep(PAUSE_SECONDS)
        return sorted(found)


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """Beside a flooded workspace, beside a full bulk stream, behind poison."""
    users = min(options.users, USERS)
    yield from _beside(stack, options, users, "a flooded workspace", "", own=False)
    yield from _beside(stack, options, users, "a full bulk stream", "X-Braze-Bulk: true", own=True)
    yield from _poisoned(stack, options, users)


def _beside(stack: Stack, options: Options, users: int, what: str, header: str, *, own: bool) -> list[Row]:
    """`own`: the single requests are of the workspace that is flooded."""
    site, alone_seconds = stack.site("fair_bulk" if own else "fair_flood"), _alone_seconds(options)
    preload.fill(site, users)
    mine = site if own else neighbour(site, "neighbour")
    with (
        single_client(stack, options, site, mine) as (single, port),
        stack.generator(users, data.UNIFORM, options.bodies) as flood,
    ):
        alone = single.during(alone_seconds)
        results: list[float] = []
        run = Run(port, site.key, CONNECTIONS, options.seconds + 2, FLOOD_RATE, header)
        thread = threading.Thread(target=lambda: results.append(flood.run(run).rate))
        thread.start()
        time.sleep(1.0)
        beside = single.during(options.seconds)
        thread.join()
    if not results:
        raise BenchError("the flood failed")
    return _rows(stack, what, alone, beside, f"{results[0]:,.0f} requests/s of {data.OBJECTS} objects beside them")


def _poisoned(stack: Stack, options: Options, users: int) -> list[Row]:
    """A steady stream, into which a request comes that cannot be applied, and then the one that is timed."""
    site, alone_seconds = stack.site("fair_poison"), _alone_seconds(options)
    preload.fill(site, users)
    sent = 0
    with (
        single_client(stack, options, site, site, "fault.poisoned") as (single, port),
        stack.generator(users, data.UNIFORM, options.bodies) as steady,
    ):
        thread = threading.Thread(
            target=steady.run,
            args=(Run(port, site.key, CONNECTIONS, alone_seconds + options.seconds + 1, STEADY_RATE),),
        )
        thread.start()
        alone = single.during(alone_seconds)

        def poison() -> None:
            nonlocal sent
            single.post(json.dumps(POISON).encode())
            sent += 1

        behind = single.during(options.seconds, poison)
        thread.join()
    return _rows(stack, "a poison request", alone, behind, f"{sent} of them in {STEADY_RATE:g} requests/s")


@contextmanager
def single_client(
    stack: Stack, options: Options, site: Site, mine: Site, app: str = "workers.celery_app"
) -> Iterator[tuple[Single, int]]:
    """(a client of `mine`, the port of the API), with one worker process of this Celery application."""
    with ExitStack() as running:
        port = running.enter_context(stack.api(site))
        running.enter_context(stack.worker(site, app))
        cursor = running.enter_context(cursor_of(mine))
        single = Single(port, mine, data.bodies(200, USERS, data.UNIFORM, options.seed + 1), cursor)
        running.callback(single.close)
        single.once()  # has waited for the worker to start
        yield single, port


def _rows(stack: Stack, what: str, alone: list[float], beside: list[float], notes: str) -> list[Row]:
    """The greatest is what is promised; the floor is the same without."""
    label = f"from 201 to applied beside {what}, {stack.store}"
    rows = [
        Row(f"{label}, {name}", of(beside), "ms", of(alone), notes if name == "median" else "")
        for name, of in (("median", median), ("p99", _p99), ("greatest", max))
    ]
    say("  " + label + ": " + ", ".join(f"{row.ours:,.0f} ms (alone {row.floor:,.0f})" for row in rows))
    return rows


def _alone_seconds(options: Options) -> float:
    return options.seconds if options.quick else ALONE_SECONDS


def _p99(found: list[float]) -> float:
    return found[len(found) * 99 // 100]
