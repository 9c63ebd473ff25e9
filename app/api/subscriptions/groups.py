"""Subscription groups: made, renamed, listed. Endpoints of our own."""

from typing import Final

from fastapi import Request

from app.api.answers import Answer, answered
from app.api.documentation import Documentation
from app.api.endpoint import Endpoint, posting
from app.api.refusals import BodyRefusal, Refusal
from app.api.subscriptions import models
from app.contract import subscription_groups as contract
from app.domain import times
from app.services.caller import Caller
from app.services.registry import Services
from app.services.subscription_groups import Group

PERMISSION: Final = "admin.subscription_groups"

_CREATE: Final = Documentation(
    title="Make a subscription group",
    tag="Subscriptions",
    text="Known to every process at once. An id of your own keeps working what clients have in their code.",
    body=models.NewGroup,
    example={"name": "News", "channel": "email", "id": "newsletter"},
    answers={201: models.OneGroup, 400: BodyRefusal, 409: Refusal},
)
_CHANGE: Final = Documentation(
    title="Rename a subscription group",
    tag="Subscriptions",
    text="Its id and its channel stay.",
    body=models.GroupChange,
    example={"id": "newsletter", "name": "Weekly news"},
    answers={200: models.OneGroup, 400: BodyRefusal, 404: Refusal},
)
_LIST: Final = Documentation(
    title="List subscription groups",
    tag="Subscriptions",
    text="All of them, the oldest first.",
    answers={200: models.Groups},
)


def shown(group: Group) -> dict[str, object]:
    """A group as JSON."""
    created = times.iso(group.created_us)
    return {"id": group.id, "name": group.name, "channel": group.channel, "created_at": created}


def endpoints(services: Services) -> list[Endpoint]:
    groups = services.subscription_groups

    async def create(caller: Caller, body: bytes) -> Answer:
        name, channel, group_id = contract.read_new(body)
        return answered(201, shown(await groups.create(caller, name, channel, group_id)))

    async def change(caller: Caller, body: bytes) -> Answer:
        group_id, name = contract.read_change(body)
        return answered(200, shown(await groups.rename(caller, group_id, name)))

    async def listed(caller: Caller, _request: Request) -> Answer:
        return answered(200, {"subscription_groups": [shown(group) for group in await groups.listed(caller)]})

    path = "/v1/subscription_groups"
    return [
        Endpoint("GET", path, PERMISSION, "default", listed, _LIST),
        Endpoint("POST", path, PERMISSION, "default", posting(services, create), _CREATE),
        Endpoint("PUT", path, PERMISSION, "default", posting(services, change), _CHANGE),
    ]
