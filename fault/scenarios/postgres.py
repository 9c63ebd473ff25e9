"""Faults of PostgreSQL and of the way to it: 503 with Retry-After meanwhile, and nothing lost or doubled."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psutil
import psycopg

from fault.clients import ANSWER_SECONDS, LoadPlan
from fault.rounds import Round, Scenario, Unfit
from fault.stack import Layout
from tests import servers
from tests.polling import until

STOP_SECONDS: Final = 4.0
#: An accept is answered 503 after 2.5 s; the rest is for a machine that has other things to do.
ANSWERED_SECONDS: Final = 3.0
SLACK_SECONDS: Final = 1.5
TERMINATE_SECONDS: Final = 0.1
DISK_MB: Final = 160


def kill(now: Round) -> None:
    """9: SIGKILL for the postmaster and all its processes, and a new start."""
    server = _server(now)
    for _ in range(2):
        now.pause(0.1, 0.4)
        before = _failures(now)
        server.kill9()
        now.pause(0.3, 0.8)
        server.start()
        now.accept_more(5)
        now.hit(_failures(now) - before)


def stop(now: Round) -> None:
    """10: SIGSTOP for all of PostgreSQL: connections stay open, and nobody answers."""
    server = _server(now)
    before = _failures(now)
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    now.pause(STOP_SECONDS)
    for process in reversed(family):
        with suppress(psutil.NoSuchProcess):
            process.resume()
    now.accept_more(5)
    now.hit(_failures(now) - before)
    slowest = max((a.seconds for a in now.load.attempts() if a.status == 503), default=0.0)
    now.notes["slowest 503 s"] = slowest
    if slowest > ANSWERED_SECONDS + SLACK_SECONDS:
        now.blame(f"answers: a 503 took {slowest:.1f} s")


def fill(now: Round) -> None:
    """11: the disk of PostgreSQL is full; then there is room again."""
    disk = now.stack.layout.disk
    assert disk is not None
    filler = disk / "filler"
    before = _failures(now)
    try:
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 65536)
        until(lambda: _failures(now) > before, 30, message="nobody notices the full disk")
        now.pause(0.5, 1.0)
    finally:
        filler.unlink()
    until(lambda: _serves(now), 40, message="PostgreSQL does not come back")
    now.accept_more(5, 30)
    now.hit(_failures(now) - before)


def _serves(now: Round) -> bool:
    """Whether PostgreSQL answers; where the full disk has ended it, it is started again."""
    server = _server(now)
    try:
        psycopg.connect(server.dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(server.pid).status() != psutil.STATUS_ZOMBIE:
                return False
        server.kill9()
        server.start()
    return True


def _disk(layout: Layout) -> Iterator[Layout]:
    """A small disk of its own for PostgreSQL."""
    with TemporaryDirectory(prefix="onefold-disk-") as folder:
        mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=777", "tmpfs", folder)
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Unfit("a small disk cannot be mounted: it takes root")
        try:
            Path(folder).chmod(0o777)
            yield replace(layout, disk=Path(folder))
        finally:
            subprocess.run(("umount", "--lazy", folder), check=False)


def terminate(now: Round) -> None:
    """12: pg_terminate_backend for everybody who applies, again and again."""
    before = now.cursor()
    least, most = time.monotonic() + 3.0, time.monotonic() + 10.0
    while time.monotonic() < least or (now.cursor() == before and time.monotonic() < most):
        now.hit(
            now.stack.scalar(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                " where application_name = 'onefold apply' and xact_start is not null"
            )
        )
        now.stack.scalar(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'onefold apply'"
        )
        now.pause(TERMINATE_SECONDS)
    if now.cursor() == before:
        now.blame("progress: nothing was applied meanwhile")


def cut_commit(now: Round) -> None:
    """13: the reply to a commit is lost on its way to the API; the client asks again with the same key."""
    proxy = now.stack.proxies["api-postgres"]
    for _ in range(4):
        before = proxy.cut
        proxy.swallow(committed, now.rng.choice((0, 0, 7)))
        with suppress(AssertionError):
            until(lambda before=before: proxy.cut > before, 2)  # type: ignore[misc]
        now.hit(proxy.cut - before)
        now.pause(0.2, 0.5)
    proxy.heal()


def committed(reply: bytes) -> bool:
    """An insert in a transaction of its own, or a COMMIT, that is done: PostgreSQL is ready and in no transaction."""
    return (b"INSERT 0 " in reply or b"COMMIT\0" in reply) and reply.endswith(b"Z\0\0\0\x05I")


def lag(now: Round) -> None:
    """15: everything to and from PostgreSQL takes 200 ms +- 100 more."""
    before = [proxy.delayed for proxy in now.stack.proxies.values()]
    for proxy in now.stack.proxies.values():
        proxy.delay(0.2, 0.1)
    now.pause(5.0)
    now.hit(sum(proxy.delayed for proxy in now.stack.proxies.values()) - sum(before))
    for proxy in now.stack.proxies.values():
        proxy.heal()
    slowest = max(a.seconds for a in now.load.attempts())
    now.notes["slowest s"] = slowest
    if slowest > ANSWER_SECONDS:
        now.blame(f"answers: one took {slowest:.1f} s")


def _server(now: Round) -> servers.PostgresServer:
    assert now.stack.postgres is not None
    return now.stack.postgres


def _failures(now: Round) -> int:
    """503s so far: what a client sees of a database that is away."""
    return now.load.statuses(503)


SCENARIOS: Final = (
    Scenario(9, "PostgreSQL: kill -9 of all of it", "clients were answered 503", kill, lag_seconds=8),
    Scenario(
        10,
        "PostgreSQL: SIGSTOP",
        "clients were answered 503",
        stop,
        lag_seconds=8,
        scaled=f"{STOP_SECONDS:g} s, not 20",
    ),
    Scenario(
        11,
        "PostgreSQL: disk full",
        "clients were answered 503",
        fill,
        layout=Layout(postgres={"max_wal_size": "48MB", "min_wal_size": "32MB", "shared_buffers": "32MB"}),
        lag_seconds=10,
        prepare=_disk,
    ),
    Scenario(
        12,
        "PostgreSQL: sessions of workers terminated again and again",
        "a session was in a transaction",
        terminate,
        load=LoadPlan(clients=5, objects=40, rate=60),
        clean=True,
    ),
    Scenario(
        13,
        "reply of a commit cut on its way to the API",
        "the proxy swallowed the reply to a committed insert",
        cut_commit,
        layout=Layout(proxied=frozenset({"api-postgres"})),
    ),
    Scenario(
        15,
        "PostgreSQL: 200 ms +- 100 late",
        "chunks were held back",
        lag,
        layout=Layout(proxied=frozenset({"api-postgres", "node-postgres"})),
        clean=True,
        lag_seconds=15,
    ),
)
