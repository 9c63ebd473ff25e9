"""Merges in tests: what is recorded of them, and taking them back."""

from tests.api.asking import decide, get
from tests.api.harness import Answer, Json, Workspace


def merges(workspace: Workspace, query: str) -> list[Json]:
    answer = get(workspace, f"/v1/merges?{query}")
    assert answer.status == 200, answer.text
    return list(answer.body["merges"])


def braze_id(workspace: Workspace, external_id: str) -> str:
    (user,) = workspace.post("/users/export/ids", {"external_ids": [external_id]}, drain=False).body["users"]
    return str(user["braze_id"])


def undo(workspace: Workspace, merge_id: str, **headers: str) -> Answer:
    """The undo is applied while the call waits for it."""
    return decide(workspace, f"/v1/merges/{merge_id}/undo", {}, **headers)
