"""Faults of Redis and of the broker: none of them may cost a request, an error or the order."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import psutil

from app.adapters.doorbell import client
from app.bootstrap.background import celery
from app.settings import Settings
from fault.clients import LoadPlan
from fault.rounds import Round, Scenario
from fault.stack import Layout
from tests import servers
from tests.polling import until

DOWN_SECONDS: Final = 10.0
#: Requests a second that scenario 5's workspace may send, and for how long its flushes go on.
CAPACITY: Final = 40
#: Less than a bell that was set lives.
WAKE_SECONDS: Final = 1.8
_WORKER: Final = ("-m", "celery", "-A", "workers.celery_app", "worker", "-E", "-Q", "sync,normal,bulk", "-c", "1")


def restart(now: Round) -> None:
    """4: SIGKILL, a second of nothing, and a new start on the same files."""
    server = _server(now)
    for _ in range(2):
        now.pause(0.2, 0.5)
        connected = _connections(server)
        server.kill9()
        with now.outage(now.rng.uniform(0.3, 1.0)):
            _accepted_meanwhile(now, connected)
        server.start()


def flush(now: Round) -> None:
    """5: FLUSHALL, again and again; each may refill the quota once and no more."""
    began, flushed = time.monotonic(), 0
    connection = client(_server(now).url)
    for _ in range(4):
        now.pause(0.4, 0.6)
        keys = int(connection.dbsize())
        connection.flushall()
        flushed += 1
        now.hit(keys > 0)
    connection.close()
    seconds = time.monotonic() - began
    first = min(call.attempts[0].sent for call in now.load.calls)
    allowed = CAPACITY * (flushed + 1) + CAPACITY * (time.monotonic() - first + 1)
    now.notes["accepted of allowed"] = now.load.accepted() / allowed
    if now.load.accepted() > allowed:
        now.blame(
            f"quota: {now.load.accepted()} accepted in {seconds:.1f} s with {flushed} flushes, {allowed:.0f} allowed"
        )


def stop(now: Round) -> None:
    """6: SIGSTOP: connections stay open, and nobody answers."""
    server = _server(now)
    connected = _connections(server)
    process = psutil.Process(server.pid)
    process.suspend()
    try:
        with now.outage(4.0):
            _accepted_meanwhile(now, connected)
    finally:
        process.resume()
    latencies = sorted(a.seconds for a in now.load.attempts())
    now.notes["p99 ms"] = latencies[len(latencies) * 99 // 100] * 1000


def down(now: Round) -> None:
    """7: no Redis for a long time: accepting and applying go on, by the sweeper."""
    server = _server(now)
    connected = _connections(server)
    server.kill9()
    try:
        with now.outage(DOWN_SECONDS):
            before = now.cursor()
            _accepted_meanwhile(now, connected)
            if not now.moves(DOWN_SECONDS / 2) or now.cursor() == before:
                now.blame("apply: nothing is applied without Redis")
    finally:
        server.start()


def full(now: Round) -> None:
    """8: the memory limit is reached, and every write is refused."""
    connection = client(_server(now).url)
    connection.config_set("maxmemory", "1mb")
    connection.config_set("maxmemory", str(int(connection.info("memory")["used_memory"]) // 2))
    try:
        before = _refused(connection)
        with now.outage(2.5):
            now.accept_more(20)
        now.hit(_refused(connection) - before)
    finally:
        connection.config_set("maxmemory", "0")
        connection.close()


def _refused(connection: Any) -> int:
    """Calls that were refused for lack of memory, all in all."""
    found = connection.info("errorstats").get("errorstat_OOM", {})
    return int(found.get("count", 0))


def cut_replies(now: Round) -> None:
    """14: what Redis answers to a worker's BRPOP, or to the API, is lost on the way."""
    for _ in range(6):
        wire, matches = now.rng.choice(_CUTS)
        proxy = now.stack.proxies[wire]
        before = proxy.cut
        proxy.swallow(matches, now.rng.choice((0, 0, 5)))
        now.pause(0.2, 0.5)
        now.hit(proxy.cut - before)
        proxy.heal()


def _message(reply: bytes) -> bool:
    return b"onefold.apply" in reply


