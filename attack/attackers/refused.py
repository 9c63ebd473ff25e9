"""Requests of a live key that are all refused: what is kept of them costs the others nothing."""

import json
import time
from multiprocessing.synchronize import Event
from types import MappingProxyType
from typing import Final

from attack.attacker import Attacker, Outcome, Target, crowd
from attack.wire import Client, request
from fault.stack import Stack, Workspace


class RefusedFlood(Attacker):
    number, name = "20", "a flood of refused requests"
    does = "bodies of up to 60 KB in which each of 50 or 75 objects is wrong, 8 connections, as quickly as answers come"
    bound = (
        "`ONEFOLD_REFUSED_PER_SECOND`, 50 errors and 100 hashes in each row, 256 KB of bodies read in a second for"
        " hashes; the others are counted by endpoint, status and error"
    )
    unbound = MappingProxyType({"ONEFOLD_REFUSED_PER_SECOND": "1000"})
    seconds = 10.0
    CONNECTIONS: Final = 8
    #: ONEFOLD_REFUSED_PER_SECOND, and the least bytes of a second's rows that are too many.
    ROWS: Final = 20
    ROW_BYTES: Final = 20_000
    #: Endpoints, with the array of which every object is wrong. Each is refused for its objects, or with 429.
    ARRAYS: Final = (
        ("/users/track", "attributes"),
        ("/users/alias/new", "user_aliases"),
        ("/users/merge", "merge_updates"),
    )

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        ready = [self._request(target, n) for n in range(24)]

        def work(number: int) -> None:
            client, n = Client(target.port), number
            while not stop.is_set():
                outcome.statuses[client.ask(ready[n % len(ready)])[0]] += 1
                n += self.CONNECTIONS
            client.close()

        began = time.monotonic()
        with crowd(self.CONNECTIONS, work):
            stop.wait()
        outcome.notes["s"] = time.monotonic() - began
        if taken := outcome.statuses[201]:
            outcome.findings.append(f"{taken} requests without one right object were taken")

    def _request(self, target: Target, n: int) -> bytes:
        path, array = self.ARRAYS[n % len(self.ARRAYS)]
        objects = [
            {"external_id": "", "email": [f"a{n}-{i}@example.org"], "phone": f"{n}{i}", "filler": "x" * 700}
            for i in range(75 if array == "attributes" else 50)
        ]
        return request("POST", path, target.key, json.dumps({array: objects}).encode())

    def judge(self, stack: Stack, workspace: Workspace, outcome: Outcome) -> None:
        rows = stack.scalar("select count(*) from refused_request where workspace_id = :w", w=workspace.id)
        size = "select coalesce(sum(length(errors) + length(named)), 0) from refused_request where workspace_id = :w"
        outcome.notes["rows"] = rows
        outcome.notes["bytes kept"] = stack.scalar(size, w=workspace.id)
        # The first and the last second are begun ones, and each kind of refusal is one more row.
        allowed = (self.ROWS + 2 * len(self.ARRAYS)) * (outcome.notes["s"] + 2)
        if rows > allowed:
            outcome.findings.append(f"{rows} rows of refused requests, {allowed:.0f} are allowed")
        if outcome.notes["bytes kept"] > allowed * self.ROW_BYTES:
            outcome.findings.append(f"{outcome.notes['bytes kept']:,.0f} bytes of refused requests are kept")
