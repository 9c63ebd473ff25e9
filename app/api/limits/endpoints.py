"""Limits of a workspace: endpoints of our own."""

from typing import Final

from fastapi import Request

from app.api.documentation import Documentation
from app.api.endpoint import Endpoint, posting
from app.api.limits.models import Limits
from app.contract.limits import LimitsChange
from app.services.accepting.acceptor import Answer
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
        return await services.limits.show(caller)

    change = posting(services, services.limits.change)
    return [
        Endpoint("GET", "/v1/limits", None, "default", show, _SHOW),
        Endpoint("PUT", "/v1/limits", PERMISSION, "default", change, _CHANGE),
    ]
