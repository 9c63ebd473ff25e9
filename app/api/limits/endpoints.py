"""Limits of a workspace: endpoints of our own."""

from typing import Final

from fastapi import Request

from app.api.answers import Answer
from app.api.documentation import Documentation
from app.api.endpoint import Endpoint, posting
from app.api.limits import answers
from app.api.limits.models import Limits
from app.contract.limits import LimitsChange, read_change
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.limits"

_SHOW: Final = Documentation(
    title="Limits, what is left of them, and what was used",
    tag="Limits",
    text="`usage` is that of the key that asks, and with `admin.limits` that of every key of the workspace.",
    answers={200: Limits},
)
_CHANGE: Final = Documentation(
    title="Change limits",
    tag="Limits",
    text="In force at once in the process that answers, within seconds in the others. Tokens that are there are kept.",
    body=LimitsChange,
    example={
        "track_burst_limit": 500,
        "track_hourly_limit": None,
        "groups": {"export-ids": {"requests": 2500, "window_seconds": 60}, "track-bulk": "plan"},
    },
    answers={200: Limits},
)


def endpoints(services: Services) -> list[Endpoint]:
    async def show(caller: Caller, _request: Request) -> Answer:
        return Answer(200, answers.document(await services.limits.show(caller)))

    async def change(caller: Caller, body: bytes) -> Answer:
        return Answer(200, answers.document(await services.limits.change(caller, *read_change(body))))

    return [
        Endpoint("GET", "/v1/limits", None, "default", show, _SHOW),
        Endpoint("PUT", "/v1/limits", PERMISSION, "default", posting(services, change), _CHANGE),
    ]
