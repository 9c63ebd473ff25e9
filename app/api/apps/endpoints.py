"""Apps: made, changed, listed. Endpoints of our own."""

from typing import Final

from fastapi import Request

from app.api.answers import Answer, answered
from app.api.apps.models import AllApps, AppChange, NewApp, OneApp
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint, posting
from app.api.refusals import BodyRefusal, Refusal
from app.contract import apps as contract
from app.domain import times
from app.services.apps import App
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.apps"

_ID: Final = Parameter("app_id", "path", str, "The app's `app_id`.")
_CREATE: Final = Documentation(
    title="Make an app",
    tag="Apps",
    text="Known to every process at once. It has an id and an SDK key from the start.",
    body=NewApp,
    example={"name": "Shop", "platform": "web"},
    answers={201: OneApp, 400: BodyRefusal},
)
_CHANGE: Final = Documentation(
    title="Change an app",
    tag="Apps",
    text="Members that are left out stay as they are. Seen by every process within the time of the key cache.",
    body=AppChange,
    example={"allowed_origins": ["https://shop.example.org"]},
    answers={200: OneApp, 400: BodyRefusal, 404: Refusal},
    parameters=(_ID,),
)
_ROTATE: Final = Documentation(
    title="Give an app another SDK key",
    tag="Apps",
    text="The one before works no more, within the time of the key cache. The app and all that is known of it stay.",
    answers={201: OneApp, 404: Refusal},
    parameters=(_ID,),
)
_LIST: Final = Documentation(
    title="List apps", tag="Apps", text="All of them with their SDK keys, the oldest first.", answers={200: AllApps}
)


def shown(app: App) -> dict[str, object]:
    """An app as JSON."""
    return {
        "app_id": app.id,
        "name": app.name,
        "platform": app.platform,
        "sdk_key": app.sdk_key,
        "allowed_origins": list(app.allowed_origins),
        "disabled": app.disabled,
        "sdk_authentication": app.sdk_authentication,
        "public_keys": list(app.public_keys),
        "created_at": times.iso(app.created_us),
    }


def endpoints(services: Services) -> list[Endpoint]:
    apps = services.apps

    async def create(caller: Caller, body: bytes) -> Answer:
        return answered(201, shown(await apps.create(caller, *contract.read_new(body))))

    async def change(caller: Caller, request: Request) -> Answer:
        async def changed(caller: Caller, body: bytes) -> Answer:
            values = contract.read_change(body)
            return answered(200, shown(await apps.change(caller, request.path_params["app_id"], values)))

        return await posting(services, changed)(caller, request)

    async def rotate(caller: Caller, request: Request) -> Answer:
        return answered(201, shown(await apps.rotate(caller, request.path_params["app_id"])))

    async def listed(caller: Caller, _request: Request) -> Answer:
        return answered(200, {"apps": [shown(app) for app in await apps.listed(caller)]})

    by_id = "/v1/apps/{app_id}"
    return [
        Endpoint("GET", "/v1/apps", PERMISSION, "default", listed, _LIST),
        Endpoint("POST", "/v1/apps", PERMISSION, "default", posting(services, create), _CREATE),
        Endpoint("PUT", by_id, PERMISSION, "default", change, _CHANGE),
        Endpoint("POST", f"{by_id}/sdk_key", PERMISSION, "default", rotate, _ROTATE),
    ]
