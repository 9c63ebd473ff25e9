"""`onefold compare`: users of a file beside a workspace, field by field, on both stores."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import app as cli
from app.domain.comparing import alike
from app.services.comparing import Comparison, Counts, Difference
from app.services.imports import Row
from app.store import keys
from tests.api.harness import Json, Workspace, times_now
from tests.api.portable import as_rows, caller_of, imported, people, rows_of

#: As Braze shows one.
BRAZE: Json = {
    "external_id": "ada",
    "braze_id": "5eea769d45bb2e1467418f92",
    "created_at": "2024-05-10T21:04:00.000Z",
    "random_bucket": 17,
    "email": "ada@example.org",
    "first_name": "Ada",
    "custom_attributes": {"tier": "gold", "since": "2026-01-01T00:00:00Z", "n": 1, "old": True},
    "custom_events": [{"name": "view", "first": "2026-01-01T00:00:00Z", "last": "2026-02-01T00:00:00Z", "count": 3}],
    "email_subscribe": "unsubscribed",
    "push_tokens": [{"app": "Shop", "platform": "iOS", "token": "t1"}],
    "total_revenue": 12.5,
}


def compared(workspace: Workspace, users: list[Json], **more: Any) -> tuple[Comparison, list[Difference]]:
    found: list[Difference] = []
    run = Comparison(workspace.service.database, caller_of(workspace), times_now, differs=found.append, **more)
    list(run.run(as_rows(users)))
    return run, found


def _short(value: object) -> str:
    """Of a summary its count."""
    return str(value[0] if isinstance(value, list) else value)


def test_what_was_imported_is_equal(workspace: Workspace) -> None:
    """Users of Braze, and the complete ones of another Onefold."""
    imported(workspace, [BRAZE])
    run, found = compared(workspace, [BRAZE])
    assert (found, run.report.is_equal, run.report.compared) == ([], True, 1)
    other = workspace.service.workspace("legacy")
    people(other)
    users = rows_of(other)
    imported(workspace, users, digest=b"other")
    run, found = compared(workspace, users)
    assert (found, run.report.is_equal, run.report.compared) == ([], True, 2)


def test_each_difference_is_named(workspace: Workspace) -> None:
    """Another value, one that is missing here, and one that is only here; by field, and for each user."""
    imported(workspace, [BRAZE])
    told = BRAZE | {
        "first_name": "Augusta",
        "custom_attributes": {"tier": "iron", "since": "2026-01-01T00:00:00.000Z", "n": 1.0, "new": 1},
        "custom_events": [BRAZE["custom_events"][0] | {"count": 4}],
        "email_subscribe": "opted_in",
    }
    run, found = compared(workspace, [told])
    assert {(one.field, *map(_short, (one.there, one.here))) for one in found} == {
        ("first_name", "Augusta", "Ada"),
        ("custom_attributes.tier", "iron", "gold"),
        ("custom_attributes.new", "1", "None"),
        ("custom_attributes.old", "None", "True"),
        ("custom_events.view", "4", "3"),
        ("email_subscribe", "opted_in", "unsubscribed"),
    }
    assert run.report.fields["custom_attributes.tier"] == Counts(differ=1)
    assert run.report.fields["custom_attributes.new"] == Counts(only_there=1)
    assert run.report.fields["custom_attributes.old"] == Counts(only_here=1)
    assert run.report.fields["custom_attributes.since"] == Counts(same=1)
    assert (run.report.compared, run.report.different) == (1, 1)
    run, found = compared(workspace, [told], ignored=frozenset(one.field for one in found))
    assert (found, run.report.is_equal) == ([], True)


def test_who_is_not_here_and_what_is_no_user(workspace: Workspace) -> None:
    imported(workspace, [BRAZE])
    told: list[tuple[int, str]] = []

    def refused(row: Row, why: str) -> None:
        told.append((row.line, why))

    event = {"external_id": "ada", "name": "view", "time": "2026-01-01T00:00:00Z"}
    run, _ = compared(
        workspace, [BRAZE, {"external_id": "bob", "email": "b@example.org"}, event, {"email": "x"}], refused=refused
    )
    assert (run.report.compared, run.report.missing, run.report.refused) == (1, 1, 2)
    assert sorted(line for line, _ in told) == [2, 3, 4]


def test_fields_are_bounded(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may have any number of names."""
    monkeypatch.setattr("app.services.comparing.MOST_FIELDS", 20)
    imported(workspace, [BRAZE])
    run, _ = compared(workspace, [BRAZE | {"custom_attributes": {f"a{n}": n for n in range(100)}}])
    assert len(run.report.fields) == 21
    assert run.report.fields["others"].only_there >= 80


@pytest.mark.parametrize(
    ("told", "here", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00.000+01:00", True),
        ({"a": [1, {"b": "2026-01-01"}]}, {"a": [1.0, {"b": "2026-01-01T00:00:00Z"}]}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([1, 2], [2, 1], False),
        (None, "", False),
    ],
)  # fmt: skip
def test_alike(told: object, here: object, same: bool) -> None:
    assert alike(told, here) is same
    assert alike(here, told) is same


def test_the_command(workspace: Workspace, tmp_path: Path) -> None:
    """Status 1 when anything differs; values stand in a file that nobody else reads, and nowhere else."""
    imported(workspace, [BRAZE])
    name = keys.of_workspace(workspace.service.database, workspace.id).workspace_name
    settings = workspace.service.settings
    words = ["compare", str(tmp_path / "b.ndjson"), "--workspace", name, "--data-dir", str(settings.data_dir)]
    env = {"DATABASE_URL": settings.database_url or "", "COLUMNS": "200"}
    (tmp_path / "b.ndjson").write_text(json.dumps(BRAZE))
    result = CliRunner().invoke(cli, words, env=env)
    assert result.exit_code == 0, result.output
    (tmp_path / "b.ndjson").write_text(json.dumps(BRAZE | {"first_name": "Secret"}))
    result = CliRunner().invoke(cli, [*words, "--differences", str(tmp_path / "d"), "--json"], env=env)
    assert result.exit_code == 1, result.output
    found = json.loads(result.stdout[result.stdout.index("{") :])  # a log line of the test's process may come first
    assert (found["compared"], found["different"]) == (1, 1)
    assert found["fields"]["first_name"] == {"same": 0, "differ": 1, "only_there": 0, "only_here": 0}
    assert "Secret" not in result.output
    wanted = {"file": "b.ndjson", "line": 1, "field": "first_name", "there": "Secret", "here": "Ada"}
    assert [json.loads(line) for line in (tmp_path / "d").read_text().splitlines()] == [wanted]
    assert (tmp_path / "d").stat().st_mode & 0o077 == 0
