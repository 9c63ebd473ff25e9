"""Two workspaces on two nodes of Citus, a worker process each, against plain PostgreSQL with the same processes and
cores, in turns: `python -m bench.nodes PLAIN_URL CITUS_URL`, URLs of two empty databases. That of Citus has the
extension, and nodes have joined it. By hand: no package brings Citus.
"""

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import Final

from app.adapters.clock import now_us
from app.store import distribution, migrate, partitions, workspaces
from app.store.engine import Database
from bench import data, preload
from bench.stack import Site
from bench.table import BenchError, say

ROUNDS: Final = 3
USERS: Final = 5_000
#: Of a workspace in a round, and before the first.
REQUESTS: Final = 200
WARM: Final = 40
LATEST_SECONDS: Final = 300.0


def prepared(url: str, *, nodes: bool) -> list[Site]:
    """Two full workspaces, on different nodes where there are some."""
    database = Database(url)
    migrate.upgrade(database)
    if nodes:
        with migrate.alone(database) as connection:
            for _ in distribution.distribute(connection, distribution.missing(connection)):
                pass
            distribution.instruct(connection)
        database.dispose()
    partitions.prepare(database, now_us())
    sites: list[Site] = []
    while len(sites) < 2:
        number = workspaces.number(workspaces.create(database, f"{now_us()}", "legacy", now_us()))
        taken = [site.workspace_id for site in sites]
        if not nodes or len(database.by_node([*taken, number], int)) > len(taken):
            sites.append(Site(url, number, workspaces.secret(database, number), ""))
    database.dispose()
    for site in sites:
        preload.fill(site, USERS)
    return sites


class Workers:
    """A process for each workspace."""

    def __init__(self, sites: list[Site], stack: ExitStack) -> None:
        self._sites = sites
        self._processes = [
            stack.enter_context(
                subprocess.Popen(
                    (sys.executable, "-m", "bench.drain", site.url, str(site.workspace_id)),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for site in sites
        ]
        for process in self._processes:
            assert process.stdout is not None
            process.stdout.readline()

    def apply(self, bodies: list[bytes], requests: int) -> float:
        """Objects a second of both together, until the last one has ended. Raises BenchError."""
        for site in self._sites:
            preload.queue(site, bodies, requests)
        began = time.perf_counter()
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{LATEST_SECONDS}\n")
            process.stdin.flush()
        for process in self._processes:
            assert process.stdout is not None
            if json.loads(process.stdout.readline())["requests"] != requests:
                raise BenchError("not all was applied")
        return len(self._sites) * requests * data.OBJECTS / (time.perf_counter() - began)


def main(plain: str, citus: str) -> None:
    bodies = data.bodies(REQUESTS, USERS, "uniform", 1)
    with ExitStack() as stack:
        sides = {
            name: Workers(prepared(url, nodes=nodes), stack)
            for name, url, nodes in (("plain", plain, False), ("nodes", citus, True))
        }
        for workers in sides.values():
            workers.apply(bodies, WARM)
        sums = dict.fromkeys(sides, 0.0)
        for _ in range(ROUNDS):
            for name, workers in sides.items():
                rate = workers.apply(bodies, REQUESTS)
                sums[name] += rate
                say(f"{name}: {rate:,.0f} objects/s")
        say(f"nodes, of plain: {sums['nodes'] / sums['plain']:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
