"""`python -m fault`: rounds of faults, one table, and status 1 when anything differed or too little was hit."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from fault import stack
from fault.report import Line, say, table
from fault.rounds import Round, Scenario, Unfit, Verdict
from fault.scenarios import ALL, SHORT
from tests.servers import ServerUnavailable

#: Rounds tried for each one that has to count.
TRIES = 3


class Store(StrEnum):
    """The database below."""

    postgresql = stack.POSTGRESQL
    sqlite = stack.SQLITE
    both = "both"


def main(
    scenario: Annotated[list[int] | None, typer.Option(help="Numbers of scenarios, instead of all.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds that have to count; 20.")] = None,
    seed: Annotated[int, typer.Option(help="Of the first round; the next one has the next number.")] = 1,
    store: Annotated[Store, typer.Option(help="Where a scenario runs on both.")] = Store.both,
    slack: Annotated[float, typer.Option(min=1, help="Backlogs may take so many times as long: a busy machine.")] = 1.0,
    short: Annotated[
        bool, typer.Option("--short", help="A few scenarios, or those named, one round each: minutes, for CI.")
    ] = False,
    minutes: Annotated[
        float, typer.Option(min=0, help="Begin no scenario later than this; the first one in any case.")
    ] = float("inf"),
) -> None:
    """Hit Onefold while clients write, and compare everything afterwards."""
    chosen = [s for s in ALL if (s.number in scenario if scenario else s.number in SHORT if short else True)]
    if not chosen:
        raise typer.BadParameter("no such scenario")
    wanted = rounds or (1 if short else 20)
    began = time.monotonic()
    runs = [
        (_relaxed(one, slack), where)
        for one in chosen
        for where in one.stores
        if store in (Store.both, where) and not (short and not scenario and where not in SHORT[one.number])
    ]
    if short:  # those that want the same stack one after the other
        firsts = [(where, one.layout) for one, where in runs]
        runs.sort(key=lambda run: firsts.index((run[1], run[0].layout)))
    with ExitStack() as stacks:
        started = _Stacks(stacks, keep=short)
        lines: list[Line] = []
        for one, where in runs:
            if lines and time.monotonic() - began > 60 * minutes:
                lines.append(Line(one, where, wanted, skipped=f"{minutes:g} minutes were over"))
            else:
                lines.append(_scenario(one, where, wanted, seed, started, short=short))
    lines.sort(key=lambda line: line.scenario.number)
    say("")
    say(table([line.cells() for line in lines]))
    busy = f" Backlogs were allowed {slack:g} times as long." if slack > 1 else ""
    say(f"\nrounds: counted/run.{busy} {time.monotonic() - began:.0f} s altogether.")
    if any(line.failed for line in lines):
        raise typer.Exit(1)


def _relaxed(scenario: Scenario, slack: float) -> Scenario:
    """Where nothing but 2xx may be seen, a slow machine must not pass for a fault: answers may take longer."""
    layout = scenario.layout
    if scenario.clean:
        layout = replace(layout, settings={"ONEFOLD_ANSWER_SECONDS": "10", **layout.settings})
    return replace(scenario, layout=layout, lag_seconds=scenario.lag_seconds * slack)


class _Stacks:
    """Starts what is hit. A start takes longer than most rounds, so a short run may keep it for the next scenario."""

    def __init__(self, stacks: ExitStack, *, keep: bool) -> None:
        self._stacks = stacks
        self._keep = keep
        self._kept: tuple[str, stack.Layout, stack.Stack] | None = None

    @contextmanager
    def started(self, store: str, layout: stack.Layout, seed: int) -> Iterator[stack.Stack]:
        """The stack of the scenario before, where it is of that kind and nothing was wrong with it; else a new one."""
        if self._kept is not None and self._kept[:2] == (store, layout):
            running = self._kept[2]
            running.start()
        else:
            self.stop()
            running = self._stacks.enter_context(stack.started(store, layout, seed))
        self._kept = None
        yield running
        if self._keep:
            self._kept = (store, layout, running)
        else:
            self.stop()

    def stop(self) -> None:
        """Nothing is kept for the next scenario."""
        self._kept = None
        self._stacks.close()


def _scenario(scenario: Scenario, store: str, wanted: int, seed: int, stacks: _Stacks, *, short: bool) -> Line:
    line = Line(scenario, store, wanted)
    say(f"\n{scenario.number} {scenario.name}, {store}; counts when: {scenario.proof}")
    prepare = contextmanager(scenario.prepare) if scenario.prepare else None
    try:
        if prepare is None:
            with stacks.started(store, scenario.layout, seed) as running:
                _rounds(line, running, seed, short=short)
        else:
            stacks.stop()
            with prepare(scenario.layout) as layout, stack.started(store, layout, seed) as running:
                _rounds(line, running, seed, short=short)
    except AssertionError as stuck:  # before the first round: whatever was started does not work at all
        line.verdicts.append(Verdict(seed, 0, 0.0, [f"start: {stuck}"], 0, {}))
        say(f"  seed {seed}: DIFFERENT\n    start: {stuck}")
    except (Unfit, ServerUnavailable) as reason:
        line.skipped = str(reason)
        say(f"  skipped: {reason}")
    if line.failed:
        stacks.stop()
    return line


def _rounds(line: Line, running: stack.Stack, seed: int, *, short: bool) -> None:
    while line.counted < line.wanted and len(line.verdicts) < TRIES * line.wanted:
        began = time.monotonic()
        verdict = Round(running, line.scenario, seed + len(line.verdicts), short=short).run()
        line.verdicts.append(verdict)
        state = "EQUAL" if verdict.equal else "DIFFERENT"
        notes = "".join(f", {name} {value:.3g}" for name, value in verdict.notes.items())
        say(
            f"  seed {verdict.seed}: {state}, {verdict.hits} hits, {verdict.requests} requests, "
            f"lag {verdict.lag:.2f} s{notes} ({time.monotonic() - began:.1f} s)"
        )
        for finding in verdict.findings[:8]:
            say(f"    {finding}")
        if not verdict.equal:
            _keep(running, verdict.seed)
            return


def _keep(running: stack.Stack, seed: int) -> None:
    """What our processes said, for whoever looks into it."""
    tail = running.logs()[-3000:]
    say(f"    logs of seed {seed}, the end:\n{tail}")


if __name__ == "__main__":
    typer.run(main)
