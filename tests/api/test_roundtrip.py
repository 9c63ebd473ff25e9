"""Whatever is accepted is stored, and comes back from SQLite and from PostgreSQL alike.

The same requests go to both services. What must be equal: every answer, every exported profile, every occurrence, and
what was skipped for which reason. The last word has the reducer itself, run over a complete state in memory.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.harness import Answer, Service, Workspace
from tests.api.objects import bodies, nearly_clean, recent
from tests.api.reference import check_reference, exact, without_now

PAIR = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@PAIR
@given(requests=st.lists(st.one_of(nearly_clean(), bodies()), min_size=1, max_size=4), together=st.booleans())
def test_both_stores_agree(on_sqlite: Service, on_postgres: Service, requests: list[bytes], together: bool) -> None:
    seen = []
    for service in (on_sqlite, on_postgres):
        workspace = service.workspace("legacy")
        answers = [workspace.track(recent(body), drain=not together) for body in requests]
        workspace.drain()
        check_reference(workspace)
        seen.append(everything(workspace, answers))
    assert seen[0] == seen[1]


def everything(workspace: Workspace, answers: list[Answer]) -> dict[str, Any]:
    accepted = [answer for answer in answers if answer.status == 201]
    return {
        "answers": [(answer.status, answer.text) for answer in answers],
        "stored": exact(workspace.stored()),
        "exported": exact([exported(workspace, pid) for pid in sorted(workspace.state().profiles)]),
        "occurrences": [
            (*o[:6], exact(o[8]), *o[9:]) for o in workspace.occurrences()
        ],  # times in the future become the moment of acceptance
        "skipped": [workspace.skipped(answer.request_id) for answer in accepted],
    }


def exported(workspace: Workspace, pid: int) -> dict[str, Any]:
    """By way of HTTP: the profile, as its braze_id finds it."""
    (user,) = workspace.export(braze_id=workspace.state().profiles[pid].braze_id)
    for name in ("braze_id", "appboy_id", "created_at", "random_bucket"):
        del user[name]
    return without_now(user)


@pytest.mark.parametrize("order", [1, -1])
def test_names_that_only_differ_in_unicode(on_sqlite: Service, on_postgres: Service, order: int) -> None:
    """No store folds, trims or sorts what it compares."""
    names = [
        "e",
        "E",
        "\u00e9",
        "e\u0301",
        "\u0435",
        "ss",
        "\u00df",
        "i",
        "\u0131",
        "I",
        "\u0130",
        "a\u200b",
        "a",
        "1",
        "\uff11",
    ]
    seen = []
    for service in (on_sqlite, on_postgres):
        workspace = service.workspace("legacy")
        objects = [{"external_id": n, "name": n, "time": "2026-01-01", "properties": {n: n}} for n in names[::order]]
        assert workspace.track({"events": objects}).counts == {"events": len(names)}
        users = workspace.stored()
        assert [user["external_id"] for user in users] == names[::order]
        seen.append(users)
    assert seen[0] == seen[1]
