"""Duplicates in tests, and a worker that applies what a job queued."""

from collections.abc import Callable
from typing import Any

from app.store.jobs import Job
from tests.api.harness import Json, Workspace


def drains(workspace: Workspace) -> Callable[[Job, str], None]:
    """A worker that applies what a job queued as soon as it recorded it."""

    def step(_job: Job, name: str) -> None:
        if name.endswith("recorded"):
            workspace.drain()

    return step


def people(workspace: Workspace, groups: int, size: int = 3, **fields: Any) -> None:
    """Groups of duplicates: one with an external id, the others with aliases."""
    attributes: list[Json] = []
    for n in range(groups):
        who: Json = {"email": f"dup{n:03}@example.org", **fields}
        attributes.append({"external_id": f"c{n}", "tier": "gold", **who})
        attributes += [
            {
                "user_alias": {"alias_label": "web", "alias_name": f"{n}-{k}"},
                "_update_existing_only": False,
                "guest": k,
                **who,
            }
            for k in range(1, size)
        ]
    for first in range(0, len(attributes), 75):
        assert workspace.track({"attributes": attributes[first : first + 75]}).status == 201
