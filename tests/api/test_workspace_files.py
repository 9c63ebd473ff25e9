"""`onefold export`: what is in a workspace, as files."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from app.adapters import row_files
from app.cli.main import app as cli
from app.contract import portable
from app.domain import times
from app.services import snapshots
from app.store import keys
from tests.api.harness import Service, Workspace, times_now
from tests.api.portable import GOLD, caller_of, people, rows_of


def test_users(workspace: Workspace) -> None:
    """Everybody, as an export shows them with all summaries; `onefold` has the rest."""
    people(workspace)
    rows = rows_of(workspace)
    rest = [row.pop("onefold") for row in rows]
    shown = workspace.export(external_ids=["ann", "bob"])
    old = {"name": "old", "first": "2020-01-01T00:00:00.000Z", "last": "2020-01-01T00:00:00.000Z", "count": 1}
    shown[1]["custom_events"] = [old]  # no export shows it any more
    assert rows == [{name: value for name, value in one.items() if name != "appboy_id"} for one in shown]
    ann, bob = rest
    assert ann["core"] == {"phone_raw": "+4930123456", "twitter": {"id": 7, "screen_name": "guest"}}
    assert ann["commerce"] == {"unbooked": {"KWD": "2"}}
    assert bob["core"]["email_subscribe"][0] == "unsubscribed"
    assert bob["purchases"][0] == 3


def test_what_is_recorded_of_addresses(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "ann", "email": "ann@example.org", "email_subscribe": "opted_in"}]})
    workspace.track({"attributes": [{"external_id": "ann", "marked_email_as_spam_at": "2026-01-01"}]})
    [row] = rows_of(workspace)
    assert [entry[:3] for entry in row["onefold"]["recorded"]] == [[1, "", "opted_in"], [1, "~spam", "marked"]]
    assert row["email_subscribe"] == "opted_in"


def test_fields(workspace: Workspace) -> None:
    people(workspace)
    assert rows_of(workspace, fields=frozenset({"external_id", "first_name"})) == [
        {"external_id": "ann"},
        {"external_id": "bob", "first_name": "Bob"},
    ]


def test_events_and_purchases(workspace: Workspace) -> None:
    """They are of whoever has them now, in a form that /users/track takes."""
    when = people(workspace)
    ann, bob = (user["braze_id"] for user in workspace.export(external_ids=["ann", "bob"]))
    assert rows_of(workspace, portable.EVENTS) == [
        {"external_id": "ann", "braze_id": ann, "name": "view", "time": when, "properties": {"page": "/"}}
    ]
    assert rows_of(workspace, portable.PURCHASES) == [
        {
            "external_id": "bob",
            "braze_id": bob,
            "product_id": "pen",
            "currency": "USD",
            "price": 1.25,
            "quantity": 3,
            "time": when,
        },
        {
            "external_id": "ann",
            "braze_id": ann,
            "product_id": "ink",
            "currency": "KWD",
            "price": 2,
            "quantity": 1,
            "time": when,
            "properties": {"colour": "blue"},
        },
    ]


def test_one_instant(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written while a file is written is not in it, and who is deleted meanwhile is."""
    monkeypatch.setattr(snapshots, "PORTION", 1)
    workspace.track({"attributes": [{"external_id": f"u{n}", "n": 1} for n in range(3)]})
    wanted = snapshots.Wanted(portable.USERS, fields=frozenset({"external_id", "custom_attributes"}))
    with snapshots.reading(workspace.service.database, caller_of(workspace), wanted, times_now()) as (total, rows):
        first = next(rows)
        workspace.track({"attributes": [{"external_id": "u2", "n": 2}, {"external_id": "late"}]})
        workspace.post("/users/delete", {"external_ids": ["u1"]})
        found = [first, *rows]
    assert (total, found) == (3, [{"external_id": f"u{n}", "custom_attributes": {"n": 1}} for n in range(3)])
    assert len(rows_of(workspace)) == 3


def test_slow_readers_keep_their_instant(on_postgres: Service) -> None:
    """PostgreSQL and the sweeper end sessions that stand in a transaction: not those of an export."""
    with on_postgres.database.snapshot() as connection:
        names = ("statement_timeout", "idle_in_transaction_session_timeout", "application_name")
        found = [connection.exec_driver_sql(f"show {name}").scalar_one() for name in names]
    assert found == ["0", "0", "export"]
    with on_postgres.database.read() as connection:
        assert connection.exec_driver_sql("show application_name").scalar_one() == "onefold"


Run = Callable[..., str]


