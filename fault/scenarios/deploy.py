"""What operators do: restarts, and clocks that are set."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psutil

from fault.clients import LoadPlan
from fault.processes import Program
from fault.rounds import Round, Scenario, Unfit
from fault.stack import POSTGRESQL, SQLITE, Layout

STEP_SECONDS: Final = 3600
#: Requests a second of scenario 25's workspace, more than its clients send.
CAPACITY: Final = 100


def rolling(now: Round) -> None:
    """23: SIGTERM and a new start, for one of the API processes and then for one of the nodes."""
    parts = {now.rng.choice(now.stack.apis), now.rng.choice(now.stack.nodes)}
    for program in sorted(parts, key=lambda program: program.name):
        before = now.load.accepted()
        program.stop()
        now.hit(now.load.accepted() - before or not _others(now, program))
        now.stack.start_one(program)
        now.stack.wait_until_ready()
        now.accept_more(10)


def _others(now: Round, program: Program) -> bool:
    return any(api is not program for api in now.stack.apis)


def nothing_dropped(now: Round) -> list[str]:
    """A request whose connection was opened for it has an answer; one on a kept connection may meet its end."""
    dropped = [a for a in now.load.attempts() if a.status == 0 and a.fresh and a.error != "refused"]
    now.notes["keep-alive resets"] = sum(a.status == 0 and not a.fresh for a in now.load.attempts())
    return [f"dropped: {attempt.error} on a fresh connection" for attempt in dropped]


def stop_api(now: Round) -> None:
    """36: SIGSTOP for an API process, for moments, wherever in a flush it is; the other one goes on."""
    for _ in range(25):
        api = psutil.Process(now.rng.choice(now.stack.apis).pid)
        before = now.load.accepted()
        api.suspend()
        now.pause(0.03, 0.12)
        api.resume()
        now.hit(now.load.accepted() - before)
        now.pause(0.01, 0.05)


def step(now: Round) -> None:
    """25: the clock of the API and of workers jumps an hour ahead, back to two hours before that, and home."""
    clock = Path(now.stack.layout.preload["FAKETIME_TIMESTAMP_FILE"])
    began = time.monotonic()
    for offset in now.rng.sample((STEP_SECONDS, -STEP_SECONDS, 0), 3):
        clock.write_text(f"{offset:+d}\n")
        now.accept_more(25)
        newest = now.stack.scalar(
            "select max(accepted_us) / 1000000 from inbox where workspace_id = :w", w=now.workspace.id
        )
        now.hit(abs(newest - time.time()) > STEP_SECONDS / 2)
    clock.write_text("+0\n")
    allowed = CAPACITY * (time.monotonic() - began + 3)
    if now.load.accepted() > allowed:
        now.blame(f"quota: {now.load.accepted()} accepted, {allowed:.0f} allowed")


def _faketime(layout: Layout) -> Iterator[Layout]:
    """libfaketime before our own processes, with a file that sets their clocks."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        raise Unfit("no libfaketime (Debian: apt-get install faketime)")
    with TemporaryDirectory(prefix="onefold-clock-") as folder:
        clock = Path(folder) / "clock"
        clock.write_text("+0\n")
        preload = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        probe = subprocess.run(("date", "+%s"), env=preload, capture_output=True, text=True, check=False)
        if probe.returncode != 0:
            raise Unfit("libfaketime does not work here")
        yield replace(layout, preload=preload)


SCENARIOS: Final = (
    Scenario(
        23,
        "rolling restart (SIGTERM)",
        "requests were accepted while one program was away; embedded: all of it was away",
        rolling,
        layout=Layout(apis=2, nodes=2),
        load=LoadPlan(rate=30),
        may_break=True,
        check=nothing_dropped,
        scaled="an API process and a node a round",
    ),
    Scenario(
        23,
        "restart of `onefold up` (SIGTERM)",
        "all of it was away, and clients came back",
        rolling,
        load=LoadPlan(rate=30),
        stores=(SQLITE,),
        may_break=True,
        check=nothing_dropped,
    ),
    Scenario(
        36,
        "API processes stop for moments (SIGSTOP)",
        "requests were accepted by the other one meanwhile",
        stop_api,
        layout=Layout(apis=2),
        load=LoadPlan(clients=8, objects=3, rate=0),
        clean=True,
    ),
    Scenario(
        25,
        "clocks of API and workers step by an hour",
        "requests carry a time that is off by more than half of the step",
        step,
        load=LoadPlan(rate=20, burst=(CAPACITY, 1)),
        stores=(POSTGRESQL,),
        prepare=_faketime,
    ),
)
