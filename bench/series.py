"""Answers from full series: a thousand names, each on every day of 400, and in every hour of 32 days."""

import time
from collections.abc import Iterator
from typing import Final

from app.adapters.clock import now_us
from app.contract.series import DAY, HOUR, Question
from app.domain import series as kinds
from app.domain.changes import Changes
from app.domain.profile import NAME_EVENT
from app.services import series
from app.services.caller import Caller
from app.store import keys
from app.store import series as store
from bench.options import Options
from bench.stack import Site, Stack
from bench.table import BenchError, Row, median, say

NAMES: Final = 1_000
AT_ONCE: Final = 20
ROUNDS: Final = 21
#: Milliseconds that an answer may take.
GOAL_MS: Final = 100.0
#: The first names, those that are asked for, are counted in two apps as well.
APPS: Final = ("", "web", "ios")
IN_APPS: Final = 10


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """Milliseconds of one question each, the first and the median of more. Raises BenchError for a wrong sum or a
    missed goal."""
    names = 20 if options.quick else NAMES
    now, site = now_us(), stack.site("series")
    seconds = _fill(site, names, now)
    say(f"  {names:,} names written in {seconds:.0f} s")
    database, slow = site.open(), []
    try:
        caller = Caller.operator(keys.of_workspace(database, site.workspace_id), "bench")
        for what, question, expected in (
            ("400 days of an event", Question(NAME_EVENT, kinds.DAYS, name="name 7"), len(APPS) * kinds.DAYS),
            ("400 days of an event in an app", Question(NAME_EVENT, kinds.DAYS, name="name 8", app="web"), kinds.DAYS),
            ("768 hours of an event", Question(NAME_EVENT, 768, HOUR, name="name 9"), len(APPS) * 768),
            ("400 days of all purchases", Question(kinds.PURCHASES, kinds.DAYS, DAY), len(APPS) * kinds.DAYS),
        ):
            taken = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                points = series.read(database, caller, question, now)
                taken.append((time.perf_counter() - began) * 1_000)
            if sum(count for _, count, _ in points) != expected:
                raise BenchError(f"{what}: {sum(count for _, count, _ in points):,} instead of {expected:,}")
            first, usual = taken[0], median(taken[1:])
            yield Row(
                f"series, {stack.store}: {what}", usual, "ms", notes=f"{len(points)} points; first {first:.1f} ms"
            )
            say(f"  {what}: {usual:.1f} ms, first {first:.1f} ms")
            if max(first, usual) > GOAL_MS:
                slow.append(f"{what}: {max(first, usual):.0f} ms")
    finally:
        database.dispose()
    if slow and not options.quick:
        raise BenchError(f"slower than the aim: {'; '.join(slow)}")


def _fill(site: Site, names: int, now: int) -> float:
    """Write one count for each day and hour, as the drain does; the seconds that it took."""
    began, database = time.perf_counter(), site.open(apply=True)
    days = kinds.days("UTC", now, now, kinds.DAYS)
    hours = [(hour // 1_440, hour) for hour in kinds.hours("UTC", now, now, 768)]
    listed = [(kinds.PURCHASES, ""), *((NAME_EVENT, f"name {n}") for n in range(names))]
    try:
        for first in range(0, len(listed), AT_ONCE):
            changes = Changes()
            for n, (kind, name) in enumerate(listed[first : first + AT_ONCE], first):
                for app in APPS if n <= IN_APPS else APPS[:1]:
                    counted = dict.fromkeys(days, 1)
                    for day, hour in hours:
                        changes.series[kind, name, app, day, hour] = [1, 100]
                        counted[day] -= 1
                    for day, count in counted.items():
                        changes.series[kind, name, app, day, kinds.NO_HOUR] = [count, 100]
            with database.write() as connection:
                made = store.make(connection, site.workspace_id, changes, {}, store.MAX_SERIES)
                for table, rows in store.writes(site.workspace_id, changes, made):
                    table.write(connection, site.workspace_id, rows)
    finally:
        database.dispose()
    return time.perf_counter() - began
