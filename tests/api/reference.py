"""What the store holds, beside what the reference makes of the inbox."""

import json
from datetime import UTC, datetime
from typing import Any

from app.domain.apply import reduce
from app.domain.profile import Profile
from app.domain.state import State
from app.store.inbox import log as inbox
from tests.api.harness import Workspace
from workers import replay
from workers.ahead import decoded


def equal(workspace: Workspace) -> bool:
    """Whether the store holds what the reference makes of the inbox."""
    return differences(workspace) == []


def equal_to_the_reference(workspace: Workspace) -> None:
    """Fail with what differs."""
    assert differences(workspace) == []


def differences(workspace: Workspace) -> list[str]:
    """Where the store holds something else than the reference makes of the inbox."""
    return replay.differences(workspace.service.database, workspace.id, workspace.secret)


START = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def without_now(user: dict[str, Any]) -> dict[str, Any]:
    """Moments of acceptance differ between two services."""
    user.pop("push_opted_in_at", None)
    for section in ("custom_events", "purchases"):
        for entry in user.get(section, ()):
            for name in ("first", "last"):
                if entry[name] >= START:
                    entry[name] = "now"
    return user


def exact(value: object) -> str:
    """JSON text tells 1 from 1.0 from true, and -0.0 from 0.0, which == does not."""
    if isinstance(value, list):
        value = [without_now(user) if isinstance(user, dict) else user for user in value]
    return json.dumps(value, sort_keys=True)


def check_reference(workspace: Workspace) -> None:
    """The store holds exactly what the reducer makes of the inbox."""
    database = workspace.service.database
    with database.read(database.inbox) as connection:
        log = inbox.read(connection, workspace.id, 0, 0, 0, 1000)
    wanted = State(complete=True)
    reduce([decoded(request) for request in log], wanted, workspace.id, workspace.secret)
    found = workspace.state()
    assert {pid: shown(p) for pid, p in found.profiles.items()} == {pid: shown(p) for pid, p in wanted.profiles.items()}
    assert {k: v for k, v in found.index.items() if v} == {k: v for k, v in wanted.index.items() if v}
    assert found.addresses == {k: v for k, v in wanted.addresses.items() if v is not None}


def shown(profile: Profile) -> str:
    fields = {name: getattr(profile, name) for name in Profile.__slots__}
    return json.dumps(fields, sort_keys=True)
