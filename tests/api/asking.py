"""Calls of a workspace: GET, and POST of what is answered after it was applied."""

from tests.api.harness import Answer, Workspace


def get(workspace: Workspace, path: str, **headers: str) -> Answer:
    return workspace.service.send("GET", path, None, workspace.headers(**headers), workspace.key)


def decide(workspace: Workspace, path: str, body: object, **headers: str) -> Answer:
    """POST, with an applier at work until it is answered."""
    with workspace.service.draining(workspace.id):
        return workspace.post(path, body, drain=False, **headers)
