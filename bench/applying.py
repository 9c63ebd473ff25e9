"""Row 4: one worker applies what is queued, on a workspace that is already full."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from app.store.inbox import log as inbox
from bench import data, preload
from bench.options import Options
from bench.stack import Site, Stack
from bench.table import BenchError, Row, median, say

ROUNDS = 3
#: Requests applied first: they warm caches, grow the batch and tell how many are needed for the measured time.
WARM_REQUESTS = 300
ROOM = 1.5


class Drainer:
    """The applier's process."""

    def __init__(self, process: Any) -> None:
        self._process = process
        process.stdout.readline()

    def drain(self, seconds: float) -> dict[str, Any]:
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BenchError("the applier ended")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def drainer(stack: Stack, site: Site, profile: str = "") -> Iterator[Drainer]:
    argv = (sys.executable, "-m", "bench.drain", site.url, str(site.workspace_id), *([profile] if profile else []))
    with stack.process("applier", argv, dict(os.environ), pipes=True) as process:
        yield Drainer(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def filled(stack: Stack, options: Options) -> Site:
    """The site with all profiles."""
    if "full" not in stack.sites:
        seconds = preload.fill(stack.site("full"), options.users)
        say(f"  {options.users:,} profiles preloaded in {seconds:.0f} s")
    return stack.site("full")


def finish(stack: Stack, site: Site, seconds: float = 300) -> None:
    """Apply what is left."""
    with drainer(stack, site) as applier:
        applier.drain(seconds)


def measure(stack: Stack, options: Options, floor: float | None) -> list[Row]:
    """`floor` in whole profiles rewritten a second."""
    site = filled(stack, options)
    rows = []
    for distribution in data.DISTRIBUTIONS:
        bodies = data.bodies(2000, options.users, distribution, options.seed)
        with drainer(stack, site) as applier:
            preload.queue(site, bodies, WARM_REQUESTS)
            warm = applier.drain(60)
            preload.queue(
                site, bodies, int(ROOM * options.seconds * warm["requests"] / warm["seconds"]) + WARM_REQUESTS
            )
            before = stack.meter.read()
            done = [applier.drain(options.seconds / ROUNDS) for _ in range(ROUNDS)]
            shares = stack.meter.shares(before)
            applier.drain(300)
        if any(one["skipped"] for one in done):
            raise BenchError("objects were skipped")
        batches, distinct = _batches(site, done)
        profiles_rate = median([sum(d) / one["seconds"] for d, one in zip(distinct, done, strict=True)])
        notes = (
            f"{median([n for d in distinct for n in d]):,.0f} distinct profiles"
            f" in {median(batches):.0f} requests a batch,"
            f" {profiles_rate:,.0f} profiles/s written. {shares}"
        )
        rate = median([one["objects"] / one["seconds"] for one in done])
        rows.append(Row(f"apply, 1 worker, {distribution}, {stack.store}", rate, "objects/s", floor, notes))
        say(f"  apply {distribution}: {rate:,.0f} objects/s; {notes}")
    return rows


def _batches(site: Site, done: list[dict[str, Any]]) -> tuple[list[int], list[list[int]]]:
    """Requests in every batch, and distinct profiles in every batch of every round."""
    decode, database = msgspec.json.Decoder().decode, site.open()
    sizes: list[int] = []
    distinct: list[list[int]] = []
    try:
        with database.read(database.inbox) as connection:
            for one in done:
                first = one["ends"][-1] - one["requests"] if one["ends"] else 0
                distinct.append([])
                for end in one["ends"]:
                    found = inbox.read(connection, site.workspace_id, 0, first, 0, end - first)
                    documents = [decode(request.body) for request in found]
                    people = {obj["external_id"] for doc in documents for objects in doc.values() for obj in objects}
                    distinct[-1].append(len(people))
                    sizes.append(end - first)
                    first = end
    finally:
        database.dispose()
    return sizes, distinct
