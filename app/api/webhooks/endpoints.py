"""Change webhooks: made, changed, listed, tested, and what they were not told yet. Endpoints of our own."""

from typing import Final

from fastapi import Request

from app.api.answers import Answer, answered
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint, posting
from app.api.refusals import BodyRefusal, Refusal
from app.api.webhooks.answers import shown
from app.api.webhooks.models import (
    AllWebhooks,
    Deleted,
    Messages,
    NewWebhook,
    OneWebhook,
    Replayed,
    Tested,
    WebhookChange,
    WithSecret,
)
from app.contract import webhooks as contract
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.webhooks"

_TAG: Final = "Webhooks"
_ID: Final = Parameter("webhook_id", "path", str, "The webhook's `id`.")
_CREATE: Final = Documentation(
    title="Make a webhook",
    tag=_TAG,
    text="A URL that is told which profiles change, from then on: one message for each profile and request, in order "
    "for each profile, at least once. Messages are signed as Standard Webhooks has it; the secret is shown once.",
    body=NewWebhook,
    example={
        "url": "https://hooks.example.org/onefold",
        "events": ["profile.created", "profile.updated", "profile.deleted"],
    },
    answers={201: WithSecret, 400: BodyRefusal},
)
_CHANGE: Final = Documentation(
    title="Change a webhook",
    tag=_TAG,
    text="Members that are left out stay as they are. What waits for it goes out at once.",
    body=WebhookChange,
    example={"enabled": False},
    answers={200: OneWebhook, 400: BodyRefusal, 404: Refusal},
    parameters=(_ID,),
)
_ONE: Final = Documentation(
    title="Show a webhook",
    tag=_TAG,
    text="With how it fares.",
    answers={200: OneWebhook, 404: Refusal},
    parameters=(_ID,),
)
_LIST: Final = Documentation(
    title="List webhooks", tag=_TAG, text="All of the workspace, the oldest first.", answers={200: AllWebhooks}
)
_DELETE: Final = Documentation(
    title="Delete a webhook",
    tag=_TAG,
    text="With all that it was not told yet.",
    answers={200: Deleted, 404: Refusal},
    parameters=(_ID,),
)
_ROTATE: Final = Documentation(
    title="Give a webhook a new secret",
    tag=_TAG,
    text="Messages are signed with the new and the former one for 24 hours.",
    answers={200: WithSecret, 404: Refusal},
    parameters=(_ID,),
)
_TEST: Final = Documentation(
    title="Test a webhook",
    tag=_TAG,
    text="Sends a message of the type `webhook.test`.",
    answers={202: Tested, 404: Refusal},
    parameters=(_ID,),
)
_MESSAGES: Final = Documentation(
    title="List messages of a webhook",
    tag=_TAG,
    text="What it was not told yet, the oldest first: messages that are due, or that are dead.",
    answers={200: Messages, 400: Refusal, 404: Refusal},
    parameters=(
        _ID,
        Parameter("state", "query", str, "`due`, unless given, or `dead`."),
        Parameter("limit", "query", int, "How many; 50 unless given, 500 at most."),
    ),
)
_REPLAY: Final = Documentation(
    title="Send dead messages of a webhook again",
    tag=_TAG,
    text="All of them, with as many attempts as at first.",
    answers={202: Replayed, 404: Refusal},
    parameters=(_ID,),
)


def endpoints(services: Services) -> list[Endpoint]:
    webhooks = services.webhooks

    async def create(caller: Caller, body: bytes) -> Answer:
        return answered(201, contract.shown(await webhooks.create(caller, contract.read_new(body)), secret=True))

    async def change(caller: Caller, request: Request) -> Answer:
        async def changed(caller: Caller, body: bytes) -> Answer:
            fields = contract.read_change(body)
            return answered(
                200, contract.shown(await webhooks.change(caller, request.path_params["webhook_id"], fields))
            )

        return await posting(services, changed)(caller, request)

    async def one(caller: Caller, request: Request) -> Answer:
        return answered(200, contract.shown(await webhooks.one(caller, request.path_params["webhook_id"])))

    async def listed(caller: Caller, _request: Request) -> Answer:
        return answered(200, {"webhooks": [contract.shown(webhook) for webhook in await webhooks.listed(caller)]})

    async def delete(caller: Caller, request: Request) -> Answer:
        await webhooks.delete(caller, request.path_params["webhook_id"])
        return answered(200, {})

    async def rotate(caller: Caller, request: Request) -> Answer:
        webhook = await webhooks.rotate(caller, request.path_params["webhook_id"])
        return answered(200, contract.shown(webhook, secret=True))

    async def test(caller: Caller, request: Request) -> Answer:
        return answered(202, {"id": await webhooks.test(caller, request.path_params["webhook_id"])})

    async def messages(caller: Caller, request: Request) -> Answer:
        state, limit = contract.read_messages(request.query_params)
        found = await webhooks.messages(caller, request.path_params["webhook_id"], state, limit)
        return answered(200, {"messages": [shown(message) for message in found]})

    async def replay(caller: Caller, request: Request) -> Answer:
        return answered(202, {"replayed": await webhooks.replay(caller, request.path_params["webhook_id"])})

    by_id = "/v1/webhooks/{webhook_id}"
    return [
        Endpoint("GET", "/v1/webhooks", PERMISSION, "default", listed, _LIST),
        Endpoint("POST", "/v1/webhooks", PERMISSION, "default", posting(services, create), _CREATE),
        Endpoint("GET", by_id, PERMISSION, "default", one, _ONE),
        Endpoint("PUT", by_id, PERMISSION, "default", change, _CHANGE),
        Endpoint("DELETE", by_id, PERMISSION, "default", delete, _DELETE),
        Endpoint("POST", f"{by_id}/secret", PERMISSION, "default", rotate, _ROTATE),
        Endpoint("POST", f"{by_id}/test", PERMISSION, "default", test, _TEST),
        Endpoint("GET", f"{by_id}/messages", PERMISSION, "default", messages, _MESSAGES),
        Endpoint("POST", f"{by_id}/replay", PERMISSION, "default", replay, _REPLAY),
    ]
