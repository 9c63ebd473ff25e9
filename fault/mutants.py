"""`python -m fault.mutants`: bugs planted in a copy of the tree, one at a time. Each must make a scenario DIFFERENT.

A harness that finds nothing proves nothing until it has been seen to find something.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import typer

from fault.bugs import MUTANTS, Mutant
from fault.processes import ROOT
from fault.report import say, table

TREES: Final = ("app", "workers", "tests", "fault")
LIMIT_SECONDS: Final = 400
#: Whatever is slow on a busy machine is no proof.
FINDING: Final = re.compile(r"^    (?!logs of|lag:|session:)(\w[\w ]*: .*)$", re.MULTILINE)
SEED: Final = re.compile(r"seed (\d+): DIFFERENT")


def main(
    only: Annotated[list[int] | None, typer.Option(help="Numbers of mutants, instead of all.")] = None,
    seed: Annotated[int, typer.Option(help="Of the first round.")] = 1,
) -> None:
    """Plant each bug in a copy of the tree and run its scenario there."""
    rows: list[tuple[str, ...]] = []
    for number, mutant in enumerate(MUTANTS, 1):
        if only and number not in only:
            continue
        began = time.monotonic()
        found, how = _hunt(mutant, seed)
        rows.append((str(number), mutant.name, str(mutant.scenario), found or "NOT DETECTED", how))
        say(f"{number} {mutant.name}: {found or 'NOT DETECTED'} ({time.monotonic() - began:.0f} s)\n    {how}")
    say("")
    say(table(rows, ("", "bug", "scenario", "detected", "first finding")))
    if any(row[3] == "NOT DETECTED" for row in rows):
        raise typer.Exit(1)


def _hunt(mutant: Mutant, seed: int) -> tuple[str, str]:
    """("seed N", first finding) of the round that differed; ("", why) when none did."""
    with TemporaryDirectory(prefix="onefold-mutant-") as folder:
        copy = Path(folder)
        for name in TREES:
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for file, edits in ((mutant.file, mutant.edits), *mutant.also):
            plant(copy, file, edits)
        argv = [sys.executable, "-m", "fault", "--scenario", str(mutant.scenario), "--store", "postgresql"]
        argv += ["--rounds", str(mutant.rounds), "--seed", str(seed), "--slack", "10"]
        argv += ["--short"] if mutant.short else []
        env = {**os.environ, "PYTHONPATH": str(copy)}
        try:
            done = subprocess.run(
                argv, cwd=copy, env=env, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return "", f"no verdict within {LIMIT_SECONDS} s"
    seen, finding = SEED.search(done.stdout), FINDING.search(done.stdout)
    if done.returncode == 0 or seen is None or finding is None:
        return "", (done.stdout + done.stderr)[-300:].replace("\n", " ")
    return f"seed {seen.group(1)}", finding.group(1)[:110]


def plant(tree: Path, file: str, edits: Sequence[tuple[str, str]]) -> None:
    """Replace texts in a file. Raises ValueError for one that is not there exactly once: the mutant needs mending."""
    path = tree / file
    source = path.read_text()
    for before, after in edits:
        if source.count(before) != 1:
            raise ValueError(f"{file} has {source.count(before)} times: {before!r}")
        source = source.replace(before, after)
    path.write_text(source)


if __name__ == "__main__":
    typer.run(main)
