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
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import typer

from fault.processes import ROOT
from fault.report import say, table

TREES: Final = ("app", "workers", "tests", "fault")
LIMIT_SECONDS: Final = 400
#: Whatever is slow on a busy machine is no proof.
FINDING: Final = re.compile(r"^    (?!logs of|lag:|session:)(\w[\w ]*: .*)$", re.MULTILINE)
SEED: Final = re.compile(r"seed (\d+): DIFFERENT")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: in a file, each text (there exactly once) is replaced; `scenario` has to see it."""

    name: str
    scenario: int
    file: str
    edits: tuple[tuple[str, str], ...]
    rounds: int = 10


MUTANTS: Final = (
    Mutant(
        "no lane lock",
        19,
        "app/store/lane.py",
        (("where workspace_id = :workspace_id for update skip locked", "where workspace_id = :workspace_id"),),
    ),
    Mutant(
        "an applier trusts the cursor that it remembers: no fence against another one",
        19,
        "workers/apply.py",
        (
            (
                "            after, hour = locked.cursors[stream], locked.hours[stream]\n",
                (
                    "            after, hour = locked.cursors[stream], locked.hours[stream]\n"
                    "            mine = self.__dict__.setdefault('_mine', {})\n"
                    "            after = locked.cursors[stream] = mine.get((workspace_id, stream), after)\n"
                ),
            ),
            (
                "        remember(self._names, applied.names)\n",
                ("        remember(self._names, applied.names)\n        mine[workspace_id, stream] = batch[-1].seq\n"),
            ),
        ),
    ),
    Mutant(
        "cursor committed before the effects",
        1,
        "workers/apply.py",
        (
            (
                "    lane.advance(connection, workspace_id, locked, batch[-1])\n",
                "",
            ),
            (
                "            try:\n                requests = ready.requests if ready else",
                (
                    "            lane.advance(connection, workspace_id, locked, batch[-1])\n"
                    "            connection.connection.driver_connection.commit()\n"
                    "            try:\n                requests = ready.requests if ready else"
                ),
            ),
        ),
    ),
    Mutant(
        "effects committed before the cursor",
        12,
        "workers/apply.py",
        (
            (
                "    lane.advance(connection, workspace_id, locked, batch[-1])\n",
                (
                    "    connection.connection.driver_connection.commit()\n"
                    "    lane.advance(connection, workspace_id, locked, batch[-1])\n"
                ),
            ),
        ),
        20,
    ),
    Mutant(
        "numbers become visible before their rows, as those of a sequence",
        36,
        "app/store/inbox/log.py",
        (
            (
                "        rows = driver.execute(_APPEND_POSTGRESQL, values).fetchall()\n",
                (
                    "        bump, _, insert = _APPEND_POSTGRESQL.partition('insert into inbox')\n"
                    "        bump = bump.replace('with n as (', '').strip().removesuffix(')')\n"
                    "        base, first_us = driver.execute(bump, values).fetchone()\n"
                    "        driver.commit()\n"
                    "        values |= {'base': base, 'first_us': first_us}\n"
                    "        given = 'with n as (select %(base)s::bigint as base, %(first_us)s::bigint as first_us) '\n"
                    "        rows = driver.execute(given + 'insert into inbox' + insert, values).fetchall()\n"
                ),
            ),
        ),
    ),
    Mutant(
        "no look after the bell was cleared",
        35,
        "workers/apply.py",
        (
            (
                (
                    "            work, tried = self._work(workspace_id)\n            if not any(work.values()):\n"
                    "                return True\n"
                ),
                "            return True\n",
            ),
        ),
    ),
    Mutant(
        "a flush that fails fails one of its waiters, the others get their 201",
        9,
        "app/services/accepting/writer.py",
        (
            (
                "                if not future.done():\n                    error = UnavailableError()",
                (
                    "                if future is not waiters[0][1] and not future.done():\n"
                    "                    future.set_result(Appended(1, 0))\n"
                    "                if not future.done():\n                    error = UnavailableError()"
                ),
            ),
        ),
    ),
    Mutant(
        "a redo goes by the clock instead of the time of acceptance",
        1,
        "workers/parts.py",
        (
            (
                "                    step = Step(state, request, self._workspace_id",
                (
                    "                    now = time.time_ns() // 1000\n"
                    "                    request = Request(request.stream, request.seq, now, request.commands)\n"
                    "                    step = Step(state, request, self._workspace_id"
                ),
            ),
        ),
    ),
    Mutant(
        "an idempotency key is stored and never looked for",
        13,
        "app/store/inbox/idempotency.py",
        (
            ("first = known.get(key.digest) if key is not None else None", "first = None"),
            ("        if kept:\n", "        if False:\n"),
        ),
    ),
    Mutant(
        "a fault of the machine is the death of a request",
        12,
        "app/store/engine.py",
        (
            (
                "    if isinstance(error, DBAPIError):\n        if error.connection_invalidated:",
                (
                    "    if isinstance(error, SQLAlchemyError):\n        return False\n"
                    "    if isinstance(error, DBAPIError):\n        if error.connection_invalidated:"
                ),
            ),
        ),
        20,
    ),
    Mutant(
        "503 without Retry-After",
        9,
        "app/api/statuses.py",
        (("Status(503, errors.UNAVAILABLE, 1)", "Status(503, errors.UNAVAILABLE)"),),
    ),
    Mutant(
        "an outage of the database is the client's fault",
        9,
        "app/api/statuses.py",
        (("Status(503, errors.UNAVAILABLE", "Status(400, errors.UNAVAILABLE"),),
    ),
    Mutant(
        "a poison request takes its batch along",
        28,
        "workers/apply.py",
        (("            if len(poison.batch) > 1:\n", "            if len(poison.batch) > 512:\n"),),
    ),
    Mutant(
        "subscription calls are left out of a batch that is applied again, as if they had been applied",
        1,
        "workers/apply.py",
        (
            (
                "                requests = ready.requests if ready else [decoded(request) for request in batch]\n",
                (
                    "                requests = ready.requests if ready else [decoded(request) for request in batch]\n"
                    "                if attempts > 1:\n"
                    "                    for one in requests:\n"
                    "                        one.commands[:] = [\n"
                    "                            c for c in one.commands if type(c).__name__ != 'SetGroupState'\n"
                    "                        ]\n"
                ),
            ),
        ),
        20,
    ),
    Mutant(
        "a job that goes on takes its last part for written, and makes a file of what is there",
        38,
        "workers/jobs/parts.py",
        (
            (
                "        users += len(part.pids)\n        sizes.add(_written(run, part, lines))\n",
                "        users += len(part.pids)\n",
            ),
            (
                '    with gzip.open(path, "rb") as file:\n',
                '    if not path.exists():\n        return\n    with gzip.open(path, "rb") as file:\n',
            ),
        ),
    ),
    Mutant(
        "the sweeper rings and never drains",
        17,
        "workers/sweep.py",
        (("            summary = self._drain(workspace_id)\n", "            summary = Summary()\n"),),
        1,
    ),
)


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
        plant(copy, mutant.file, mutant.edits)
        argv = [sys.executable, "-m", "fault", "--scenario", str(mutant.scenario), "--store", "postgresql"]
        argv += ["--rounds", str(mutant.rounds), "--seed", str(seed), "--slack", "10"]
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
