"""A newer table of reference rates comes into force: by a request of each workspace, so that a redo meets the same."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from app.adapters.rates import reference_table
from app.contract.stored import settings_change
from app.domain.commands import STREAM_NORMAL
from app.store import lane, workspaces
from app.store.engine import DATABASE_ERRORS, Database
from app.store.inbox import log as inbox

log = structlog.get_logger()

INTERVAL_S: Final = 3_600.0
#: Until the next try after the database did not answer.
RETRY_S: Final = 10.0
#: Workspaces that get it together, and seconds until the next ones do: each has a lane to be worked off, and clients'
#: requests are not to wait behind thousands of them.
AT_ONCE: Final = 50
PAUSE_S: Final = 1.0


def announce(
    database: Database, last_day: int, now_us: int, pause: Callable[[float], bool] = lambda _seconds: False
) -> int:
    """Queue the table up to `last_day` for every workspace that has an older one in force, or none; how many have.

    What is already queued is queued again: that changes nothing. `pause` is called now and then with the seconds to
    wait, and tells whether to end here.
    """
    checked = settings_change({"rates_until": last_day})
    entry = inbox.Entry(checked.kind, checked.codec, checked.body)
    queued = 0
    with database.read() as connection:
        until = lane.rates_until(connection)
    for workspace in workspaces.listed(database):
        number = workspaces.number(workspace)
        if until.get(number, last_day) >= last_day:
            continue
        with suppress(inbox.UnknownWorkspaceError):  # it was deleted meanwhile
            with database.write(database.inbox) as connection:
                inbox.append(connection, number, STREAM_NORMAL, [entry], now_us)
            queued += 1
            if queued % AT_ONCE == 0 and pause(PAUSE_S):
                break
    if queued:
        log.info("rates_announced", workspaces=queued, until=last_day)
    return queued


def run(database: Database, now_us: Callable[[], int], stop: threading.Event) -> None:
    """Announce this installation's table now and every hour, for workspaces made meanwhile, until `stop`."""
    pause = 0.0
    while not stop.wait(pause):
        try:
            announce(database, reference_table().last_day, now_us(), stop.wait)
            pause = INTERVAL_S
        except DATABASE_ERRORS as error:
            log.warning("rates_failed", error=type(error).__name__)
            pause = RETRY_S
