"""Workspaces as a whole: deleting the one that the key belongs to. An endpoint of our own."""

from typing import Final

from fastapi import Request

from app.api.answers import Answer, answered
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint
from app.api.refusals import Refusal
from app.api.workspaces.models import Deleting
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.workspaces"

_DELETE: Final = Documentation(
    title="Delete the workspace",
    tag="Workspaces",
    text="The one that the key belongs to, with everything in it: people, keys, requests, files. Its name has to be "
    "given, and nothing brings it back. From the answer on nothing is accepted: keys are answered 403, and 401 once "
    "everything is gone.",
    answers={202: Deleting, 404: Refusal},
    parameters=(Parameter("name", "path", str, "The name of the workspace."),),
)


def endpoints(services: Services) -> list[Endpoint]:
    async def delete(caller: Caller, request: Request) -> Answer:
        name = request.path_params["name"]
        await services.workspace_deletions.begin(caller, name)
        return answered(202, {"workspace": name, "state": "deleting"})

    return [Endpoint("DELETE", "/v1/workspaces/{name}", PERMISSION, "default", delete, _DELETE)]
