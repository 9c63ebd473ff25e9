"""`python -m attack`: attackers beside a victim, one table, and status 1 when the victim noticed too much."""

import os
import shutil
import subprocess
import sys
import time
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import typer

from attack.attackers import ALL, SHORT, number
from attack.rounds import Arena
from attack.verdict import HEAD
from fault import stack
from fault.processes import ROOT
from fault.report import say, table
from tests.servers import ServerUnavailable

#: Another tree is tested with its own of these, and with attackers and what they need from here.
THEIRS: Final = ("app", "workers", "tests", "fault")
OURS: Final = ("attack", "fault/processes.py", "fault/clients.py")


class Store(StrEnum):
    """The database below."""

    postgresql = stack.POSTGRESQL
    sqlite = stack.SQLITE
    both = "both"


def main(
    attacker: Annotated[
        list[str] | None, typer.Option(help="Numbers of attacks (4, C1, C1+4), instead of all.")
    ] = None,
    store: Annotated[Store, typer.Option(help="Where an attack is made on both.")] = Store.both,
    seed: Annotated[int, typer.Option(help="Of the attackers.")] = 1,
    seconds: Annotated[float | None, typer.Option(min=1, help="Of each attack; what it needs.")] = None,
    slack: Annotated[
        float,
        typer.Option(min=1, help="A busy machine: times may be so much longer, and a bar has to be broken twice."),
    ] = 1.0,
    short: Annotated[bool, typer.Option("--short", help="A few attacks, on one store each: for CI.")] = False,
    minutes: Annotated[
        float, typer.Option(min=0, help="Begin no attack later than this; the first one in any case.")
    ] = float("inf"),
    unbound: Annotated[
        bool, typer.Option("--unbound", help="Lift the bounds that settings can lift: attacks should break something.")
    ] = False,
    tree: Annotated[Path | None, typer.Option(help="Attack the app of another checkout, for figures before.")] = None,
) -> None:
    """Attack Onefold while a victim uses it, and judge by what the victim notices."""
    if tree is not None:
        raise typer.Exit(_elsewhere(tree.resolve()))
    chosen = [
        attackers
        for attackers in ALL
        if (number(attackers) in attacker if attacker else number(attackers) in SHORT if short else True)
    ]
    if not chosen:
        raise typer.BadParameter("no such attack")
    arena, began = Arena(seed, slack, seconds, unbound=unbound), time.monotonic()
    rows, failed = list[tuple[str, ...]](), False
    for attackers in chosen:
        name = " + ".join(one.name for one in attackers)
        for where in (stack.POSTGRESQL, stack.SQLITE):
            if store not in (Store.both, where) or any(where not in one.stores for one in attackers):
                continue
            if short and where not in SHORT.get(number(attackers), (where,)):
                continue
            if rows and time.monotonic() - began > 60 * minutes:
                say(f"{number(attackers)} {name}, {where}: skipped: {minutes:g} minutes were over")
                continue
            try:
                verdict = arena.attack(attackers, where)
                if slack > 1 and not verdict.held:
                    say(f"{number(attackers)} {name}, {where}: once more, for {'; '.join(verdict.findings)}")
                    verdict = arena.attack(attackers, where)
            except ServerUnavailable as reason:
                say(f"{number(attackers)} {name}, {where}: skipped: {reason}")
                continue
            except AssertionError as stuck:  # it did not get as far as the attack
                failed = True
                say(f"{number(attackers)} {name}, {where}: BROKEN before it began: {stuck}")
                continue
            rows.append(verdict.cells(name))
            failed |= not verdict.held
            say(" | ".join(rows[-1]))
            for outcome in verdict.outcomes:
                seen = ", ".join(f"{count} x {status or 'none'}" for status, count in outcome.statuses.items())
                notes = "".join(f", {note} {value:,.0f}" for note, value in outcome.notes.items())
                say(f"    attacker: {seen}{notes}")
            for finding in verdict.findings:
                say(f"    {finding}")
    say("")
    say(table(rows, HEAD))
    busy = f" Times were allowed to be {slack:g} times as long." if slack > 1 else ""
    say(f"\nseed {seed}.{busy} {time.monotonic() - began:.0f} s altogether.")
    if failed:
        raise typer.Exit(1)


def _elsewhere(tree: Path) -> int:
    """The same attacks, on a copy of another tree."""
    words = sys.argv[1:]
    at = next(n for n, word in enumerate(words) if word.startswith("--tree"))
    del words[at : at + (1 if "=" in words[at] else 2)]
    with TemporaryDirectory(prefix="onefold-attack-") as folder:
        copy, ignored = Path(folder), shutil.ignore_patterns("__pycache__")
        for name in THEIRS:
            shutil.copytree(tree / name, copy / name, ignore=ignored)
        for name in OURS:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, copy / name)
        env = {**os.environ, "PYTHONPATH": str(copy)}
        return subprocess.run([sys.executable, "-m", "attack", *words], cwd=copy, env=env, check=False).returncode


if __name__ == "__main__":
    typer.run(main)
