"""Requests to `/users/track`, applied to a state in memory."""

from typing import Any

import msgspec

from app.contract import kinds, stored, track
from app.domain import times
from app.domain.apply import reduce
from app.domain.commands import ChangeSettings, Request
from app.domain.state import State

SECRET = b"s" * 32


NOW = times.parse("2026-11-22T00:00:00Z") or 0


LIMITS = track.Limits(None, None)


def apply(*bodies: dict[str, Any], state: State | None = None, settings: dict[str, object] | None = None) -> State:
    """The state after the requests, accepted two microseconds apart."""
    state = state or State(complete=True)
    requests = []
    if settings:
        requests.append(Request(0, 1, NOW - 2, [ChangeSettings(0, settings)]))
    for n, body in enumerate(bodies):
        accepted = track.check(msgspec.json.encode(body), LIMITS)
        commands = stored.commands(kinds.TRACK, accepted.codec, accepted.body)
        requests.append(Request(0, n + 2, NOW + 2 * n, commands))
    reduce(requests, state, 1, SECRET)
    return state
