"""Answers are made of what was there at one instant, whatever is applied between two statements of a read."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from sqlalchemy import Engine, event

from app.contract import external_ids, identify, merge_request
from app.contract.checked import Checked
from app.domain.commands import STREAM_NORMAL
from app.store.inbox import log
from app.store.inbox.log import Entry
from tests.api.harness import Json, Service, Workspace, times_now

#: A read with more statements than this would need more turns here.
STATEMENTS: Final = 20

GUEST: Final = {"alias_label": "basket", "alias_name": "guest-7"}
PEOPLE: Final = {
    "attributes": [
        {"external_id": "ada"},
        {"external_id": "grace"},
        {"user_alias": GUEST, "_update_existing_only": False, "email": "g@example.org"},
    ]
}


def encoded(name: str, item: Json) -> bytes:
    return json.dumps({name: [item]}).encode()


CHANGES: Final[dict[str, Checked]] = {
    "identify": identify.check(encoded("aliases_to_identify", {"external_id": "hopper", "user_alias": GUEST}), "US"),
    "identify as somebody": identify.check(
        encoded("aliases_to_identify", {"external_id": "grace", "user_alias": GUEST}), "US"
    ),
    "merge": merge_request.check(
        encoded(
            "merge_updates",
            {"identifier_to_merge": {"user_alias": GUEST}, "identifier_to_keep": {"external_id": "grace"}},
        ),
        "US",
    ),
    "rename": external_ids.read_renames(
        encoded("external_id_renames", {"current_external_id": "ada", "new_external_id": "lovelace"})
    ).checked,
}


def exported(**selectors: object) -> Callable[[Workspace, str], int]:
    def people(workspace: Workspace, _braze_id: str) -> int:
        answer = workspace.post("/users/export/ids", selectors, drain=False)
        assert answer.status == 201, answer.text
        return len(answer.body["users"])

    return people


def with_history(workspace: Workspace, braze_id: str) -> int:
    headers = {"Authorization": f"Bearer {workspace.key}"}
    return workspace.service.send("GET", f"/v1/profiles/{braze_id}/history", None, headers).status == 200


READS: Final[dict[str, Callable[[Workspace, str], int]]] = {
    "export by alias": exported(user_aliases=[GUEST]),
    "export by e-mail": exported(email_address="g@example.org"),
    "export by external id": exported(external_ids=["ada"]),
    "history": with_history,
}


@contextmanager
def between(n: int, change: Callable[[], None]) -> Iterator[list[str]]:
    """A block in which `change` happens behind the nth statement of the threads that read; yields those statements."""
    seen: list[str] = []
    turn = threading.Lock()

    def after(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        # The statements of the change itself come from the same thread.
        if threading.current_thread().name.startswith("store") and turn.acquire(blocking=False):
            try:
                seen.append(statement)
                if len(seen) == n:
                    change()
            finally:
                turn.release()

    event.listen(Engine, "after_cursor_execute", after)
    try:
        yield seen
    finally:
        event.remove(Engine, "after_cursor_execute", after)


@pytest.mark.parametrize(
    ("read", "change"),
    [
        ("export by alias", "identify"),
        ("export by alias", "identify as somebody"),
        ("export by e-mail", "merge"),
        ("export by external id", "rename"),
        ("history", "merge"),
    ],
)
def test_nobody_is_missed(service: Service, read: str, change: str) -> None:
    """A change in each gap of a read in turn: everybody is who they were before, or who they are now."""
    database, checked = service.database, CHANGES[change]
    for n in range(1, STATEMENTS):
        workspace = service.workspace("legacy")
        workspace.track(PEOPLE)
        guest: str = workspace.export(user_aliases=[GUEST])[0]["braze_id"]

        def apply(workspace: Workspace = workspace) -> None:
            with database.write(database.inbox) as connection:
                entry = Entry(checked.kind, checked.codec, checked.body)
                log.append(connection, workspace.id, STREAM_NORMAL, [entry], times_now())
            assert service.applier.drain(workspace.id).counts.skipped == 0

        with between(n, apply) as statements:
            assert READS[read](workspace, guest) == 1, (n, statements)
        if len(statements) < n:
            return
    pytest.fail("a read with more statements than there are turns here")
