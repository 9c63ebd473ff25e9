"""Files of a data directory: nobody else reads them, however they were left, and secrets are never half written."""

import os
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from app.adapters.private_files import private_by_default, protect, read_secret, replacing, write_secret
from app.cli.children import secret
from app.secret_settings import basic_auth_problem, token_problem
from app.settings import Settings


def modes(folder: Path) -> dict[str, str]:
    paths = [folder, *sorted(folder.rglob("*"))]
    return {str(path.relative_to(folder)): f"{stat.S_IMODE(path.lstat().st_mode):o}" for path in paths}


def laid_open(folder: Path, *, foreign: bool) -> Path:
    """A data directory as an earlier version, an unpacked backup or a generous umask leaves it."""
    folder.mkdir()
    names = [
        "default.key",
        "console.auth",
        "flower.auth",
        "metrics.token",
        "onefold.db",
        "onefold.db-wal",
        "onefold-inbox.db-shm",
    ]
    names += ["logs/api.log", "valkey/appendonlydir/a.aof"] + (["holiday.jpg"] if foreign else [])
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.chmod(0o664)
    for path in (folder, *folder.rglob("*/")):
        path.chmod(0o777)
    (folder / "elsewhere").write_text("")
    (folder / "elsewhere").chmod(0o644)
    (folder / "elsewhere").rename(folder.with_name("elsewhere"))
    (folder / "logs" / "worker.log").symlink_to(folder.with_name("elsewhere"))
    return folder


@pytest.mark.parametrize("foreign", [False, True])
def test_what_is_open_to_others_is_closed(tmp_path: Path, foreign: bool) -> None:
    folder = laid_open(tmp_path / "data", foreign=foreign)
    assert protect(folder) == []
    files = (
        "default.key",
        "console.auth",
        "flower.auth",
        "metrics.token",
        "onefold.db",
        "onefold.db-wal",
        "onefold-inbox.db-shm",
    )
    wanted = dict.fromkeys((*files, "logs/api.log", "valkey/appendonlydir/a.aof"), "600")
    wanted |= dict.fromkeys(("logs", "valkey", "valkey/appendonlydir"), "700")
    wanted |= {"logs/worker.log": "777"}  # a link, whose mode says nothing
    wanted |= {".": "755", "holiday.jpg": "664"} if foreign else {".": "700"}
    assert modes(folder) == wanted
    assert f"{stat.S_IMODE((tmp_path / 'elsewhere').stat().st_mode):o}" == "644"


def test_a_directory_of_everybody_stays_one(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    assert protect(shared) == []
    assert modes(shared) == {".": "1777"}
    assert protect(tmp_path / "nowhere") == []


def test_what_is_made_is_private() -> None:
    before = os.umask(0)
    try:
        private_by_default()
        assert os.umask(0) == 0o077
    finally:
        os.umask(before)


def test_a_secret_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "default.key"
    path.write_text("old\n")
    path.chmod(0o644)
    with path.open() as reader:
        write_secret(path, "new")
        assert reader.read() == "old\n"  # whoever read it goes on with the old file
    assert (path.read_text(), read_secret(path), modes(tmp_path)["default.key"]) == ("new\n", "new", "600")
    assert [entry.name for entry in tmp_path.iterdir()] == ["default.key"]
    with pytest.raises(UnicodeEncodeError):
        write_secret(path, "\ud800")
    assert (read_secret(path), [entry.name for entry in tmp_path.iterdir()]) == ("new", ["default.key"])
    assert read_secret(tmp_path / "nothing") == ""


#: Each lets somebody in who should stay out, or nobody at all.
BAD_AUTH = ("x", ":", "a:", ":pass word", "a:short", "a:pass,word1", "a,b:password", "a:password\n", " a:password", " ")
BAD_TOKENS = ("x", "short77", " with blank", "über-lang", "tab\there", " " * 9)


@pytest.mark.parametrize(("problem", "bad"), [(basic_auth_problem, BAD_AUTH), (token_problem, BAD_TOKENS)])
def test_weak_secrets(problem: object, bad: tuple[str, ...]) -> None:
    assert callable(problem)
    assert [text for text in bad if problem(text) is None] == []
    assert (
        problem("onefold:a Long-enough/pass:word" if problem is basic_auth_problem else "a Long-enough/token") is None
    )


@pytest.mark.parametrize("empty", [None, "", "\n", "  \n\t"])
def test_a_secret_that_is_nothing_is_made_anew(tmp_path: Path, empty: str | None) -> None:
    path = tmp_path / "metrics.token"
    if empty is not None:
        path.write_text(empty)
    assert secret(path, None, lambda: "made-anew", token_problem) == "made-anew"
    assert secret(path, None, lambda: "made-again", token_problem) == "made-anew"
    assert secret(path, SecretStr("configured"), lambda: "made-again", token_problem) == "configured"
    assert (read_secret(path), modes(tmp_path)["metrics.token"]) == ("configured", "600")


@pytest.mark.parametrize(
    ("variable", "bad"),
    [("ONEFOLD_METRICS_TOKEN", BAD_TOKENS), ("ONEFOLD_FLOWER_BASIC_AUTH", BAD_AUTH)],
)
def test_settings_refuse_weak_secrets_and_do_not_tell_them(
    variable: str, bad: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in bad:
        monkeypatch.setenv(variable, text)
        with pytest.raises(ValidationError, match="must be") as refused:
            Settings()
        assert len(text) < 3 or text not in str(refused.value.errors(include_input=False))
    monkeypatch.setenv(variable, "")
    assert (Settings().metrics_token, Settings().flower_basic_auth) == (None, None)


def test_a_file_that_takes_the_place_of_another(tmp_path: Path) -> None:
    """Nobody else reads it, whatever the rights of the earlier one, which stays until the end; also behind a link."""
    path, link = tmp_path / "told", tmp_path / "link"
    path.write_text("before")
    path.chmod(0o666)
    link.symlink_to(path)
    with replacing(link) as file:
        file.write("now")
        assert path.read_text() == "before"
    assert (path.read_text(), link.is_symlink()) == ("now", True)
    assert modes(tmp_path)["told"] == "600"


def test_what_was_written_stands_where_the_block_raises(tmp_path: Path) -> None:
    def fail() -> None:
        with replacing(tmp_path / "told") as file:
            file.write("as far as it went")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "told").read_text() == "as far as it went"
    assert list(modes(tmp_path)) == [".", "told"]


def test_a_pipe_is_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with replacing(path) as file:
        file.write("told")
    assert os.read(reader, 100) == b"told"
    os.close(reader)
