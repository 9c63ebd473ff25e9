"""Row 4: one worker applies what is queued, on a workspace that is already full."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import msgspec

from app.contract import stored
from app.store.inbox import log as inbox
from bench import data, preload, rewriting
from bench.options import Options
from bench.stack import Site, Stack
from bench.table import BenchError, Row, median, say

ROUNDS = 3
#: Who is drawn, and how many objects are in a request.
CASES = ((data.UNIFORM, data.OBJECTS), (data.ZIPF, data.OBJECTS), (data.UNIFORM, 1))
#: Objects applied first: they warm caches, grow the batch and tell how many take the measured time.
WARM_OBJECTS = 15_000
#: After which a round has failed.
LATEST_SECONDS = 300.0


class Drainer:
    """The applier's process."""

    def __init__(self, process: Any) -> None:
        self._process = process
        process.stdout.readline()

    def drain(self, seconds: float = LATEST_SECONDS) -> dict[str, Any]:
        """Apply what is queued; what was done. Raises BenchError."""
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BenchError("the applier ended")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def drainer(stack: Stack, site: Site, profile: str = "", name: str = "applier") -> Iterator[Drainer]:
    """`name`: of the process, where there are several at once."""
    argv = (sys.executable, "-m", "bench.drain", site.url, str(site.workspace_id), *([profile] if profile else []))
    with stack.process(name, argv, dict(os.environ), pipes=True) as process:
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


def finish(stack: Stack, site: Site) -> None:
    """Apply what is left."""
    with drainer(stack, site) as applier:
        applier.drain()


def work(
    applier: Drainer, site: Site, bodies: list[bytes], requests: int, objects: int = data.OBJECTS
) -> dict[str, Any]:
    """Queue so many requests of so many objects and apply them, and nothing else. Raises BenchError unless all of them
    were applied."""
    preload.queue(site, bodies, requests)
    done = applier.drain()
    if done["requests"] != requests or done["objects"] != requests * objects or done["skipped"]:
        raise BenchError(
            f"of {requests:,} requests {done['requests']:,} were applied with {done['objects']:,} objects,"
            f" {done['skipped']:,} skipped, in {done['seconds']:.1f} s"
        )
    return done


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """Objects a second, by whole profiles rewritten a second just before and behind each round: a minute later, many a
    machine has another speed. A round is a number of requests, not a time."""
    site = filled(stack, options)
    with rewriting.whole(stack, options) as rewrite:
        yield from _measured(stack, site, options, lambda: rewrite(options.share(5, 1.0)))


def _measured(stack: Stack, site: Site, options: Options, floor: Callable[[], float]) -> Iterator[Row]:
    for distribution, objects in CASES:
        # As many objects in all: the profiles that are drawn twice are the same.
        count = options.bodies * data.OBJECTS // objects
        bodies = data.bodies(count, options.users, distribution, options.seed, objects)
        with drainer(stack, site) as applier:
            least = WARM_OBJECTS // objects
            warm = work(applier, site, bodies, least // 10 if options.quick else least, objects)
            requests = max(1, int(options.seconds / ROUNDS * warm["requests"] / warm["seconds"]))
            done, floors, shares = [], [floor()], ""
            for _ in range(ROUNDS):
                before = stack.meter.read()
                done.append(work(applier, site, bodies, requests, objects))
                shares = stack.meter.shares(before)
                floors.append(floor())
        batches, distinct = _batches(site, done)
        profiles_rate = median([sum(d) / one["seconds"] for d, one in zip(distinct, done, strict=True)])
        rates = [one["objects"] / one["seconds"] for one in done]
        beside = [(before + after) / 2 for before, after in pairwise(floors)]
        ratios = [rate / rewritten for rate, rewritten in zip(rates, beside, strict=True)]
        notes = (
            f"{median([n for d in distinct for n in d]):,.0f} distinct profiles"
            f" in {median(batches):.0f} requests a batch,"
            f" {profiles_rate:,.0f} profiles/s written. Ratios {min(ratios):.2f} to {max(ratios):.2f}; {shares}"
        )
        rate = median(rates)
        what = f"apply, 1 worker, {named(distribution, objects)}, {stack.store}"
        say(f"  {what}: {rate:,.0f} objects/s; {notes}")
        yield Row(what, rate, "objects/s", rate / median(ratios), notes)


def named(distribution: str, objects: int) -> str:
    """As a row calls requests."""
    return distribution if objects == data.OBJECTS else f"{distribution}, {objects} object in a request"


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
                    documents = [decode(stored.opened(request.codec, request.body)[2]) for request in found]
                    people = {obj["external_id"] for doc in documents for objects in doc.values() for obj in objects}
                    distinct[-1].append(len(people))
                    sizes.append(end - first)
                    first = end
    finally:
        database.dispose()
    return sizes, distinct
