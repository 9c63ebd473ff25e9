"""`onefold import` of a segment export, killed twice on the way, beside what one worker applies of the same users."""

import time
from collections.abc import Iterator
from typing import Final

import msgspec
import psutil
from sqlalchemy import text

from app.adapters import row_sources
from app.adapters.clock import now_us
from app.contract import stored
from app.domain.commands import STREAM_BULK
from app.services import workspaces
from app.services.imports import Import, Row, Way
from app.store.engine import Database
from app.store.inbox import log as inbox
from bench import braze_files
from bench.applying import drainer
from bench.options import Options
from bench.stack import SCRIPTS, Site, Stack
from bench.table import BenchError, say
from bench.table import Row as Figure

#: Of the rate at which one worker applies the same users when nothing else happens.
GOAL: Final = 0.5
#: Users that are applied alone, for that rate, into an empty workspace as the import's. All of them wait at once, so
#: they are no more than may wait.
ALONE_USERS: Final = 20_000
#: Where it is killed, as a part of the users.
KILLS: Final = (1 / 3, 2 / 3)
#: Memory of the command that would no longer be flat.
MOST_MEGABYTES: Final = 256
LATEST_SECONDS: Final = 3_600.0
_LOOK_SECONDS: Final = 0.05

_DONE = text("select coalesce(max(done), 0) from import_file")


def measure(stack: Stack, options: Options) -> Iterator[Figure]:
    """Raises BenchError when a user is missing or came twice, when it is too slow, or takes too much memory."""
    users, path = options.imported, stack.folder / "segment.zip"
    size = braze_files.write(path, users)
    alone = _alone(stack, min(users, ALONE_USERS))
    site = stack.site("import")
    with stack.worker(site):
        before = stack.meter.read()
        began = time.monotonic()
        megabytes = [_run(stack, site, int(users * part), began) for part in KILLS]
        megabytes.append(_run(stack, site, None, began))
        seconds = time.monotonic() - began
        shares = stack.meter.shares(before)
    _check(site, users)
    rate = users / seconds
    notes = (
        f"{size / 1e6:,.0f} MB in {seconds:.0f} s, killed twice; at most {max(megabytes):.0f} MB of memory. {shares}"
    )
    say(f"  import: {rate:,.0f} users/s (applied alone: {alone:,.0f}). {notes}")
    yield Figure(f"import of {users:,} users, {stack.store}", rate, "users/s", alone, notes)
    if not options.quick and (rate < GOAL * alone or max(megabytes) > MOST_MEGABYTES):
        raise BenchError(f"importing {users:,} users: {rate:,.0f}/s, {max(megabytes):.0f} MB")


def _alone(stack: Stack, users: int) -> float:
    """Users a second that one worker applies when all of them wait."""
    path, site = stack.folder / "alone.zip", stack.site("import alone")
    braze_files.write(path, users)
    database = site.open()
    try:
        run = Import(database, workspaces.operator(database, "bench", "bench"), b"alone", Way(), now_us)
        for _ in run.run(Row(*place) for place in row_sources.rows(path)):
            pass
    finally:
        database.dispose()
    with drainer(stack, site) as applier:
        done = applier.drain()
    if done["objects"] != users:
        raise BenchError(f"of {users:,} users {done['objects']:,} were applied")
    return users / float(done["seconds"])


def _run(stack: Stack, site: Site, until: int | None, began: float) -> float:
    """One run of the command, killed when so many users are sent; the most memory that it had, in megabytes."""
    argv = (str(SCRIPTS / "onefold"), "import", str(stack.folder / "segment.zip"), "--workspace", "bench")
    most, database = 0.0, site.open()
    try:
        with stack.process("importer", (*argv, "--data-dir", str(stack.folder)), stack.environment(site)) as process:
            seen = psutil.Process(process.pid)
            while process.poll() is None:
                with database.read(database.inbox) as connection:
                    done = int(connection.execute(_DONE).scalar_one())
                if until is not None and done >= until:
                    process.kill()
                    process.wait()
                    return most
                most = max(most, _megabytes(seen))
                if time.monotonic() - began > LATEST_SECONDS:
                    raise BenchError(f"{done:,} users were sent in {LATEST_SECONDS:.0f} s")
                time.sleep(_LOOK_SECONDS)
            if process.returncode or until is not None:
                raise BenchError("the import ended: " + (stack.folder / "importer.log").read_text()[-1000:])
    finally:
        database.dispose()
    return most


def _megabytes(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def _check(site: Site, users: int) -> None:
    """Each user is in one request, and is one profile with its summaries. Raises BenchError."""
    database = site.open()
    try:
        sent, profiles, summaries = _sent(database, site), *_applied(database, site)
    finally:
        database.dispose()
    wanted = sum(braze_files.purchases_of(number) for number in range(users))
    if (sent, profiles, summaries) != (users, users, wanted):
        raise BenchError(f"of {users:,} users {sent:,} were sent, {profiles:,} are here, with {summaries:,} purchases")


def _sent(database: Database, site: Site) -> int:
    """Users in the requests of the inbox."""
    commands, behind, sent = msgspec.json.Decoder(list[msgspec.Raw]), 0, 0
    while True:
        with database.read(database.inbox) as connection:
            requests = inbox.read(connection, site.workspace_id, STREAM_BULK, behind, 0, 50)
        if not requests:
            return sent
        sent += sum(len(commands.decode(stored.opened(request.codec, request.body)[2])) for request in requests)
        behind = requests[-1].seq


def _applied(database: Database, site: Site) -> tuple[int, int]:
    """Profiles, and purchases of all of them."""
    found = text("select count(*), coalesce(sum(purchase_count), 0) from profile where workspace_id = :workspace_id")
    with database.read() as connection:
        profiles, purchases = connection.execute(found, {"workspace_id": site.workspace_id}).one()
    return int(profiles), int(purchases)
