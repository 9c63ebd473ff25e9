"""What ages out of the console: sessions that nobody uses any more, and old lines of its log of acts."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from app.domain.times import DAY, HOUR
from app.store import accounts, acts
from app.store.engine import DATABASE_ERRORS, Database

log = structlog.get_logger()

INTERVAL_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Kept:
    """How long a session lives that is not used; what is kept of acts, whichever is less."""

    session_us: int
    act_us: int
    acts: int


def keeping(session_hours: float, act_days: float, acts: int) -> Kept:
    """The same from settings."""
    return Kept(int(session_hours * HOUR), int(act_days * DAY), acts)


def trim(database: Database, kept: Kept, now_us: int) -> dict[str, int]:
    """Drop what is over: {what: how many}."""
    done = {
        "console_sessions": accounts.expire_sessions(
            database, now_us - kept.session_us, now_us - accounts.LONGEST_SESSION_US
        ),
        "console_acts": acts.trim(database, now_us - kept.act_us, kept.acts),
    }
    return {what: number for what, number in done.items() if number}


def run(database: Database, kept: Kept, now_us: Callable[[], int], stop: threading.Event) -> None:
    """Work until `stop`. An outage of the database is waited out."""
    while not stop.wait(INTERVAL_SECONDS):
        try:
            if dropped := trim(database, kept, now_us()):
                log.info("aged_out", counts=dropped)
        except DATABASE_ERRORS as error:
            log.warning("retention_failed", error=type(error).__name__)
