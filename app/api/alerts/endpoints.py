"""Alerts: made, changed, listed, tested, and what they said. Endpoints of our own."""

from typing import Final

from fastapi import Request

from app.api.alerts.answers import shown
from app.api.alerts.models import AlertChange, AllAlerts, Deleted, Messages, NewAlert, OneAlert, OneMessage
from app.api.answers import Answer, answered
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint, posting
from app.api.refusals import BodyRefusal, Refusal
from app.contract import alerts as contract
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.alerts"

_TAG: Final = "Alerts"
_ID: Final = Parameter("alert_id", "path", str, "The alert's `id`.")
_CREATE: Final = Documentation(
    title="Make an alert",
    tag=_TAG,
    text="A number that is watched. A webhook or e-mail addresses hear when it begins to be too much, and when that "
    "is over: once each.",
    body=NewAlert,
    example={
        "name": "Too many refusals",
        "metric": "responses_4xx",
        "above": 100,
        "endpoint": "POST /users/track",
        "webhook": "https://hooks.example.org/onefold",
    },
    answers={201: OneAlert, 400: BodyRefusal},
)
_CHANGE: Final = Documentation(
    title="Change an alert",
    tag=_TAG,
    text="Members that are left out stay as they are. The alert begins anew, as `ok`.",
    body=AlertChange,
    example={"above": 200},
    answers={200: OneAlert, 400: BodyRefusal, 404: Refusal, 409: Refusal},
    parameters=(_ID,),
)
_ONE: Final = Documentation(
    title="Show an alert",
    tag=_TAG,
    text="With where it stands, and since when.",
    answers={200: OneAlert, 404: Refusal},
    parameters=(_ID,),
)
_LIST: Final = Documentation(
    title="List alerts", tag=_TAG, text="All of the workspace, the oldest first.", answers={200: AllAlerts}
)
_DELETE: Final = Documentation(
    title="Delete an alert",
    tag=_TAG,
    text="Messages that are due still go out.",
    answers={200: Deleted, 404: Refusal},
    parameters=(_ID,),
)
_TEST: Final = Documentation(
    title="Test an alert",
    tag=_TAG,
    text="Sends a message that says that it is a test, as the alert would. `GET /v1/alert_messages` tells what came "
    "of it, after some seconds.",
    answers={202: OneMessage, 400: Refusal, 404: Refusal},
    parameters=(_ID,),
)
_MESSAGES: Final = Documentation(
    title="List messages of alerts",
    tag=_TAG,
    text="What the alerts of the workspace said, newest first, with the attempts at sending it.",
    answers={200: Messages, 400: Refusal},
    parameters=(
        Parameter("alert_id", "query", str, "Of this alert alone."),
        Parameter("limit", "query", int, "How many; 50 unless given, 500 at most."),
    ),
)


def endpoints(services: Services) -> list[Endpoint]:
    alerts = services.alerts

    async def create(caller: Caller, body: bytes) -> Answer:
        return answered(201, contract.shown(await alerts.create(caller, contract.read_new(body))))

    async def change(caller: Caller, request: Request) -> Answer:
        async def changed(caller: Caller, body: bytes) -> Answer:
            fields = contract.read_change(body)
            return answered(200, contract.shown(await alerts.change(caller, request.path_params["alert_id"], fields)))

        return await posting(services, changed)(caller, request)

    async def one(caller: Caller, request: Request) -> Answer:
        return answered(200, contract.shown(await alerts.one(caller, request.path_params["alert_id"])))

    async def listed(caller: Caller, _request: Request) -> Answer:
        return answered(200, {"alerts": [contract.shown(alert) for alert in await alerts.listed(caller)]})

    async def delete(caller: Caller, request: Request) -> Answer:
        await alerts.delete(caller, request.path_params["alert_id"])
        return answered(200, {})

    async def test(caller: Caller, request: Request) -> Answer:
        return answered(202, shown(await alerts.test(caller, request.path_params["alert_id"])))

    async def messages(caller: Caller, request: Request) -> Answer:
        alert_id, limit = contract.read_messages(request.query_params)
        found = await alerts.messages(caller, alert_id, limit)
        return answered(200, {"messages": [shown(message) for message in found]})

    by_id = "/v1/alerts/{alert_id}"
    return [
        Endpoint("GET", "/v1/alerts", PERMISSION, "default", listed, _LIST),
        Endpoint("POST", "/v1/alerts", PERMISSION, "default", posting(services, create), _CREATE),
        Endpoint("GET", by_id, PERMISSION, "default", one, _ONE),
        Endpoint("PUT", by_id, PERMISSION, "default", change, _CHANGE),
        Endpoint("DELETE", by_id, PERMISSION, "default", delete, _DELETE),
        Endpoint("POST", f"{by_id}/test", PERMISSION, "default", test, _TEST),
        Endpoint("GET", "/v1/alert_messages", PERMISSION, "default", messages, _MESSAGES),
    ]
