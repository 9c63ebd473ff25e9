"""Onefold beside what one writes first: speed, order, and what is left after kill -9, in one table."""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.table import Table

from bench import data
from bench.baseline.bursts import Bursts, Verdict
from bench.baseline.sides import FIRST, NAMES, OURS, Side, Worker, settle, side
from bench.load import Run
from bench.options import Options
from bench.stack import Stack
from bench.table import BenchError, console, median, number, say
from tests.polling import until

CONNECTIONS: Final = 64
WARM_SECONDS: Final = 0.7
#: Worker processes where order matters: one alone keeps the order of its queue.
PROCESSES: Final = 2
#: Requests after which a worker is at work, and its time is taken.
BEGUN: Final = 8
#: A worker is given so long to begin.
START_SECONDS: Final = 30.0
#: Rounds of kills: a process that applies, a whole worker, the broker.
ROUNDS: Final = 4
ROOT: Final = Path(__file__).resolve().parents[2]

Figures = dict[str, str]


def show(stack: Stack, options: Options) -> None:
    """Measure all three and print the table. Raises BenchError where Onefold lost, doubled or disordered anything."""
    columns: dict[str, Figures] = {}
    wrong: list[str] = []
    try:
        for name in (FIRST, OURS) if options.quick else NAMES:
            columns[name] = figures = {}
            for what, figure in _figures(stack, options, name, wrong):
                say(f"  {name}: {what}: {figure}")
                figures[what] = figure
    finally:
        _print(columns)
    if wrong:
        raise BenchError("; ".join(wrong))


def _figures(stack: Stack, options: Options, name: str, wrong: list[str]) -> Iterator[tuple[str, str]]:
    yield from _speed(stack, options, name)
    yield from _steady(stack, options, name, wrong)
    yield from _killed(stack, options, name, wrong)
    yield "lines of Python", f"{_lines(name):,}"


def _speed(stack: Stack, options: Options, name: str) -> Iterator[tuple[str, str]]:
    """Accepting without a worker, then applying with one process what was accepted."""
    one = side(stack, name, "speed")
    with one.api() as port, stack.generator(options.users, data.UNIFORM, options.bodies) as generator:
        generator.run(Run(port, one.key, CONNECTIONS, WARM_SECONDS))
        result = generator.run(Run(port, one.key, CONNECTIONS, options.seconds))
    yield f"accepted requests/s, {CONNECTIONS} connections", number(result.rate)
    yield "p99 of accepting, ms", number(result.p99_ms)
    with one.worker(1), one.beside():
        begun = one.waiting() - BEGUN
        until(lambda: one.waiting() < begun, START_SECONDS, message=f"{name} applies nothing")
        before, began = one.waiting(), time.monotonic()
        while (waiting := one.waiting()) and time.monotonic() - began < options.seconds:
            time.sleep(0.02)
        rate = (before - waiting) / (time.monotonic() - began)
    yield "applied objects/s, one worker process", number(rate * data.OBJECTS)


def _steady(stack: Stack, options: Options, name: str, wrong: list[str]) -> Iterator[tuple[str, str]]:
    one = side(stack, name, "steady")
    with one.api() as port, one.beside(), Worker(one, PROCESSES) as worker:
        _until_applying(one, worker, port)
        seen = Bursts(port, one.key, "seen").seen_ms(5 if options.quick else 50)
        yield "from the 201 to an export that shows it, median ms", number(median(seen))
        bursts = Bursts(port, one.key, f"steady-{options.seed}")
        bursts.run(lambda: time.sleep(2 * options.seconds))
        settle(one, worker)
        yield from _told(name, f"{PROCESSES} processes, nothing killed", bursts.verdict(), wrong)


def _killed(stack: Stack, options: Options, name: str, wrong: list[str]) -> Iterator[tuple[str, str]]:
    one = side(stack, name, "killed")
    rounds = 1 if options.quick else ROUNDS
    with one.api() as port, one.beside(), Worker(one, PROCESSES) as worker:
        _until_applying(one, worker, port)
        bursts = Bursts(port, one.key, f"killed-{options.seed}")
        bursts.run(lambda: _kill(stack, worker, rounds, random.Random(f"{options.seed} kills")))
        yield f"restarts by hand until nothing waits, {3 * rounds} kills", str(settle(one, worker))
        yield from _told(name, f"{3 * rounds} kills", bursts.verdict(), wrong)


def _kill(stack: Stack, worker: Worker, rounds: int, rng: random.Random) -> None:
    """Each of the three kills in each round, some time after the worker is there again."""

    def broker() -> None:
        stack.valkey.kill9()
        stack.valkey.start()
        stack.meter.add("valkey", stack.valkey.pid)

    for _ in range(rounds):
        for blow in (worker.kill_one, worker.kill, broker):
            until(lambda: len(worker.pool()) == PROCESSES, START_SECONDS, message="the worker does not come back")
            time.sleep(rng.uniform(1.0, 2.0))
            blow()


def _until_applying(one: Side, worker: Worker, port: int) -> None:
    """A first update begins what is made when it is asked for, and is not measured."""
    until(lambda: len(worker.pool()) == PROCESSES, START_SECONDS, message="the worker does not begin")
    for person in range(2 * PROCESSES):
        Bursts(port, one.key, f"first-{person}").send()
    settle(one, worker)


def _told(name: str, how: str, verdict: Verdict, wrong: list[str]) -> Iterator[tuple[str, str]]:
    found = {
        f"updates lost, {how}": verdict.lost,
        f"updates doubled, {how}": verdict.doubled,
        f"people with an older value, {how}": verdict.stale,
    }
    wrong += [f"{what}: {count}" for what, count in found.items() if name == OURS and count]
    for what, count in found.items():
        of = verdict.people if what.startswith("people") else verdict.accepted
        yield what, f"{count:,} of {of:,}"
    yield f"updates not answered 201, {how}", f"{verdict.unknown:,}"


def _lines(name: str) -> int:
    """Without empty ones: of the three files of the baseline, and of what Onefold runs."""
    if name == OURS:
        files = [*(ROOT / "app").rglob("*.py"), *(ROOT / "workers").rglob("*.py")]
    else:
        files = [ROOT / "bench" / "baseline" / f"{one}.py" for one in ("tables", "service", "tasks")]
    return sum(bool(line.strip()) for file in files for line in file.read_text().splitlines())


def _print(columns: dict[str, Figures]) -> None:
    table = Table(title="Beside what one writes first", title_justify="left")
    table.add_column("what", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right")
    for what in dict.fromkeys(what for figures in columns.values() for what in figures):
        table.add_row(what, *(figures.get(what, "") for figures in columns.values()))
    console.print(table, highlight=False)
