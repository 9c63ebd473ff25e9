"""Row 5, everything at once: the highest rate with a flat backlog, and the time from 201 to applied at half of it."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from bench import data, latency, preload
from bench.applying import CASES, filled, finish, named
from bench.load import Result, Run
from bench.memory import watched
from bench.options import Options
from bench.stack import Generator, Site, Stack
from bench.table import BenchError, Row, say

CONNECTIONS = 64
SAMPLE_SECONDS = 0.25
#: Requests a second, by the number of objects in each, at which the search begins and ends.
FIRST_RATE = {data.OBJECTS: 40.0, 1: 500.0}
MOST_RATE = {data.OBJECTS: 3_000.0, 1: 20_000.0}
#: Whose memory is watched: of a worker, that of the process that applies is the largest.
WATCHED = ("api", "worker", "sweeper")
#: The backlog may grow by this part of the offered rate: less cannot be told from the waves that batches make.
GROWTH = 0.05
#: Of the gap between the last flat rate and twice that. What is found is below the highest flat rate by half of the
#: smallest gap on average, which is 2 % of it.
HALVINGS = 5
DRAIN_SECONDS = 60.0
#: Of a trial of the search. A flow of batches takes up to a second for one of them, and its waves look like growth in
#: shorter trials.
LEAST_SECONDS = 8.0
#: A quick run makes one trial, with enough samples for a slope.
QUICK_SECONDS = 2.0


class Backlog(threading.Thread):
    """Looks at head and cursor while a load runs."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self._site = site
        self._stop_asked = threading.Event()
        #: (seconds since the start, head, cursor)
        self.samples: list[tuple[float, int, int]] = []

    def run(self) -> None:
        database, began = self._site.open(), time.perf_counter()
        try:
            while not self._stop_asked.wait(SAMPLE_SECONDS):
                at = time.perf_counter() - began
                self.samples.append((at, *preload.place(database, self._site)))
        finally:
            database.dispose()

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()

    def slope(self, seconds: float) -> float:
        """Requests a second by which the backlog grew, least squares, without the first fifth."""
        points = [(at, head - cursor) for at, head, cursor in self.samples if seconds / 5 <= at <= seconds]
        if len(points) < 3:
            return 0.0
        mean_x, mean_y = sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
        spread = sum((x - mean_x) ** 2 for x, _ in points)
        return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread

    def applied_rate(self, seconds: float) -> float:
        points = [(at, cursor) for at, _, cursor in self.samples if seconds / 5 <= at <= seconds]
        (first, start), (last, end) = points[0], points[-1]
        return (end - start) / (last - first)

    def most(self) -> int:
        return max(head - cursor for _, head, cursor in self.samples)


class Trial:
    """One fixed rate for some seconds."""

    def __init__(self, generator: Generator, port: int, site: Site, rate: float, seconds: float) -> None:
        backlog = Backlog(site)
        backlog.start()
        try:
            self.result: Result = generator.run(Run(port, site.key, CONNECTIONS, seconds, rate))
        finally:
            backlog.stop()
        if backlog.samples[-1][2] == backlog.samples[0][2]:
            raise BenchError(f"nothing was applied within {seconds:g} s")
        self.rate = rate
        self.applied = backlog.applied_rate(seconds)
        self.growth = backlog.slope(seconds)
        self.most = backlog.most()
        kept_up = self.result.rate >= 0.97 * rate
        self.flat = kept_up and self.growth <= GROWTH * rate

    def __str__(self) -> str:
        return (
            f"{self.rate:.0f} requests/s: answered {self.result.rate:.0f}/s, applied {self.applied:.0f}/s,"
            f" backlog grows {self.growth:+.1f}/s (most {self.most})"
        )


