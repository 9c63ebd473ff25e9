"""Alerts: a number that is watched, and when somebody is told about it. Values, and one pure step.

An alert is `ok`, until its number is above what it allows: then it is `pending`, and after `for_seconds` it is
`firing`. A firing one whose number is low enough is `clearing`, and `ok` again after `clear_seconds`. Somebody is told
when it begins to fire and when it is over, so a number that goes up and down quickly tells nobody twice.
"""

from dataclasses import dataclass, field
from typing import Final

from app.domain.times import SECOND

#: The alerts of the installation have this instead of a workspace: they watch all workspaces together.
INSTALLATION: Final = 0

# What is watched. The names are stored and shown.
LAG: Final = "lag_seconds"  # age of the oldest accepted request that is not applied
BACKLOG: Final = "backlog_requests"  # accepted requests that are not applied
STANDING: Final = "lane_standing_seconds"  # since when the first of them is the same one
RESPONSES_4XX: Final = "responses_4xx"
RESPONSES_5XX: Final = "responses_5xx"
RESPONSES_429: Final = "responses_429"
INVALID_KEYS: Final = "invalid_keys"  # requests without a live key, which belong to no workspace
DEAD_LETTERS: Final = "dead_letters"
ECOMMERCE_FAILURES: Final = "ecommerce_failures"  # recommended events that do not follow their schema
#: Numbers of now. The others are counts of the last minutes.
GAUGES: Final = (LAG, BACKLOG, STANDING)
#: Counts that may be those of one key, and of one endpoint.
RESPONSES: Final = (RESPONSES_4XX, RESPONSES_5XX, RESPONSES_429)
METRICS: Final = (*GAUGES, *RESPONSES, INVALID_KEYS, DEAD_LETTERS, ECOMMERCE_FAILURES)
#: What a workspace cannot see.
OF_INSTALLATION: Final = (INVALID_KEYS,)

# States.
OK: Final = "ok"
PENDING: Final = "pending"
FIRING: Final = "firing"
CLEARING: Final = "clearing"
STATES: Final = (OK, PENDING, FIRING, CLEARING)

# What a message says.
RESOLVED: Final = "resolved"
TEST: Final = "test"
SAID: Final = (FIRING, RESOLVED, TEST)

# How it goes out.
WEBHOOK: Final = "webhook"
EMAIL: Final = "email"

# What became of a message.
DUE: Final = "due"
DELIVERED: Final = "delivered"
FAILED: Final = "failed"
HELD_BACK: Final = "held_back"  # the workspace has sent too many in the last hour
DELIVERIES: Final = (DUE, DELIVERED, FAILED, HELD_BACK)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an alert stands, and since when. `version` grows with each change, so that only one of two is made."""

    state: str = OK
    since_us: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class Alert:
    """What is watched, when it is too much, and who is told."""

    workspace_id: int
    #: A UUID of ours.
    id: str
    name: str
    metric: str
    #: It fires when the number is above this.
    above: int
    #: Counts are those of so many minutes.
    window_minutes: int
    for_seconds: int
    clear_seconds: int
    #: Of RESPONSES: the public id of a key, or the id of an app; "" = any.
    key_id: str
    #: `POST /users/track`, or the path alone; "" = any.
    endpoint: str
    #: WEBHOOK or EMAIL, and the URL or the addresses.
    channel: str
    targets: tuple[str, ...]
    enabled: bool
    created_us: int
    created_by: str
    standing: Standing = Standing()
    #: As of the last look that was noted; None = nobody has looked.
    value: int | None = None
    checked_us: int = 0
    #: What its messages are signed with, where it was just given that; it is shown once. Else "".
    secret: str = field(default="", repr=False)


def step(alert: Alert, value: int, now_us: int) -> tuple[Standing, str]:
    """Where the alert stands now that its number is `value`; and what is to be said about it, "" = nothing.

    The same standing comes back when nothing changes. A clock that has stepped back counts from where it is now.
    """
    before, too_much = alert.standing, value > alert.above
    waited_us = now_us - before.since_us
    if before.state in (PENDING, CLEARING) and waited_us < 0:
        return Standing(before.state, now_us, before.version + 1), ""

    def moved(state: str, said: str = "") -> tuple[Standing, str]:
        return Standing(state, now_us, before.version + 1), said

    if before.state == OK and too_much:
        return moved(FIRING, FIRING) if alert.for_seconds == 0 else moved(PENDING)
    if before.state == PENDING:
        if not too_much:
            return moved(OK)
        if waited_us >= alert.for_seconds * SECOND:
            return moved(FIRING, FIRING)
    if before.state == FIRING and not too_much:
        return moved(OK, RESOLVED) if alert.clear_seconds == 0 else moved(CLEARING)
    if before.state == CLEARING:
        if too_much:
            return moved(FIRING)
        if waited_us >= alert.clear_seconds * SECOND:
            return moved(OK, RESOLVED)
    return before, ""