def _any(reply: bytes) -> bool:
    return len(reply) > 1


_CUTS: Final[Sequence[tuple[str, Callable[[bytes], bool]]]] = (
    ("node-redis", _message),
    ("node-redis", _message),
    ("api-redis", _any),
)


def silence(now: Round) -> None:
    """17: the broker was never there: whatever is applied, the sweeper has found."""
    before = now.cursor()
    with now.outage(3.0):
        now.accept_more(50)
    now.hit(now.cursor() - before)


def duplicate(now: Round) -> None:
    """18: a hundred doorbells for each one that is needed."""
    app = celery(Settings(REDIS_URL=_server(now).url), producer=True)
    sent, ended = 0, threading.Event()
    before = now.cursor()
    with now.outage(2.5), app.connection_for_write() as connection:
        ends = time.monotonic() + 2.5
        producer = app.amqp.Producer(connection)
        while time.monotonic() < ends:
            for _ in range(100):
                app.send_task("onefold.apply", args=[now.workspace.id], queue="normal", retry=False, producer=producer)
                sent += 1
            ended.wait(0.4)
    now.notes["duplicates"] = sent
    if now.cursor() > before:
        now.hit(sent)


def wake(now: Round) -> None:
    """35: no sweeper, so that every doorbell counts: whenever the clients pause, all is applied at once."""
    for _ in range(60):
        now.pause(0.01, 0.04)
        now.load.hold()
        try:
            until(lambda: now.stack.behind(now.workspace.id) == 0, WAKE_SECONDS, message="nobody was woken")
        finally:
            now.load.go()
        now.hit()


def _server(now: Round) -> servers.ValkeyServer:
    assert now.stack.valkey is not None
    return now.stack.valkey


def _connections(server: servers.ValkeyServer) -> int:
    connection = client(server.url)
    try:
        return int(connection.info("clients")["connected_clients"]) - 1
    finally:
        connection.close()


def _accepted_meanwhile(now: Round, connected: int) -> None:
    """A hit: there were connections to break, and requests are accepted while they are broken."""
    before = now.load.accepted()
    now.accept_more(10)
    now.hit(connected and now.load.accepted() - before)


SCENARIOS: Final = (
    Scenario(
        4,
        "Redis: kill -9 and restart",
        "it had connections, and requests were accepted while it was away",
        restart,
        clean=True,
    ),
    Scenario(
        5,
        "Redis: FLUSHALL again and again",
        "keys were there and are gone",
        flush,
        load=LoadPlan(clients=6, rate=0, burst=(CAPACITY, 1)),
        scaled="every 0.5 s, not every 2 s",
    ),
    Scenario(
        6,
        "Redis: SIGSTOP",
        "it had connections, and requests were accepted while it was stopped",
        stop,
        clean=True,
        scaled="4 s, not 30",
    ),
    Scenario(
        7,
        "Redis: away for long",
        "it had connections, and requests were accepted and applied while it was away",
        down,
        clean=True,
        scaled=f"{DOWN_SECONDS:g} s, not 10 minutes",
    ),
    Scenario(
        8,
        "Redis: memory limit reached",
        "Redis refused writes for lack of memory",
        full,
        clean=True,
    ),
    Scenario(
        14,
        "replies of Redis cut, BRPOP's included",
        "the proxy swallowed a reply: of a doorbell to a worker, or of any kind to the API",
        cut_replies,
        layout=Layout(proxied=frozenset({"api-redis", "node-redis"})),
        clean=True,
    ),
    Scenario(
        17,
        "no broker was ever started",
        "requests were applied all the same",
        silence,
        layout=Layout(without_broker=True),
        clean=True,
        lag_seconds=4,
    ),
    Scenario(
        18,
        "doorbells a hundred times",
        "duplicates were sent, and the lane went on among them",
        duplicate,
        clean=True,
    ),
    Scenario(
        35,
        "no sweeper: every doorbell counts",
        "the clients paused, and everything was applied",
        wake,
        layout=Layout(node_programs=((*_WORKER, "--without-mingle", "--without-gossip", "-l", "WARNING"),)),
        load=LoadPlan(clients=3, objects=2, rate=0),
        clean=True,
    ),
)
