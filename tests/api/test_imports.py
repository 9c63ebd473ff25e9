"""`onefold import`: files into a workspace, each row once, on both stores."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app as cli
from app.contract import portable
from app.services.imports import OtherRunError
from app.store import keys
from app.store.inbox import import_files
from tests.api.asking import decide
from tests.api.harness import Json, Workspace
from tests.api.portable import as_rows, import_of, imported, people, rows_of
from tests.applying import differences

Run = Callable[..., str]


def test_export_import_export(workspace: Workspace) -> None:
    """Into an empty workspace: the export is the same to the last member, and so is the reference."""
    people(workspace)
    message = {"external_id": "ann", "type": "opened", "channel": "email", "campaign_id": "spring", "id": "m1"}
    workspace.post("/v1/messages", {"messages": [message]})
    workspace.post("/v1/flags", {"flags": [{"external_id": "bob", "test_user": True}]})
    told = {"external_id": "ann", "email_subscribe": "unsubscribed", "marked_email_as_spam_at": "2026-01-01"}
    nested = {"home": {"city": "Vigo", "since": {"$time": "2026-01-01T00:00:00Z"}}, "twitter": {"id": 7}}
    workspace.track({"attributes": [told | nested]})
    products = [{"product_id": "p", "product_name": "P", "variant_id": "v", "quantity": 2, "price": 3}]
    order = {
        "currency": "USD",
        "source": "web",
        "products": products,
        "total_value": 6,
        "cart_id": "c",
        "order_id": "o",
    }
    when = {"time": "2026-11-20T10:00:00Z", "properties": order}
    workspace.track(
        {
            "events": [
                {"external_id": "ann", "name": name, **when}
                for name in ("ecommerce.order_placed", "ecommerce.cart_updated")
            ]
        }
    )
    rename = {"current_external_id": "bob", "new_external_id": "robert"}
    decide(workspace, "/users/external_ids/rename", {"external_id_renames": [rename]})
    users = rows_of(workspace)
    other = workspace.service.workspace("legacy")
    run = imported(other, users)
    assert (run.report.taken, run.report.refused, run.report.ignored) == ({"users": 2}, 0, {})
    assert rows_of(other) == users
    assert differences(other.service.database, other.id) == []


def test_again(workspace: Workspace) -> None:
    """A file that was imported has nothing left; one that is read otherwise, or forgotten, changes nothing."""
    people(workspace)
    users = rows_of(workspace)
    before = workspace.state().profiles
    other = workspace.service.workspace("legacy")
    imported(other, users)
    state = other.state().profiles
    assert imported(other, users).report.before == 2
    assert imported(other, users, digest=b"other").report.taken == {"users": 2}
    assert other.state().profiles == state
    assert imported(workspace, users).report.taken == {"users": 2}
    assert workspace.state().profiles == before


def test_killed_and_begun_again(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each object once, wherever a run ended: events would be counted twice."""
    monkeypatch.setattr("app.services.imports.PORTION", 3)
    events = [{"external_id": "ann", "name": "view", "time": "2026-11-20T10:00:00Z"} for _ in range(10)]
    rows = as_rows([*events, {"external_id": "ann", "braze_id": "0" * 24, "custom_attributes": {"n": 1}}, *events])
    done, runs = 0, 0
    while done < len(rows):
        runs += 1
        done = next(import_of(workspace).run(rows))  # it dies behind its first portion
    workspace.drain()
    [user] = workspace.stored()
    assert (runs, user["custom_events"][0]["count"], user["custom_attributes"]) == (9, 20, {"n": 1})


