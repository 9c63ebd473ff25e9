"""Where the time of an object goes when it is applied under a backlog: one batch after another, part by part.

One thread does what a flow (workers/flow.py) does in three, so no part waits for another. The processor's time is that
of this thread; what else a part takes is spent in PostgreSQL, and on the way there. SQLite works in this thread.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from app.adapters import rates, runtime
from app.domain.commands import STREAM_NORMAL
from app.domain.identifiers import ChannelAddress
from app.domain.loading import addresses_needed, shared_addresses
from app.store.bulk import execute, pipelined
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.names import NameCache
from app.store.profiles.catalogue import MAX_NAMES, make_names, remember
from app.store.profiles.look_up import fetch_addresses
from app.store.profiles.resident import Resident
from app.store.profiles.save import writes
from app.store.series import MAX_SERIES
from bench import data, preload
from bench.options import Options
from bench.stack import Site, Stack
from bench.table import BenchError, Row, median, say
from workers.ahead import LEAST_PLAIN, decoded, first_run
from workers.batches import Patience
from workers.parts import reduce_requests

#: Requests of a batch, as a flow has them under a backlog of uniform objects.
REQUESTS: Final = 46
ROUNDS: Final = 5
RESIDENT_BYTES: Final = 128 * 1024 * 1024
PARTS: Final = (
    "read requests",
    "decode requests",
    "what they need",
    "look up and decode profiles",
    "enter them",
    "consent of addresses",
    "reduce",
    "rows and documents",
    "statements",
    "write and commit",
    "remember and evict",
)


class _Times:
    """Microseconds by part: of this thread's processor, and of the clock."""

    def __init__(self) -> None:
        self.cpu, self.wall = dict.fromkeys(PARTS, 0.0), dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        cpu, wall = time.thread_time(), time.perf_counter()
        yield
        self.cpu[part] += (time.thread_time() - cpu) * 1e6
        self.wall[part] += (time.perf_counter() - wall) * 1e6

    def away(self, part: str) -> float:
        """Microseconds that this thread was not on a processor."""
        return max(0.0, self.wall[part] - self.cpu[part])


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """Microseconds of each part for one object, medians of the rounds."""
    runtime.tune(young=1_000_000)  # as a worker does: nobody looks for cycles in the middle of a batch
    batches = 2 if options.quick else 12
    site = stack.site("budget")
    preload.fill(site, options.users)
    for distribution in data.DISTRIBUTIONS:
        rounds = []
        for n in range(1 + ROUNDS):
            bodies = data.bodies(batches * REQUESTS, options.users, distribution, options.seed + n)
            times = _round(site, bodies)
            if n:  # the first one warms the caches
                rounds.append(times)
        objects = batches * REQUESTS * data.OBJECTS
        cpu = {part: median([times.cpu[part] for times in rounds]) / objects for part in PARTS}
        away = {part: median([times.away(part) for times in rounds]) / objects for part in PARTS}
        for part in PARTS:
            say(f"  {distribution}, {part}: {cpu[part]:.1f} µs of CPU, {away[part]:.1f} µs elsewhere")
        what = f"an object, part by part, {distribution}, {stack.store}"
        parts = "; ".join(f"{part} {cpu[part]:.1f} + {away[part]:.1f}" for part in PARTS)
        yield Row(what, sum(cpu.values()), "µs of CPU", notes=f"{sum(away.values()):.1f} µs elsewhere: {parts}")


def _round(site: Site, bodies: list[bytes]) -> _Times:
    """Apply requests. Their effects are committed, and the cursor stays where it was."""
    times, resident, names = _Times(), Resident(), NameCache()
    database = site.open(apply=True)
    try:
        after, _ = preload.place(database, site)
        preload.queue(site, bodies, len(bodies))
        for _ in range(len(bodies) // REQUESTS):
            _batch(database, site, times, resident, names, after)
            after += REQUESTS
    finally:
        database.dispose()
    return times


def _batch(database: Database, site: Site, times: _Times, resident: Resident, names: NameCache, after: int) -> None:
    workspace_id, state = site.workspace_id, resident.state
    with times.of("read requests"), database.read(database.inbox) as connection:
        found = inbox.read(connection, workspace_id, STREAM_NORMAL, after, 0, REQUESTS)
    with times.of("decode requests"):
        requests = [decoded(one) for one in found]
    with times.of("what they need"):
        wanted = first_run(requests, LEAST_PLAIN).wanted
    if wanted is None or len(requests) != REQUESTS:
        raise BenchError("a batch of the bench does not flow")
    with times.of("look up and decode profiles"), database.read() as connection:
        read = resident.read(connection, workspace_id, wanted, RESIDENT_BYTES)
    with times.of("enter them"):
        resident.take(read)
        people = resident.use(wanted)
    with times.of("consent of addresses"):
        state.reference_rates = rates.usd
        needed = [addresses_needed(request.commands, state, moving=False) for request in requests]
        unknown = resident.unknown(set[ChannelAddress]().union(*needed))
        if unknown:
            with database.read() as connection:
                state.know(fetch_addresses(connection, workspace_id, unknown))
        asking = (n for n, addresses in enumerate(needed) if addresses)
        shared = any(shared_addresses(requests[n].commands, state, moving=False) for n in asking)
    with times.of("reduce"):
        done, _ = reduce_requests(state, requests, workspace_id, site.secret, Patience(reduce=60.0), None)
    if people is None or shared or done != REQUESTS:
        raise BenchError("a batch of the bench was not reduced as a whole")
    with database.write() as connection:
        made = make_names(connection, workspace_id, state.changes, names, MAX_NAMES, MAX_SERIES)
    remember(names, made)
    with times.of("rows and documents"):
        resident.applied()
        rows = list(writes(workspace_id, state, {}, names, with_values=False, known=resident.known))
    with times.of("statements"):
        statements = [one for write, some in rows for one in write.statements(workspace_id, some, database.dialect)]
    with times.of("write and commit"), database.write() as connection, pipelined(connection):
        execute(connection, statements)
    with times.of("remember and evict"):
        resident.evict(RESIDENT_BYTES)
