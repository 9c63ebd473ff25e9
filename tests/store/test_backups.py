"""Backups of the embedded default: of one instant whatever goes on, whole or refused, restored as they were."""

import errno
import gzip
import io
import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from app.adapters import embedded
from app.adapters.archive import MANIFEST, BrokenArchiveError, unpack
from app.adapters.files import Files
from app.domain.commands import STREAM_BULK, STREAM_NORMAL
from app.services import backups
from app.store import copies, lane, workspaces
from app.store.engine import Database, inbox_file
from app.store.inbox import log as inbox
from tests.busy import accept, applier_of, busy, head
from tests.command_line import command_line
from tests.stores import NOW_US, prepare, workspace
from workers import replay

SECRETS = {"default.key": "a key\n", "console.auth": "admin:a password\n", "metrics.token": "a token, long enough\n"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of an Onefold: databases, secrets, a file that an import waits for."""
    folder = tmp_path / "data"
    folder.mkdir()
    prepare(f"sqlite:///{folder / 'onefold.db'}")
    for name, text in SECRETS.items():
        (folder / name).write_text(text)
    with Files(folder / "files").writing(Files(folder / "files").upload(1, "job")) as file:
        file.write(b"rows")
    (folder / "logs").mkdir()
    (folder / "logs" / "api.log").write_text("a line\n")
    return folder


@contextmanager
def opened(folder: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{folder / 'onefold.db'}")
    try:
        yield database
    finally:
        database.dispose()


def content(folder: Path) -> dict[str, str]:
    """What a directory has: every row of both databases but for epochs, secrets of ids and the key of what
    is remembered elsewhere, and every other file."""
    found = {}
    for name in ("onefold.db", "onefold-inbox.db"):
        with closing(sqlite3.connect(folder / name)) as connection:
            lines = (re.sub(r",\d+\)", ",epoch)", s) if '"lane"' in s else s for s in connection.iterdump())
            lines = (re.sub(r"X'[0-9A-F]+'", "secret", s) if '"workspace"' in s else s for s in lines)
            lines = (re.sub(r"'[0-9a-f]{16}'", "key", s) if '"origin"' in s else s for s in lines)
            found[name] = "\n".join(line for line in lines if "sqlite_sequence" not in line)
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith(("onefold", "launcher.lock")):
            found[str(path.relative_to(folder))] = path.read_text()
    return found


def test_backups_while_others_accept_and_apply_are_each_of_one_instant(data: Path, tmp_path: Path) -> None:
    """Restored, each equals the reference of its own inbox, also once what had been waiting is applied; none of what
    was accepted before it is missing."""
    with opened(data) as database:
        one = workspace(database)
        found = []
        with opened(data) as another, busy(another, one) as more:
            for n in range(6):
                least, path = more(20), tmp_path / f"{n}.tar"
                backups.make(data / "onefold.db", Files(data / "files"), path, NOW_US)
                found.append((path, least))
    for path, least in found:
        folder = tmp_path / path.stem
        folder.mkdir()
        backups.restore(path, folder / "onefold.db", Files(folder / "files"), NOW_US)
        with opened(folder) as restored:
            secret = workspaces.secret(restored, one)
            assert head(restored, one) >= least
            assert replay.differences(restored, one, secret) == []
            applier_of(restored).drain(one)
            assert replay.differences(restored, one, secret) == []
            with restored.read() as connection, restored.read(restored.inbox) as other:
                cursors = lane.cursors(connection)
                assert inbox.heads(other) == {place: cursors[place] for place in cursors}


def test_a_restored_directory_is_as_it_was_and_no_worker_remembers_it(data: Path, tmp_path: Path) -> None:
    run = command_line(data)
    with opened(data) as database:
        one = workspace(database)
        for n in range(1, 8):
            accept(database, one, n)
        applier_of(database).drain(one)
        accept(database, one, 8)
        with database.read() as connection:
            epoch = lane.read(connection, one).epoch  # type: ignore[union-attr]
    file = tmp_path / "backup.tar.gz"
    file.write_text("of yesterday")
    run("backup", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert gzip.decompress(file.read_bytes())[:10] == b"onefold.db"
    target = tmp_path / "restored"
    assert "is as it was at " in command_line(target)("restore", str(file))
    was = {name: text for name, text in content(data).items() if name not in ("logs/api.log", "backup.json")}
    now = content(target)
    kept = json.loads(now.pop("backup.json"))
    assert (now, sorted(kept)) == (was, ["restored_of_us", "restored_us", "taken_us"])
    private = [*SECRETS, "onefold.db", "onefold-inbox.db", "files/1/job.upload"]
    assert {stat.S_IMODE((target / name).stat().st_mode) for name in private} == {0o600}
    with opened(target) as database, database.read() as connection:
        found = lane.read(connection, one)
        assert found is not None
        assert found.epoch not in (0, epoch)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_job_that_removes_its_file_meanwhile_is_no_reason_to_fail(data: Path, tmp_path: Path) -> None:
    """What leads nowhere is listed and cannot be opened, as a file is that goes in between."""
    (data / "files" / "1" / "gone.upload").symlink_to("nowhere")
    backups.make(data / "onefold.db", Files(data / "files"), tmp_path / "b.tar", NOW_US)
    with tarfile.open(tmp_path / "b.tar") as tar:
        assert [name for name in tar.getnames() if name.startswith("files/")] == ["files/1/job.upload"]


def test_nothing_is_restored_where_something_is_or_runs(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    command_line(data)("backup", str(file))
    before = content(data)
    assert "is not empty: it has backup.json" in command_line(data)("restore", str(file), fails=True)
    assert content(data) == before
    running = tmp_path / "running"
    with embedded.acquire_lock(running):
        said = command_line(running)("restore", str(file), fails=True)
    assert "is in use by another Onefold" in said.replace("\n", " ")
    assert [path.name for path in running.iterdir()] == [embedded.LOCK_NAME]


def test_a_restore_that_was_cut_short_is_not_taken_for_an_onefold(data: Path, tmp_path: Path) -> None:
    (data / "restoring").mkdir()
    assert "was not finished" in command_line(data)("workspaces", "list", fails=True).replace("\n", " ")
    assert "was not finished" in command_line(data)("migrate", fails=True).replace("\n", " ")
    assert "was not finished" in command_line(data)("backup", str(tmp_path / "b.tar"), fails=True).replace("\n", " ")


@pytest.mark.parametrize(
    "place",
    [
        *("onefold.db", "onefold-inbox.db", "onefold.db-wal", "default.key", "metrics.token", "backup.json"),
        *(
            "launcher.lock",
            "valkey.sock",
            "files",
            "files/1/job.upload",
            "files/new.tar",
            "logs/new.tar",
            "valkey/a.aof",
        ),
        *("", "../link", "../folder", "../pipe", "../nowhere/new.tar"),
    ],
)
def test_a_backup_takes_the_place_of_nothing_but_a_backup(data: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "link").symlink_to(data / "onefold.db")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before, names = content(data), sorted(data.rglob("*"))
    run = command_line(data)
    assert f"No backup was made at {data / place}: " in run("backup", str(data / place), fails=True).replace("\n", "")
    assert (content(data), sorted(data.rglob("*"))) == (before, names)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data", "folder", "link", "pipe"]
    assert (tmp_path / "pipe").is_fifo()
    run("backup", str(data / "mine.tar"))  # a name of nobody's, also beside the databases
    run("backup", str(data / "mine.tar"))


def test_with_postgresql_both_say_where_to_look(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nobody")
    for word in ("backup", "restore"):
        assert "docs/operations.md" in command_line(data)(word, str(tmp_path / "b.tar"), fails=True).replace("\n", "")


def altered(archive: Path, change: dict[str, Any]) -> bytes:
    """An archive with other entries: {name: content, an entry of another kind, or None for none}."""
    target = io.BytesIO()
    with tarfile.open(archive) as before, tarfile.open(fileobj=target, mode="w") as after:
        for member in before:
            content = change.get(member.name, before.extractfile(member).read())  # type: ignore[union-attr]
            if content is None:
                continue
            member.size = len(content)
            after.addfile(member, io.BytesIO(content))
            for entry_ in change.get("behind " + member.name, ()):
                after.addfile(entry_, io.BytesIO(b""))
    return target.getvalue()


def link(name: str, leads_to: str) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = tarfile.SYMTYPE, leads_to
    return found


def test_what_is_no_whole_backup_is_refused_and_leaves_nothing(data: Path, tmp_path: Path) -> None:
    file, target = tmp_path / "backup.tar", tmp_path / "target"
    target.mkdir()
    backups.make(data / "onefold.db", Files(data / "files"), file, NOW_US)
    whole = file.read_bytes()
    with tarfile.open(file) as tar:
        manifest = json.loads(tar.extractfile(MANIFEST).read())  # type: ignore[union-attr]
    broken = {
        "empty": b"",
        "text": b"no archive at all" * 100,
        "cut short": whole[: len(whole) // 2],
        "without its manifest": altered(file, {MANIFEST: None}),
        "a byte of a key": altered(file, {"default.key": b"A key\n"}),
        "a file less": altered(file, {"default.key": None}),
        "without a database": altered(file, {"onefold-inbox.db": None, MANIFEST: b"{}"}),
        "of a later form": altered(file, {MANIFEST: json.dumps({**manifest, "format": 2}).encode()}),
        "a name that leads out": altered(file, {"behind default.key": [tarfile.TarInfo("../out")]}),
        "an absolute name": altered(file, {"behind default.key": [tarfile.TarInfo("/tmp/out")]}),
        "a link": altered(file, {"behind default.key": [link("files", "/etc")]}),
        "a manifest of nonsense": altered(file, {MANIFEST: b"[1]"}),
    }
    for name, content_ in broken.items():
        file.write_bytes(content_)
        with pytest.raises((BrokenArchiveError, copies.BrokenCopyError)):
            backups.restore(file, target / "onefold.db", Files(target / "files"), NOW_US)
        assert list(target.iterdir()) == [], name
    file.write_bytes(whole)
    assert unpack(file, target)["taken_us"] == NOW_US


def test_a_backup_of_a_later_version_is_refused(data: Path, tmp_path: Path) -> None:
    file, target = tmp_path / "backup.tar", tmp_path / "target"
    for path in (data / "onefold.db", data / "onefold-inbox.db"):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("update alembic_version set version_num = '9999'")
            connection.commit()
    backups.make(data / "onefold.db", Files(data / "files"), file, NOW_US)
    assert "later version" in command_line(target)("restore", str(file), fails=True).replace("\n", " ")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("update inbox_head set head = 1 where stream = 0", "applied up to 3, accepted up to 1"),
        ("delete from inbox where stream = 1 and seq = 4", "the inbox lacks the request behind 3"),
        ("delete from inbox_head", "applied up to 3, accepted up to 0"),
    ],
)
def test_files_that_do_not_belong_together_are_not_backed_up(
    data: Path, tmp_path: Path, damage: str, told: str
) -> None:
    with opened(data) as database:
        one = workspace(database)
        for n in range(6):
            accept(database, one, n)
        applier_of(database).drain(one)
        for n in (7, 9):  # of the bulk stream
            accept(database, one, n)
    with closing(sqlite3.connect(inbox_file(data / "onefold.db"))) as connection:
        connection.execute(damage)
        connection.commit()
    assert told in command_line(data)("backup", str(tmp_path / "b.tar"), fails=True).replace("\n", " ")
    assert list(tmp_path.iterdir()) == [data]


def test_a_damaged_page_is_noticed(data: Path, tmp_path: Path) -> None:
    with opened(data) as database:
        database.checkpoint()
    pages = bytearray((data / "onefold.db").read_bytes())
    pages[3 * 4096 : 4 * 4096] = b"\xff" * 4096
    (data / "onefold.db").write_bytes(pages)
    assert "not sound" in command_line(data)("backup", str(tmp_path / "b.tar"), fails=True).replace("\n", " ")


def test_numbers_of_both_streams_are_looked_at(data: Path) -> None:
    assert (STREAM_NORMAL, STREAM_BULK) == (0, 1) == tuple(range(len(lane.STREAM_COLUMNS)))
    copies.check(data / "onefold.db")


#: Calls of the system by which a restore puts things in their places.
STEPS = ("mkdir", "rename", "fsync", "rmdir")


def each_step(monkeypatch: pytest.MonkeyPatch, before: Callable[[], None]) -> None:
    """Have `before` called in front of each of them."""
    for name, found in [(name, getattr(os, name)) for name in STEPS]:

        def step(*words: Any, call: Callable[..., Any] = found, **options: Any) -> Any:
            before()
            return call(*words, **options)

        monkeypatch.setattr(os, name, step)


def restored(folder: Path) -> dict[str, str]:
    """What a restored directory has, without the moments at which it was made."""
    return {name: text for name, text in content(folder).items() if name != "backup.json"}


@pytest.fixture
def backup(data: Path, tmp_path: Path) -> Path:
    with opened(data) as database:
        accept(database, workspace(database), 1)
    command_line(data)("backup", str(tmp_path / "backup.tar"))
    return tmp_path / "backup.tar"


def test_a_restore_that_fails_anywhere_leaves_nothing(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, at each step in turn: in the data directory, and in a directory of files elsewhere, which keeps what
    it had."""
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    (elsewhere / "1").mkdir(parents=True)
    (elsewhere / "1" / "other.upload").write_text("of somebody else")
    target.mkdir()
    failed = 0
    for at in count():
        steps = count()

        def fail(steps: Iterator[int] = steps, at: int = at) -> None:
            if next(steps) == at:
                raise OSError(errno.ENOSPC, "no space")

        with monkeypatch.context() as patch:
            each_step(patch, fail)
            try:
                backups.restore(backup, target / "onefold.db", Files(elsewhere), NOW_US)
            except OSError:
                failed += 1
                assert list(target.iterdir()) == [], at
                assert [path.name for path in elsewhere.rglob("*") if path.is_file()] == ["other.upload"]
                continue
        if next(steps) <= at:  # there are no more
            break
        shutil.rmtree(target)  # it went on without
        target.mkdir()
        (elsewhere / "1" / "job.upload").unlink()
    assert failed > 12
    assert (elsewhere / "1" / "job.upload").read_text() == "rows"


def test_a_restore_that_was_killed_anywhere_is_begun_anew(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies there before each step is what SIGKILL would leave."""
    target, left = tmp_path / "target", tmp_path / "left"
    left.mkdir()
    states: dict[tuple[str, ...], Path] = {}

    def keep() -> None:
        paths = [path.relative_to(target) for path in target.rglob("*")]
        names = tuple(sorted(str(path) for path in paths if path.parts[:-1] != ("restoring",)))
        if names not in states and target.exists():
            states[names] = left / str(len(states))
            subprocess.run(["cp", "-a", str(target), str(states[names])], check=True)

    target.mkdir()
    with monkeypatch.context() as patch:
        each_step(patch, keep)
        backups.restore(backup, target / "onefold.db", Files(target / "files"), NOW_US)
    assert len(states) > 5
    for folder in states.values():
        if (folder / "restoring").exists():
            assert "was not finished" in command_line(folder)("workspaces", "list", fails=True).replace("\n", " ")
        if (folder / "onefold.db").exists() and not (folder / "restoring").exists():
            continue  # it was finished
        command_line(folder)("restore", str(backup))
        assert restored(folder) == restored(target)
