"""The reducer: applies accepted requests to a state, one after another in their order.

Pure at its border: the same requests and state lead to the same state, and it knows no clock and no chance. Total as
well: whatever the contract accepts has an effect here or leaves a problem with a reason.
"""

from collections.abc import Iterable
from typing import Final

from app.domain.commands import Request
from app.domain.effects import EFFECTS
from app.domain.order import positions
from app.domain.state import State
from app.domain.step import Step

#: Of what commands do, kept with what was applied. A step of it says that some of what was applied before would have
#: another effect today, which workers.replay then does not compare. 1: series, blocked profiles, sessions one by one.
#: 2: late batches of devices, and the bound on devices at a merge. 3: any merge can be undone, not only the last one.
VERSION: Final = 3


def reduce(requests: Iterable[Request], state: State, workspace_id: int, secret: bytes) -> None:
    """Apply requests in order. The state is changed in place; `state.changes` says what has to be written."""
    for request in requests:
        apply_commands(Step(state, request, workspace_id, secret), positions(request, state.holders))


def reduce_part(request: Request, done: int, state: State, workspace_id: int, secret: bytes) -> None:
    """Apply the first commands of a request, so that `done` of them have taken effect."""
    before = 0 if request.begun is None else request.begun.done
    order = positions(request, state.holders)
    apply_commands(Step(state, request, workspace_id, secret), order[: max(0, done - before)])


def apply_commands(step: Step, ordinals: Iterable[int]) -> None:
    """Apply commands of one request, given by their positions in it."""
    commands = step.request.commands
    step.state.now_us = step.request.accepted_us
    for ordinal in ordinals:
        if step.is_over:
            return
        command = commands[ordinal]
        if step.ended[1] >= 0 and step.has_ended(ordinal, command):
            continue
        step.ordinal = ordinal
        EFFECTS[type(command)].apply(step, command)