def test_two_at_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two who import one file, one is told; nothing comes twice."""
    monkeypatch.setattr("app.services.imports.PORTION", 1)
    rows = as_rows([{"external_id": f"u{n}", "n": 1} for n in range(3)])
    first, second = import_of(workspace).run(rows), import_of(workspace).run(rows)
    assert [next(first), next(second)] == [1, 2]
    with pytest.raises(OtherRunError):
        next(first)
    assert list(second) == [3]
    workspace.drain()
    assert len(workspace.stored()) == 3


def test_files_that_are_remembered(workspace: Workspace) -> None:
    """As many as there is room for; the one that was imported longest ago goes."""
    database = workspace.service.database
    for n in range(4):
        with database.write(database.inbox) as connection:
            import_files.append(connection, workspace.id, bytes([n]), (0, 1), [], n, most=2)
    with database.read(database.inbox) as connection:
        assert [import_files.done(connection, workspace.id, bytes([n])) for n in range(4)] == [0, 0, 1, 1]


def test_how_many_are_remembered_is_set(workspace: Workspace) -> None:
    """Three files, of which two are remembered: the first one is imported as if it were new."""
    rows = [{"external_id": "ann", "custom_attributes": {"n": 1}}]
    for digest in (b"1", b"2", b"3"):
        assert imported(workspace, rows, digest=digest, most_files=2).report.before == 0
    assert imported(workspace, rows, digest=b"3", most_files=2).report.before == 1
    assert imported(workspace, rows, digest=b"1", most_files=2).report.before == 0


def test_a_dry_run(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "ann"}]})
    before = workspace.state().profiles
    users = [{"external_id": name, "custom_attributes": {"n": 1}, "dob": "never"} for name in ("ann", "bob")]
    run = imported(workspace, [*users, {"external_id": ""}, {"name": "e", "time": "2026-11-20"}], dry=True)
    assert (run.report.taken, run.report.refused, run.report.known) == ({"users": 2}, 2, 1)
    assert run.report.ignored == {("dob", "invalid_value"): 2}
    assert workspace.state().profiles == before


@pytest.fixture
def run(workspace: Workspace) -> Run:
    """`onefold import` into the workspace, and a drain; what it printed."""
    name = keys.of_workspace(workspace.service.database, workspace.id).workspace_name
    settings = workspace.service.settings

    def run(*words: str, fails: bool = False, typed: bytes = b"") -> str:
        result = CliRunner().invoke(
            cli,
            ["import", *words, "--no-wait", "--workspace", name, "--data-dir", str(settings.data_dir)],
            env={"DATABASE_URL": settings.database_url or "", "COLUMNS": "200"},
            input=typed,
            catch_exceptions=False,
        )
        assert (result.exit_code != 0) is fails, result.output
        workspace.drain()
        return result.output

    return run


def _zipped(text: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        lines = text.splitlines()
        archive.writestr("b/00002.jsonl", b"\n".join(lines[1:]))
        archive.writestr("a/00001.txt.gz", gzip.compress(lines[0]))
    return held.getvalue()


def test_forms_of_files(workspace: Workspace, run: Run, tmp_path: Path) -> None:
    """Lines, gzip, a zip of a segment export, an answer of an export, an array, and standard input."""
    users = [{"external_id": f"u{n}", "custom_attributes": {"n": n}} for n in range(3)]
    lines = b"\n".join(json.dumps(user).encode() for user in users)
    forms = {
        "lines.ndjson": lines,
        "packed.gz": gzip.compress(lines),
        "segment.zip": _zipped(lines),
        "answer.json": json.dumps({"users": users, "message": "success"}).encode(),
        "array.json": json.dumps(users, indent=1).encode(),
    }
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
        marked = content if name != "lines.ndjson" else content + b"\n\n"
        (tmp_path / name).write_bytes(marked)
        assert " 3 " in run(str(tmp_path / name))
    assert " 3 " in run("-", typed=lines + b"\n")
    assert [user["custom_attributes"] for user in workspace.stored()] == [{"n": n} for n in range(3)]


def test_a_table(workspace: Workspace, run: Run, tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("Id;x\n".replace(";", ",") + 'ann,"a,b"\nbob,\n')
    (tmp_path / "m.json").write_text('{"external_id": "Id", "custom_attributes.x": "x"}')
    run(str(tmp_path / "u.csv"), "--mapping", str(tmp_path / "m.json"), "--kind", "users")
    assert [(user["external_id"], user.get("custom_attributes")) for user in workspace.stored()] == [
        ("ann", {"x": "a,b"}),
        ("bob", None),
    ]


def test_tables_of_an_export(workspace: Workspace, run: Run, tmp_path: Path) -> None:
    """What `onefold export` writes as CSV, and events, go in again."""
    people(workspace)
    name = keys.of_workspace(workspace.service.database, workspace.id).workspace_name
    settings = workspace.service.settings
    for content in portable.CONTENTS:
        words = ["export", "-o", str(tmp_path / f"{content}.csv"), "--content", content, "--workspace", name]
        env = {"DATABASE_URL": settings.database_url or ""}
        assert CliRunner().invoke(cli, [*words, "--data-dir", str(settings.data_dir)], env=env).exit_code == 0
    before = workspace.stored()
    run(str(tmp_path / "users.csv"))
    assert workspace.stored() == before
    run(str(tmp_path / "events.csv"), str(tmp_path / "purchases.csv"))
    ann, bob = workspace.stored()
    assert [event["count"] for event in ann["custom_events"]] == [2]
    assert [purchase["count"] for purchase in bob["purchases"]] == [6]


def test_refused_rows(workspace: Workspace, run: Run, tmp_path: Path) -> None:
    """Each is named by file, line and reason, and never by a value; the others are imported."""
    lines = [
        b'{"external_id": "ann", "tier": "gold"}',
        b"nonsense secret",
        b'{"external_id": "", "custom_attributes": {}}',
        b'{"external_id": "ann", "name": "", "time": "2026-11-20T10:00:00Z"}',
        b'{"external_id": "ann", "n": 1e400}',
        b"[1]",
        b'{"external_id": "bob", "custom_attributes": {}}',
    ]
    (tmp_path / "f.ndjson").write_bytes(b"\n".join(lines))
    run(str(tmp_path / "f.ndjson"), "--errors", str(tmp_path / "e.ndjson"), fails=True)
    told = [json.loads(line) for line in (tmp_path / "e.ndjson").read_text().splitlines()]
    assert sorted(entry["line"] for entry in told) == [2, 3, 4, 5, 6]
    assert {entry["file"] for entry in told} == {"f.ndjson"}
    assert "secret" not in str(told)
    assert (tmp_path / "e.ndjson").stat().st_mode & 0o077 == 0
    before = (tmp_path / "e.ndjson").read_text()
    (tmp_path / "e.ndjson").write_text("of another run\n")
    (tmp_path / "e.ndjson").chmod(0o644)
    run(str(tmp_path / "f.ndjson"), "--errors", str(tmp_path / "e.ndjson"), fails=True)
    assert (tmp_path / "e.ndjson").read_text() == before
    assert (tmp_path / "e.ndjson").stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.ndjson", "f.ndjson"]
    assert sorted(str(user["external_id"]) for user in workspace.stored()) == ["ann", "bob"]


@pytest.mark.parametrize("form", ["lines", "packed.gz", "segment.zip"])
def test_a_first_line_that_is_long(workspace: Workspace, run: Run, tmp_path: Path, form: str) -> None:
    """It is an object in a line by itself, however far one looks."""
    users: list[Json] = [{"external_id": f"u{n}", "custom_attributes": {"text": "x" * 200_000}} for n in range(2)]
    lines = b"\n".join(json.dumps(user).encode() for user in users)
    (tmp_path / form).write_bytes({"lines": lines, "packed.gz": gzip.compress(lines)}.get(form, _zipped(lines)))
    assert " 2 " in run(str(tmp_path / form), "--dry-run")


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.gz", b"\x1f\x8bdamaged"), ("x.zip", b"PK\x03\x04damaged"), ("x.csv", b"a\n\xff\n"), ("x.json", b"[")],
)
def test_damaged_files(run: Run, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "the file cannot be read" in run(str(tmp_path / name), fails=True)


def test_overwriting(workspace: Workspace, run: Run, tmp_path: Path) -> None:
    workspace.track({"attributes": [{"external_id": "ann", "first_name": "A", "tier": "gold"}]})
    user: Json = {"external_id": "ann", "first_name": "B", "custom_attributes": {"tier": "iron"}}
    (tmp_path / "f.ndjson").write_text(json.dumps(user))
    for words, wanted in (([], "A"), (["--overwrite"], "B")):
        run(str(tmp_path / "f.ndjson"), *words)
        assert workspace.user("ann")["first_name"] == wanted


# Over HTTP.


def test_over_http(workspace: Workspace) -> None:
    """Queued like every other write, each user once; whom nothing identifies is refused, and the others go on."""
    user = {"external_id": "ann", "braze_id": "5eea769d45bb2e1467418f92", "custom_attributes": {"tier": "gold"}}
    answer = workspace.post("/v1/imports", {"users": [{"email": "a@example.org"}, user | {"dob": "never"}]})
    assert (answer.status, answer.counts, answer.errors) == (201, {"users": 1}, [("users", 0)])
    assert workspace.skipped(answer.request_id) == [("users", 1, "dob", "invalid_value")]
    [found] = workspace.export(external_ids=["ann"])
    assert (found["braze_id"], found["custom_attributes"]) == (user["braze_id"], {"tier": "gold"})
    before = workspace.state().profiles
    assert workspace.post("/v1/imports", {"users": [user]}).status == 201
    assert workspace.state().profiles == before
    told = user | {"custom_attributes": {"tier": "iron"}}
    assert workspace.post("/v1/imports", {"users": [told], "overwrite": True}).status == 201
    assert workspace.user("ann")["custom_attributes"] == {"tier": "iron"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"users": []},
        {"users": {}},
        {"users": [{}] * 501},
        {"users": [{"external_id": "a"}], "overwrite": "yes"},
        {"users": [1, {}, {"external_id": ""}]},
    ],
    ids=["no users", "none", "no array", "too many", "overwrite", "nothing valid"],
)
def test_refused_bodies(workspace: Workspace, body: Json) -> None:
    assert workspace.post("/v1/imports", body, drain=False).status == 400


def test_the_permission(workspace: Workspace) -> None:
    key = workspace.service.key(workspace.id, "users.track", "admin.profiles")
    answer = workspace.post("/v1/imports", {"users": [{"external_id": "a"}]}, Authorization=f"Bearer {key}")
    assert answer.status == 403
