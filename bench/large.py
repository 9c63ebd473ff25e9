"""What a large profile costs where little of it changes: events alone, on profiles of 17 KB and of 2.4 KB in turns."""

from collections.abc import Iterator
from typing import Final

from bench import applying, data, preload
from bench.options import Options
from bench.stack import Stack
from bench.table import Row, median, say

#: Of each kind.
PROFILES: Final = 20_000
ROUNDS: Final = 5
REQUESTS: Final = 400
#: What an event on a large profile may cost at most, in events on a small one.
AIM: Final = 2.0


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """Events a second on large profiles, by those on small ones in the same round. Raises BenchError."""
    users = min(PROFILES, options.users)
    sites = {large: stack.site("large" if large else "small") for large in (False, True)}
    for large, site in sites.items():
        preload.fill(site, users, large=large)
    bodies = data.event_bodies(options.bodies, users, options.seed)
    requests = REQUESTS // 10 if options.quick else REQUESTS
    rates: dict[bool, list[float]] = {False: [], True: []}
    cpu: dict[bool, list[float]] = {False: [], True: []}
    with (
        applying.drainer(stack, sites[False], name="applier of small ones") as small,
        applying.drainer(stack, sites[True], name="applier of large ones") as large_ones,
    ):
        for n in range(1 + ROUNDS):
            for large, applier in (
                ((False, small), (True, large_ones)) if n % 2 else ((True, large_ones), (False, small))
            ):
                before = stack.meter.read()
                done = applying.work(applier, sites[large], bodies, requests)
                database = 0.0 if stack.postgres is None else stack.meter.used("postgres", before)
                if n:  # the first round warms the caches
                    rates[large].append(done["objects"] / done["seconds"])
                    cpu[large].append((done["cpu"] * done["seconds"] + database) / done["objects"] * 1e6)
    notes = (
        f"floor: profiles of 2.4 KB. CPU of applier and database: {median(cpu[True]):.0f} against"
        f" {median(cpu[False]):.0f} µs for an event"
    )
    label = f"apply events alone, 17 KB profiles, {stack.store}"
    say(f"  {label}: {median(rates[True]):,.0f} of {median(rates[False]):,.0f} a second (aim: 1/{AIM:.0f}); {notes}")
    yield Row(label, median(rates[True]), "objects/s", median(rates[False]), notes)