def measure(stack: Stack, options: Options, ceilings: dict[str, float]) -> Iterator[Row]:
    """`ceilings` is what a worker alone applied, in objects/s by what applying.named says, where that was measured."""
    site = filled(stack, options)
    for distribution, objects in CASES[: 1 if options.quick else None]:
        what = named(distribution, objects)
        first = FIRST_RATE[objects]
        ceiling = ceilings.get(what, MOST_RATE[objects] * objects) / objects
        with ExitStack() as running:
            port = running.enter_context(stack.api(site))
            running.enter_context(stack.worker(site))
            generator = running.enter_context(stack.generator(options.users, distribution, options.bodies, objects))
            caught_up(site)
            _warm(generator, port, site, first / 2)
            memory = running.enter_context(watched(stack.meter, WATCHED))
            rate = first / 2
            if not options.quick:
                step = options.share(2, LEAST_SECONDS)
                rate = _search(
                    lambda rate: _trial(generator, port, site, rate, step),  # noqa: B023
                    min(first, ceiling / 2),
                    MOST_RATE[objects],
                )
            seconds = max(options.seconds, QUICK_SECONDS if options.quick else 5.0)
            for _ in range(8):
                before = stack.meter.read()
                trial = _trial(generator, port, site, rate, seconds)
                shares = stack.meter.shares(before)
                if trial.flat or options.quick:
                    break
                rate *= 0.97
            else:
                raise BenchError("no rate keeps the backlog flat")
            singles = data.bodies(200, options.users, data.UNIFORM, options.seed + 1)
            with ThreadPoolExecutor(1) as beside_it:
                load = Run(port, site.key, CONNECTIONS, seconds + 2 * latency.WARM_SECONDS, rate / 2)
                running_load = beside_it.submit(generator.run, load)
                beside = latency.singles(site, port, singles, seconds)
                running_load.result()
        notes = (
            f"offered {rate:.0f} requests/s, backlog {trial.growth:+.1f}/s, at most {trial.most};"
            f" accept median {trial.result.median_ms:.1f} ms, p99 {trial.result.p99_ms:.0f} ms. {shares}"
        )
        yield Row(
            f"both at once, {what}, {stack.store}", trial.applied * objects, "objects/s", ceilings.get(what), notes
        )
        others = ", ".join(f"{name} {memory[name]:.0f}" for name in WATCHED if name != "worker")
        label = f"memory of the process that applies meanwhile, {what}"
        yield Row(label, memory["worker"], "MB", notes=f"proportional share, the most that was seen; {others} MB")
        yield from latency.rows(f"from 201 to applied at half of that, {what}, {stack.store}", beside)
        finish(stack, site)


def _trial(generator: Generator, port: int, site: Site, rate: float, seconds: float) -> Trial:
    trial = Trial(generator, port, site, rate, seconds)
    say(f"  {trial} {'flat' if trial.flat else 'NOT flat'}")
    caught_up(site)
    return trial


def _warm(generator: Generator, port: int, site: Site, rate: float) -> None:
    """A few requests, applied: the worker has started, and everything has been used once."""
    generator.run(Run(port, site.key, CONNECTIONS, 1.0, rate))
    caught_up(site)


def _search(attempt: Callable[[float], Trial], first: float, most: float) -> float:
    """The highest flat rate found: doubling from the first one, then halving the gap."""
    good, rate = 0.0, first
    while rate <= most:
        if not attempt(rate).flat:
            break
        good, rate = rate, rate * 2
    bad = rate
    for _ in range(HALVINGS):
        middle = (good + bad) / 2
        if attempt(middle).flat:
            good = middle
        else:
            bad = middle
    if not good:
        raise BenchError("even the lowest rate makes the backlog grow")
    return good


def caught_up(site: Site) -> None:
    """Wait until nothing is queued."""
    database, limit = site.open(), time.monotonic() + DRAIN_SECONDS
    try:
        while True:
            head, cursor = preload.place(database, site)
            if head == cursor:
                return
            if time.monotonic() > limit:
                raise BenchError(f"{head - cursor} requests are still queued after {DRAIN_SECONDS:.0f} s")
            time.sleep(0.05)
    finally:
        database.dispose()
