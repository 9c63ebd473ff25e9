"""What something costs the drain: the same work with it and without, in turns."""

from collections.abc import Callable
from typing import Final

from bench import applying, data
from bench.options import Options
from bench.stack import Site, Stack
from bench.table import Row, median, say

#: Pairs of turns; the second turn of one is the first of the next, so that neither kind is always the later one.
PAIRS: Final = 6
REQUESTS: Final = 600


def measure(stack: Stack, options: Options, site: Site, what: str, switch: Callable[[bool], None]) -> Row:
    """Objects a second with it, by those without in the same pair. Raises BenchError.

    `switch` turns it on and off. The profiles of the site are there.
    """
    bodies = data.bodies(options.bodies, options.users, data.UNIFORM, options.seed)
    requests = REQUESTS // 10 if options.quick else REQUESTS
    rates: dict[bool, list[float]] = {True: [], False: []}
    with applying.drainer(stack, site) as applier:
        applying.work(applier, site, bodies, requests)
        for pair in range(PAIRS):
            for on in (True, False) if pair % 2 else (False, True):
                switch(on)
                done = applying.work(applier, site, bodies, requests)
                rates[on].append(done["objects"] / done["seconds"])
    ratios = [with_ / without for with_, without in zip(rates[True], rates[False], strict=True)]
    notes = f"ratios {min(ratios):.2f} to {max(ratios):.2f}"
    label = f"apply with {what}, {stack.store}"
    say(f"  {label}: {median(ratios):.2f} of the rate without; {notes}")
    return Row(label, median(rates[True]), "objects/s", median(rates[False]), notes)
