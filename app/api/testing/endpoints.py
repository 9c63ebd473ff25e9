"""Test mode: begin anew, set the clock, and faults on purpose. Only `onefold up --test` serves these endpoints."""

from typing import Final

from fastapi import Request

from app.api.answers import Answer, answered
from app.api.documentation import Documentation
from app.api.endpoint import TEST_MODE, Endpoint, posting
from app.api.refusals import BodyRefusal, Refusal
from app.api.testing.models import NewFault, NewTime, Renewed, TheFault, TheTime
from app.contract.testing import read_clock, read_fault, shown
from app.domain import times
from app.services.caller import Caller
from app.services.registry import Services

RESET: Final = f"{TEST_MODE}reset"
FAULT: Final = f"{TEST_MODE}fault"
CLOCK: Final = f"{TEST_MODE}clock"

_TAG: Final = "Test mode"
_RESET: Final = Documentation(
    title="Begin anew",
    tag=_TAG,
    text="The workspace keeps its keys, apps and limits. People, requests and all else are gone, and so is the fault "
    "of the key; the clock is that of the machine again.",
    answers={200: Renewed, 404: Refusal},
)
_SHOW: Final = Documentation(
    title="What goes wrong",
    tag=_TAG,
    text="With calls of the key that asks.",
    answers={200: TheFault},
)
_SET: Final = Documentation(
    title="Let calls go wrong",
    tag=_TAG,
    text="Calls of the key that asks, from now on. It takes the place of the fault that was there.",
    body=NewFault,
    example={"status": 429, "retry_after_seconds": 2, "times": 1, "paths": ["/users/track"]},
    answers={200: TheFault, 400: BodyRefusal},
)
_CLEAR: Final = Documentation(
    title="Let nothing go wrong",
    tag=_TAG,
    text="Calls of the key that asks are served again.",
    answers={200: TheFault},
)
_TIME: Final = Documentation(title="What time it is", tag=_TAG, text="For this Onefold.", answers={200: TheTime})
_SET_TIME: Final = Documentation(
    title="Set the clock",
    tag=_TAG,
    text="For all workspaces of this Onefold. It goes on from there, unless it is `frozen`. Within a workspace times "
    "of acceptance never go back before it begins anew, and limits go by the clock of the machine.",
    body=NewTime,
    example={"now": "2027-01-01T00:00:00Z", "frozen": True},
    answers={200: TheTime, 400: BodyRefusal},
)
_REAL_TIME: Final = Documentation(
    title="Go by the machine's clock", tag=_TAG, text="As before it was set.", answers={200: TheTime}
)


def endpoints(services: Services) -> list[Endpoint]:
    """None outside of test mode."""
    testing = services.testing
    if testing is None:
        return []

    async def reset(caller: Caller, _request: Request) -> Answer:
        await testing.reset(caller)
        return answered(200, {})

    async def show(caller: Caller, _request: Request) -> Answer:
        return answered(200, {"fault": shown(testing.fault(caller))})

    async def put(caller: Caller, body: bytes) -> Answer:
        testing.set_fault(caller, read_fault(body))
        return answered(200, {"fault": shown(testing.fault(caller))})

    async def clear(caller: Caller, _request: Request) -> Answer:
        testing.set_fault(caller, None)
        return answered(200, {"fault": None})

    def time() -> Answer:
        us, frozen = testing.clock()
        return answered(200, {"now": times.iso(us), "frozen": frozen})

    async def show_time(_caller: Caller, _request: Request) -> Answer:
        return time()

    async def set_time(_caller: Caller, body: bytes) -> Answer:
        testing.set_clock(read_clock(body))
        return time()

    async def real_time(_caller: Caller, _request: Request) -> Answer:
        testing.real_clock()
        return time()

    return [
        Endpoint("POST", RESET, None, "default", reset, _RESET),
        Endpoint("GET", FAULT, None, "default", show, _SHOW),
        Endpoint("PUT", FAULT, None, "default", posting(services, put), _SET),
        Endpoint("DELETE", FAULT, None, "default", clear, _CLEAR),
        Endpoint("GET", CLOCK, None, "default", show_time, _TIME),
        Endpoint("PUT", CLOCK, None, "default", posting(services, set_time), _SET_TIME),
        Endpoint("DELETE", CLOCK, None, "default", real_time, _REAL_TIME),
    ]
