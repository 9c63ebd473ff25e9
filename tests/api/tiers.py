"""People of two tiers, and the segment of one."""

from tests.api.harness import Json, Workspace

GOLD: Json = {
    "name": "gold",
    "groups": [
        {"op": "AND", "filters": [{"field": "custom_attribute", "name": "tier", "op": "equals", "value": "gold"}]}
    ],
}


def segment(workspace: Workspace, **changes: object) -> str:
    answer = workspace.post("/v1/segments", {**GOLD, **changes}, drain=False)
    assert answer.status == 201, answer.text
    return str(answer.body["id"])


def people(workspace: Workspace, number: int) -> None:
    workspace.track(
        {
            "attributes": [
                {"external_id": f"u{n}", "tier": "gold" if n % 2 else "silver", "email": f"u{n}@example.org"}
                for n in range(number)
            ]
        }
    )
