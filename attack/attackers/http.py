"""Attacks on HTTP itself, most of them without a key."""

import socket
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from multiprocessing.synchronize import Event
from typing import Final

import psutil
from sqlalchemy import text

from attack.attacker import Attacker, Outcome, Target, crowd, flood, paced
from attack.wire import Client, connect, head, packed, request
from fault.stack import Stack, Workspace

#: Addresses of the loopback network that attacks come from; the victim has another.
ADDRESSES: Final = tuple(f"127.0.1.{n}" for n in range(1, 7))
TRAILER: Final = b"x-filler: " + b"t" * 20 + b"\r\n"


class Trailers(Attacker):
    number, name = "1", "trailers"
    does = "one connection without a key sends 100 MB of trailer fields, again and again"
    bound = "trailers are bounded as heads are, and dropped"

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        begin = head("POST", "/users/track", more={"Transfer-Encoding": "chunked"}) + b"\r\n2\r\n{}\r\n0\r\n"
        while not stop.is_set():
            with suppress(OSError), connect(target.port, ADDRESSES[0]) as connection:
                connection.sendall(begin)
                for _ in range(100_000_000 // (2_000 * len(TRAILER))):
                    if stop.is_set():
                        return
                    connection.sendall(TRAILER * 2_000)
            outcome.statuses[0] += 1
            stop.wait(0.05)


class Upgrades(Attacker):
    number, name = "2", "upgrades"
    does = "`Connection: Upgrade, HTTP2-Settings` on legal requests, the body in a packet of its own, 4 connections"
    bound = "nothing is upgraded: the header is as if it were not there"
    _UPGRADE: Final = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAoAAA"}

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        body = b'{"attributes":[{"external_id":"upgraded"}]}'
        whole = request("POST", "/users/track", target.key, body, self._UPGRADE)
        flood(target, stop, outcome, 4, lambda _n: whole, 40)
        lost = sum(count for status, count in outcome.statuses.items() if status not in (201, 429))
        if lost:
            outcome.findings.append(f"{lost} of {outcome.statuses.total()} legal requests with Upgrade were not taken")

    def judge(self, stack: Stack, workspace: Workspace, outcome: Outcome) -> None:
        lines = stack.logs().count("pgrade")
        if lines > 10:
            outcome.findings.append(f"{lines} lines of log about upgrades")


class HalfHeads(Attacker):
    number, name = "3", "half-sent heads"
    does = "6,000 connections of six addresses with half a head each, renewed as they are closed"
    bound = "`ONEFOLD_HEAD_TIMEOUT_SECONDS`, `ONEFOLD_MAX_CONNECTIONS`, `ONEFOLD_MAX_CONNECTIONS_PER_ADDRESS`"
    EACH: Final = 1_000

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        half = head("POST", "/users/track") + b"X-More: "

        def work(number: int) -> None:
            held: list[socket.socket] = []
            while not stop.is_set():
                if len(held) >= self.EACH:
                    held.pop(0).close()
                try:
                    held.append(connect(target.port, ADDRESSES[number]))
                    held[-1].sendall(half)
                except OSError:
                    outcome.statuses[0] += 1
                    stop.wait(0.1)
                if len(held) >= self.EACH:
                    stop.wait(0.05)
            for connection in held:
                connection.close()

        with crowd(len(ADDRESSES), work):
            stop.wait()


class Newcomers(Attacker):
    number, name = "3b", "connections again and again"
    does = "one address opens connections as quickly as it can, asks `GET /livez` on each, and leaves"
    bound = "a turn of the event loop takes many connections and begins one of each address; `app/api/event_loop.py`"
    EACH: Final = 400

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        data = request("GET", "/livez", more={"Connection": "close"})

        def work(_number: int) -> None:
            held: deque[socket.socket] = deque()
            while not stop.is_set():
                if len(held) >= self.EACH:
                    held.popleft().close()
                with suppress(OSError):
                    held.append(connect(target.port, ADDRESSES[0]))
                    outcome.statuses[0] += 1
                    held[-1].sendall(data)
            for connection in held:
                connection.close()

        with crowd(4, work):
            stop.wait()


class SlowBodies(Attacker):
    number, name = "8", "slow bodies of two keys"
    does = "1,000 connections with two keys of one workspace, each with a body that arrives a byte a second"
    bound = "half of the free places of `ONEFOLD_MAX_REQUESTS` for a workspace; `ONEFOLD_RECEIVE_TIMEOUT_SECONDS`"
    two_keys = True
    CONNECTIONS: Final = 1_000

    def opening(self, target: Target, n: int) -> bytes:
        """The head of a connection's request."""
        return head("POST", "/users/track", target.keys[n % 2], {"Content-Length": "100000"})

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        def open_one(n: int) -> None:
            made = connect(target.port, ADDRESSES[n % len(ADDRESSES)])
            made.sendall(self.opening(target, n) + b"\r\n{")
            held.append(made)

        held: list[socket.socket] = []
        while not stop.is_set():
            for _ in range(200):
                if len(held) < self.CONNECTIONS:
                    with suppress(OSError):
                        open_one(len(held))
            alive = []
            for connection in held:
                try:
                    connection.sendall(b" ")
                    alive.append(connection)
                except OSError:
                    connection.close()
                    outcome.statuses[0] += 1
            held = alive
            stop.wait(0.2)
        for connection in held:
            connection.close()


class KeylessSlowBodies(SlowBodies):
    number, name = "8b", "slow bodies without a key"
    does = "the same without a key, where some workspace takes keys in bodies: they are read to look for one"
    bound = "a small pool for each address whose caller is not known yet; `ONEFOLD_RECEIVE_TIMEOUT_SECONDS`"
    two_keys = False

    def prepare(self, stack: Stack, target: Target) -> None:
        with stack.database.write() as connection:
            sql = text("update workspace set legacy_api_key_auth = true where id = :w")
            connection.execute(sql, {"w": target.workspace.id})

    def opening(self, target: Target, n: int) -> bytes:
        del target, n
        return head("POST", "/users/track", more={"Content-Length": "100000"})


class ReadinessFlood(Attacker):
    number, name = "10", "a flood of /readyz"
    does = "`GET /readyz` without a key, 64 connections, 320/s"
    bound = "one look at a time, kept for a second"

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        flood(target, stop, outcome, 64, lambda _n: request("GET", "/readyz"), 5)


class BadKeys(Attacker):
    number, name = "16", "bad keys from the victim's address"
    does = "made-up keys from an address, 320/s; then a valid key of that address that was not seen before"
    bound = "`ONEFOLD_FAILURES_PER_MINUTE` bounds looks at the database; a valid key is let in"
    #: More than an address may have in a minute.
    FAILURES: Final = 700
    #: Requests a second of one connection.
    RATE: Final = 40.0
    seconds = 12.0

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        unseen = packed("/users/track", target.key, {"attributes": [{"external_id": "unseen"}]})
        lock, valid = threading.Lock(), Counter[int]()

        def work(number: int) -> None:
            client = Client(target.port)
            for n in paced(stop, self.RATE):
                name = f"{target.seed % 10:01d}{number:01d}{n:06d}"
                status, _, _ = client.ask(request("POST", "/users/track", f"{name}-0000-4000-8000-000000000000", b"{}"))
                with lock:
                    outcome.statuses[status] += 1
                    ask = outcome.statuses.total() % 100 == 0 and outcome.statuses.total() >= self.FAILURES
                if ask:
                    valid[client.ask(unseen)[0]] += 1
            client.close()

        with crowd(8, work):
            stop.wait()
        outcome.notes["valid keys let in"] = valid[201]
        refused = valid.total() - valid[201]
        if refused or not valid:
            outcome.findings.append(f"a valid key of that address is refused {refused} times of {valid.total()}")


class IdnAddresses(Attacker):
    number, name = "5a", "e-mails of a thousand domains"
    does = "`/users/track/bulk`, 5/s, 1,000 e-mail addresses of different international domains each"
    bound = "one heavy body of a workspace at a time; threads under `ONEFOLD_ANSWER_SECONDS`"

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        def make(n: int) -> bytes:
            users = [
                {"external_id": f"idn-{n}-{i}", "email": f"a@b\u00fccher{(n * 7919 + i) % 100_000}.ex\u00e4mple.org"}
                for i in range(1_000)
            ]
            return packed("/users/track/bulk", target.key, {"attributes": users})

        ready = [make(n) for n in range(20)]
        flood(target, stop, outcome, 5, lambda n: ready[n % len(ready)], 1)


class ManyNodes(Attacker):
    number, name = "5b", "a body of empty objects"
    does = "`[{},{},…]`, 4 MB packed into 4 KB, 4 connections"
    bound = "a limit on the JSON values of a body, before it is decoded"

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        raw = b'{"attributes":[' + b",".join([b"{}"] * 1_390_000) + b"]}"
        data = packed("/users/track", target.key, raw)
        flood(target, stop, outcome, 4, lambda _n: data, 2)


class LivezFlood(Attacker):
    """A stand-in for any hog of CPU, which the bar is measured beside. It finds its rate by itself."""

    number, name = "0", "a plain flood of /livez"
    does = "`GET /livez`, as many as burn the CPU that the attack burns"
    bound = ""
    CONNECTIONS: Final = 8
    LOOK_SECONDS: Final = 0.25

    def __init__(self, api: int, cores: float) -> None:
        """`api`: process id. `cores`: CPU that the API is to use."""
        self._api = api
        self._cores = cores

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        data = request("GET", "/livez")
        rate = 50.0

        def work(_number: int) -> None:
            client = Client(target.port)
            while not stop.is_set():
                outcome.statuses[client.ask(data)[0]] += 1
                if rate < self.MOST:
                    stop.wait(1 / rate)
            client.close()

        process = psutil.Process(self._api)
        with crowd(self.CONNECTIONS, work):
            began, used = time.monotonic(), sum(process.cpu_times()[:2])
            while not stop.wait(self.LOOK_SECONDS):
                now, total = time.monotonic(), sum(process.cpu_times()[:2])
                burnt = (total - used) / (now - began)
                began, used = now, total
                rate = min(self.MOST, max(5.0, rate * min(2.0, max(0.5, self._cores / max(burnt, 0.01)))))

    #: Requests a second of one connection; beyond, none waits.
    MOST: Final = 1_000.0