@pytest.fixture
def run(workspace: Workspace, tmp_path: Path) -> Run:
    """`onefold export` of the workspace; what it printed."""
    name = keys.of_workspace(workspace.service.database, workspace.id).workspace_name
    settings = workspace.service.settings

    def run(*words: str, fails: bool = False) -> str:
        result = CliRunner().invoke(
            cli,
            ["export", *words, "--workspace", name, "--data-dir", str(settings.data_dir)],
            env={"DATABASE_URL": settings.database_url or ""},
            catch_exceptions=False,
        )
        assert (result.exit_code != 0) is fails, result.output
        return result.output

    return run


def test_forms(workspace: Workspace, run: Run, tmp_path: Path) -> None:
    """The file's name says the form, and the same rows are in all of them."""
    people(workspace)
    names = ("u.ndjson", "u.jsonl.gz", "u.csv", "u.csv.gz", "u.parquet")
    for name in names:
        assert run("-o", str(tmp_path / name)).endswith("2 users\n")
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    lines = [json.loads(line) for line in (tmp_path / "u.ndjson").read_bytes().splitlines()]
    assert lines == rows_of(workspace)
    assert gzip.decompress((tmp_path / "u.jsonl.gz").read_bytes()) == (tmp_path / "u.ndjson").read_bytes()
    table = (tmp_path / "u.csv").read_bytes()
    assert gzip.decompress((tmp_path / "u.csv.gz").read_bytes()) == table
    columns = portable.COLUMNS[portable.USERS]
    cells = list(csv.DictReader(io.StringIO(table.decode(), newline="")))
    for line, row in zip(lines, cells, strict=True):
        assert list(row) == list(columns)
        shown = {
            name: json.dumps(value) if columns[name] == portable.JSON else str(value)
            for name, value in line.items()
            if name in columns
        }
        assert {name: cell for name, cell in row.items() if cell} == {
            name: json.dumps(json.loads(text), separators=(",", ":")) if columns[name] == portable.JSON else text
            for name, text in shown.items()
        }
    read = pyarrow.parquet.read_table(tmp_path / "u.parquet").to_pylist()
    assert [row["external_id"] for row in read] == ["ann", "bob"]
    assert [row["total_revenue"] for row in read] == [0.0, 3.75]
    assert [times.iso(int(row["created_at"].timestamp() * 1000) * 1000) for row in read] == [
        line["created_at"] for line in lines
    ]
    assert json.loads(read[0]["custom_attributes"]) == {"tier": "gold"}


def test_a_table_quotes_and_keeps_characters(workspace: Workspace, run: Run, tmp_path: Path) -> None:
    text = 'a,"b"\r\nc;é\u2028\u202e'
    workspace.track({"attributes": [{"external_id": "ann", "first_name": text}]})
    run("-o", str(tmp_path / "u.csv"), "--fields", "first_name, external_id")
    assert list(csv.reader(io.StringIO((tmp_path / "u.csv").read_bytes().decode(), newline=""))) == [
        ["external_id", "first_name"],
        ["ann", text],
    ]


def test_a_segment(workspace: Workspace, run: Run, tmp_path: Path) -> None:
    people(workspace)
    workspace.add_segment(id="gold", name="gold", definition=GOLD)
    run("-o", str(tmp_path / "u.ndjson"), "--segment", "gold", "--fields", "external_id")
    assert (tmp_path / "u.ndjson").read_text() == '{"external_id":"ann"}\n'


def test_standard_output(workspace: Workspace, run: Run) -> None:
    people(workspace)
    printed = run("--output", "-", "--content", "events", "--format", "csv")
    assert "external_id,braze_id,name,time,app_id,properties" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "x.xls"], "--format must be one of ndjson, csv, parquet."),
        (["-o", "x.csv", "--content", "people"], "--content must be one of users, events, purchases."),
        (["-o", "x.csv", "--content", "events", "--fields", "name"], "--segment and --fields are for users."),
        (["-o", "x.csv", "--fields", "nonsense"], "--fields must be of: created_at, external_id"),
        (["-o", "x.csv", "--fields", ","], "--fields must be of: created_at, external_id"),
        (["-o", "x.csv", "--segment", "nobody"], "Unknown segment"),
        (["-o", "nowhere/x.csv"], "The file cannot be written: No such file or directory."),
    ],
)
def test_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in run(*words, fails=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    """Where writing fails, an earlier file stays as it was, and nothing is left beside it."""
    path = tmp_path / "u.parquet"
    path.write_text("before")

    def write(form: str) -> None:
        with row_files.writing(path, form, {"n": "integer"}) as writer:
            writer.write({"n": 1})
            raise OSError("full")

    for form in row_files.FORMS:
        with pytest.raises(OSError, match="full"):
            write(form)
        assert [path.name for path in tmp_path.iterdir()] == ["u.parquet"]
        assert path.read_text() == "before"
