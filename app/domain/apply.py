"""The reducer: applies accepted requests to a state, one after another in their order.

Pure at its border (same requests and state in, same state out; no clock, no randomness) and total: whatever the
contract accepts has an effect here or leaves a problem with a reason.
"""

from collections.abc import Iterable

from app.domain import data_rules, identity, track
from app.domain.commands import ChangeSettings, Command, Request, TrackAttributes, TrackEvent, TrackPurchase
from app.domain.state import State
from app.domain.step import Step


def reduce(requests: Iterable[Request], state: State, workspace_id: int, secret: bytes) -> None:
    """Apply requests in order. The state is changed in place; `state.changes` says what has to be written."""
    for request in requests:
        step = Step(state, request, workspace_id, secret)
        for ordinal, command in enumerate(request.commands):
            step.ordinal = ordinal
            _apply(step, command)


def _apply(step: Step, command: Command) -> None:
    if isinstance(command, (TrackAttributes, TrackEvent, TrackPurchase)):
        track.apply(step, command)
    elif isinstance(command, ChangeSettings):
        _change_settings(step.state, command)
    else:
        identity.apply(step, command)


def _change_settings(state: State, command: ChangeSettings) -> None:
    state.settings = data_rules.changed(state.settings, command.values)
    state.changes.settings_changed = True
