"""`python -m fault.soak`: a steady load for a long time, and whether anything of ours grows with it.

Without a rate of yours it first measures how many requests a second this machine takes in and applies with a flat
backlog, and then runs at half of that. Samples memory and descriptors of each of our processes, and the dead rows of
PostgreSQL's hottest tables. Judged is what comes after a warm-up of a quarter of the time, five minutes at most; at the
end everything is compared as after a fault. The slope of what was seen, times a day, says what a longer run would show.
"""

import math
import statistics
import time
from collections import defaultdict
from contextlib import suppress
from typing import Annotated, Final

import psutil
import typer
from sqlalchemy.exc import SQLAlchemyError

from fault import judge, stack
from fault.clients import Load, LoadPlan
from fault.processes import role
from fault.report import say, table
from fault.stack import Layout, Stack
from tests.polling import until

CLIENTS: Final = 8
WARM_UP_MINUTES: Final = 5.0
RSS_GROWTH: Final = 0.05
#: Measuring the capacity: the first rate tried, seconds of each try, and how often the gap between the last rate that
#: was held and the first that was not is halved.
FIRST_RATE: Final = 40.0
TRY_SECONDS: Final = 8.0
HALVINGS: Final = 2
#: A rate is held when this share of it was answered 2xx, and the backlog at the end is less than a second's worth.
HELD: Final = 0.95
#: Connections come and go, so a few descriptors more than at the beginning are no leak.
FD_SLACK: Final = 4
#: Autovacuum comes once a minute, so dead rows may add up for about two.
HOT_TABLES: Final = ("inbox_head", "lane", "profile")
DEAD_SECONDS: Final = 150
DAY_SECONDS: Final = 86_400

Series = dict[str, list[tuple[float, float]]]


def main(
    minutes: Annotated[float, typer.Option(min=0.5, max=1440, help="How long.")] = 20.0,
    rate: Annotated[
        float | None,
        typer.Option(min=1, help="Requests a second, all clients together.", show_default="half of capacity"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the requests.")] = 1,
    every: Annotated[float, typer.Option(min=1, help="Seconds between samples.")] = 10.0,
) -> None:
    """Soak Onefold on PostgreSQL and Redis, and judge what grows."""
    series: Series = defaultdict(list)
    with stack.started(stack.POSTGRESQL, Layout(processes=1), seed) as running:
        if rate is None:
            most = _capacity(running, seed)
            rate = most / 2
            say(f"capacity: {most:.0f} requests/s with a flat backlog; soaking at {rate:.0f}/s\n")
        plan = _plan(rate)
        workspace = running.workspace(plan.plan, None)
        load = Load(running.ports, workspace.key, plan, seed)
        load.start()
        began = time.monotonic()
        while (at := time.monotonic() - began) < minutes * 60:
            _sample(running, at, series)
            time.sleep(every)
        load.stop()
        until(lambda: running.behind(workspace.id) == 0, 60, message="the backlog stays")
        seconds = time.monotonic() - began
        warm = min(WARM_UP_MINUTES, minutes / 4) * 60
        rows, grown = _judged(series, warm, rate)
        say(table(rows, ("what", "after warm-up", "at the end", "most", "slope, a day", "verdict")))
        findings = judge.every(running.database, workspace, load, clean=False, may_break=False)
    refused = len(load.attempts()) - load.accepted()
    pace = f"{load.accepted() / seconds:.1f}/s"
    say(f"\n{load.accepted():,} requests in {seconds:.0f} s, {pace}, {refused} tries in vain, seed {seed}")
    for finding in findings[:20]:
        say(f"  {finding}")
    say(f"comparisons: {'DIFFERENT' if findings else 'EQUAL'}; growth: {'TOO MUCH' if grown else 'none'}")
    if findings or grown:
        raise typer.Exit(1)


def _plan(rate: float) -> LoadPlan:
    return LoadPlan(clients=CLIENTS, people=400, objects=10, rate=rate / CLIENTS)


def _capacity(running: Stack, seed: int) -> float:
    """The highest rate tried that was held, in requests a second."""
    held, missed = 0.0, math.inf
    rate, halvings = FIRST_RATE, 0
    while halvings < HALVINGS:
        if _holds(running, rate, seed):
            held = rate
        else:
            missed = rate
        if missed < math.inf:
            halvings += 1
        rate = held * 2 if missed == math.inf else (held + missed) / 2
    return held


def _holds(running: Stack, rate: float, seed: int) -> bool:
    plan = _plan(rate)
    workspace = running.workspace(plan.plan, None)
    load = Load(running.ports, workspace.key, plan, f"{seed}/{rate}")
    load.start()
    time.sleep(1)  # until everybody is there
    before, began = load.accepted(), time.monotonic()
    time.sleep(TRY_SECONDS)
    answered = (load.accepted() - before) / (time.monotonic() - began)
    behind = running.behind(workspace.id)
    load.stop()
    until(lambda: running.behind(workspace.id) == 0, 120, message="the backlog stays")
    good = answered >= HELD * rate and behind <= rate
    say(f"  {rate:.0f}/s: {answered:.0f}/s answered 2xx, {behind} behind at the end: {'held' if good else 'too much'}")
    return good


def _sample(running: Stack, at: float, series: Series) -> None:
    for program in running.programs():
        for process in program.family():
            with suppress(psutil.NoSuchProcess):
                name = f"{program.name}: {role(process)}"
                series[f"{name}, RSS MB"].append((at, process.memory_info().rss / 1e6))
                series[f"{name}, descriptors"].append((at, process.num_fds()))
    with suppress(SQLAlchemyError), running.database.read() as connection:
        rows = connection.exec_driver_sql("select relname, n_dead_tup from pg_stat_user_tables").all()
        for name, dead in rows:
            if name in HOT_TABLES:
                series[f"{name}, dead rows"].append((at, dead))


def _judged(series: Series, warm: float, rate: float) -> tuple[list[tuple[str, ...]], bool]:
    rows: list[tuple[str, ...]] = []
    grown = False
    for name in sorted(series):
        values = [value for at, value in series[name] if at >= warm]
        if not values:
            continue
        some = max(1, len(values) // 10)
        first, last = statistics.median(values[:some]), statistics.median(values[-some:])
        if name.endswith("RSS MB"):
            bad = last > first * (1 + RSS_GROWTH)
        elif name.endswith("descriptors"):
            bad = last > first + FD_SLACK
        else:
            bad = max(values) > rate * DEAD_SECONDS * 10  # a request may touch ten profiles
        grown |= bad
        verdict = "grows" if bad else "ok"
        daily = DAY_SECONDS * slope([(at, value) for at, value in series[name] if at >= warm])
        rows.append((name, f"{first:,.1f}", f"{last:,.1f}", f"{max(values):,.1f}", f"{daily:+,.1f}", verdict))
    return rows, grown


def slope(points: list[tuple[float, float]]) -> float:
    """By least squares, in units a second; 0 for fewer than two moments."""
    if len({at for at, _ in points}) < 2:
        return 0.0
    found, _ = statistics.linear_regression(*zip(*points, strict=True))
    return found


if __name__ == "__main__":
    typer.run(main)
