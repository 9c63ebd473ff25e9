"""Attacks by reading: large answers, answers that nobody takes, and waiting for what is not done yet."""

import threading
from contextlib import suppress
from multiprocessing.synchronize import Event
from typing import Final

from attack.attacker import ATTRIBUTES, WIDE, Attacker, Outcome, Target, applied, crowd, flood, write
from attack.wire import Client, connect, packed, request
from fault.stack import POSTGRESQL, Stack

SHARED: Final = "shared@example.org"
#: Bytes that a connection takes without being read, at least.
SMALL_WINDOW: Final = 4_096


class CrowdExports(Attacker):
    number, name = "4", "exports of a crowd"
    does = "24 connections export by an e-mail that 20,000 profiles have"
    bound = "a share of the store's threads for a workspace; answers are streamed"
    CROWD: Final = 20_000

    def prepare(self, stack: Stack, target: Target) -> None:
        people = [{"external_id": f"crowd-{n}", "email": SHARED, "first_name": f"n-{n}"} for n in range(self.CROWD)]
        parts = [{"attributes": people[first : first + 1_000]} for first in range(0, self.CROWD, 1_000)]
        write(target, "/users/track/bulk", list(parts))
        applied(stack, target.workspace.id)

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        wanted = {"email_address": SHARED, "fields_to_export": ["external_id", "email", "first_name"]}
        data = packed("/users/export/ids", target.key, wanted)
        flood(target, stop, outcome, 24, lambda _n: data, 50)


class UnreadExports(Attacker):
    number, name = "6b", "answers that nobody reads"
    does = "exports of a profile of nearly 8 MB on connections that read nothing, 60 of them"
    bound = "`ONEFOLD_SEND_TIMEOUT_SECONDS`; a profile is bounded (D73); answers are sent in parts"
    CONNECTIONS: Final = 60
    REQUESTS: Final = 2
    seconds = 12.0

    def prepare(self, stack: Stack, target: Target) -> None:
        for part in range(self.REQUESTS):
            values = {f"o{part}-{n}": WIDE for n in range(ATTRIBUTES)}
            write(target, "/users/track", [{"attributes": [{"external_id": "large", **values}]}])
        applied(stack, target.workspace.id)
        status, _, body = Client(target.port).ask(self._request(target))
        assert status == 201, f"an export is answered {status}"
        assert len(body) > 7_000_000, f"an export has {len(body)} bytes"

    def _request(self, target: Target) -> bytes:
        wanted = {"external_ids": ["large"], "fields_to_export": ["custom_attributes"]}
        return packed("/users/export/ids", target.key, wanted)

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        data = self._request(target)
        held = []
        while not stop.is_set():
            with suppress(OSError):
                held.append(connect(target.port, window=SMALL_WINDOW))
                held[-1].sendall(data)
                outcome.statuses[0] += 1
            if len(held) > self.CONNECTIONS:
                held.pop(0).close()
            stop.wait(0.05)
        for connection in held:
            connection.close()


class Waiters(Attacker):
    number, name = "9", "waiting requests"
    does = "100 connections wait with `?wait=` for a request behind a backlog of the attacker's own"
    bound = "one look for all that wait for a workspace"

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        people = [{"external_id": f"backlog-{n}", "text": "x" * 400} for n in range(1_000)]
        bulk = packed("/users/track/bulk", target.key, {"attributes": people})
        newest = [""]
        lock = threading.Lock()

        def work(number: int) -> None:
            client = Client(target.port)
            while not stop.is_set():
                if number < 4:
                    _, headers, _ = client.ask(bulk)
                    with lock:
                        newest[0] = headers.get("x-request-id", newest[0])
                    stop.wait(0.2)
                elif newest[0]:
                    client.ask(request("GET", f"/v1/requests/{newest[0]}?wait=2", target.key))
                    outcome.statuses[200] += 1
                    stop.wait(0.02)
                else:
                    stop.wait(0.05)
            client.close()

        with crowd(104, work):
            stop.wait()


class TornExports(Attacker):
    number, name = "7", "exports during identify"
    does = "five clients ask for 50 aliases at a time while another gives them to profiles that are there"
    bound = "an export reads one snapshot"
    stores = (POSTGRESQL,)
    seconds = 25.0
    AT_ONCE: Final = 50
    #: Of one request: each of them is a commit that an export may meet.
    EACH: Final = 5

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        asked: list[list[dict[str, str]]] = []
        lost = [0, 0]

        def write_all(_number: int) -> None:
            client, n = Client(target.port), 0
            while not stop.is_set():
                aliases = [{"alias_label": "torn", "alias_name": f"{n}-{i}"} for i in range(self.AT_ONCE)]
                made = [{"user_alias": a, "_update_existing_only": False, "n": n} for a in aliases]
                client.ask(packed("/users/track", target.key, {"attributes": made}))
                # Who is identified as somebody who is there gives up a profile of its own.
                owners = [{"external_id": f"torn-{n}-{i}", "n": n} for i in range(self.AT_ONCE)]
                client.ask(packed("/users/track", target.key, {"attributes": owners}))
                status, headers, _ = client.ask(packed("/users/export/ids", target.key, {"user_aliases": aliases}))
                if status == 201 and "x-onefold-stale" not in headers:
                    asked.append(aliases)
                    del asked[:-1]
                pairs = [{"external_id": f"torn-{n}-{i}", "user_alias": a} for i, a in enumerate(aliases)]
                for first in range(0, self.AT_ONCE, self.EACH):
                    document = {"aliases_to_identify": pairs[first : first + self.EACH]}
                    client.ask(packed("/users/identify", target.key, document))
                n += 1

        def ask(_number: int) -> None:
            client = Client(target.port)
            fields = ["external_id", "user_aliases"]
            while not stop.is_set():
                if not asked:
                    stop.wait(0.02)
                    continue
                aliases = asked[-1]
                wanted = {"user_aliases": aliases, "fields_to_export": fields}
                status, headers, body = client.ask(packed("/users/export/ids", target.key, wanted))
                outcome.statuses[status] += 1
                if status == 201 and "x-onefold-stale" not in headers:
                    lost[0] += len(aliases)
                    lost[1] += len(aliases) - min(len(aliases), body.count(b'"alias_label":"torn"'))

        with crowd(6, lambda n: write_all(n) if n == 0 else ask(n)):
            stop.wait()
        outcome.notes["aliases asked"], outcome.notes["came back as nobody"] = lost
        if lost[1]:
            outcome.findings.append(f"{lost[1]} of {lost[0]} aliases came back as nobody, in answers not marked stale")
