"""One worker's applier in a process of its own, without Celery: `python -m bench.drain URL WORKSPACE [profile]`.

A line on stdin is how many seconds draining may take. It ends when nothing is queued; the answer is a line with what it
did. With a third argument the process runs under cProfile and writes the profile there at the end.
"""

import cProfile
import json
import sys
import time

from app.adapters import runtime
from app.adapters.clock import now_us
from app.settings import Settings
from app.store import workspaces
from app.store.engine import Database
from app.store.inbox.log import Stored
from workers.apply import Applier


class _Silent:
    def clear(self, workspace_id: int) -> None:
        """Nobody rings here."""


def main(url: str, workspace_id: int) -> None:
    cache = Settings().sqlite_cache_megabytes
    database = Database(url, pool_size=3, apply=True, cache_megabytes=cache)
    ends: list[int] = []

    def note(_workspace: int, batch: list[Stored]) -> None:
        ends.append(batch[-1].seq)

    runtime.tune(young=1_000_000)  # as a worker process does
    runtime.take_turns()
    applier = Applier(
        database, _Silent(), now_us, lambda number: workspaces.secret(database, number), before_commit=note
    )
    print("ready", flush=True)
    for line in sys.stdin:
        ends.clear()
        began, cpu = time.perf_counter(), time.process_time()
        summary = applier.drain(workspace_id, float(line), float(line))
        seconds = time.perf_counter() - began
        done = {
            "seconds": seconds,
            "cpu": (time.process_time() - cpu) / seconds,
            "requests": summary.requests,
            "objects": summary.counts.attributes + summary.counts.events + summary.counts.purchases,
            "skipped": summary.counts.skipped + summary.counts.ignored + summary.dead,
            "ends": ends,
        }
        print(json.dumps(done), flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        profiler = cProfile.Profile()
        profiler.runcall(main, sys.argv[1], int(sys.argv[2]))
        profiler.dump_stats(sys.argv[3])
    else:
        main(sys.argv[1], int(sys.argv[2]))
