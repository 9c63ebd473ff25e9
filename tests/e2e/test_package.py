"""The wheel: the same from the same files, whole, and at home in an environment and a directory of another project."""

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.docs.markdown import blocks
from tests.e2e.service import environment, up
from tests.missing import missing

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = ("app", "onefold", "workers")
#: Where the wheel has them.
PLACES: Final = {"app": "onefold/service/app", "onefold": "onefold", "workers": "onefold/service/workers"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def onefold(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The command, in an environment that has the wheel, and what it needs out of ours; nothing of this checkout."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    purelib = next(venv.glob("lib/python*/site-packages"))
    (purelib / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ("install", "--quiet", "--no-deps", "--no-index", str(wheel))
    python = str(venv / "bin/python")
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True, timeout=60)
    return venv / "bin/onefold"


def built(root: Path, into: Path) -> Path:
    argv = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(into)]
    subprocess.run(argv, cwd=root, env=environment(), check=True, capture_output=True, timeout=60)
    (found,) = into.glob("*.whl")
    return found


def sources(root: Path) -> dict[str, bytes]:
    """{path in the wheel: content} of all that has to be in it."""
    found = {}
    for name in SOURCES:
        for path in (root / name).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found[f"{PLACES[name]}/{path.relative_to(root / name)}"] = path.read_bytes()
    return found


def test_the_same_files_make_the_same_wheel_and_all_are_in_it(wheel: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for name in SOURCES:  # with other times and rights
        shutil.copytree(ROOT / name, copy / name, copy_function=shutil.copyfile)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copyfile(ROOT / name, copy / name)
    assert built(copy, tmp_path / "again").read_bytes() == wheel.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    assert held == sources(ROOT)


def test_up_in_a_project_that_has_packages_of_the_same_names(onefold: Path, tmp_path: Path) -> None:
    for name in ("app", "workers", "celery", "uvicorn", "redis"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a package of the project')")
    with up(tmp_path / "var", program=str(onefold), cwd=tmp_path) as service:
        body = {"attributes": [{"external_id": "ada", "tier": "gold"}]}
        assert service.call("POST", "/users/track", body)[0] == 201
        exported = service.call("POST", "/users/export/ids", {"external_ids": ["ada"]})[1]
        assert exported["users"][0]["custom_attributes"] == {"tier": "gold"}


#: What a project would test beside the example of the README: 429s, late answers, times, and that nothing is left.
SUITE: Final = """
import time
from datetime import datetime, timezone

import pytest
import requests
from braze.client import BrazeClient
from braze.exceptions import BrazeRateLimitError

import app

NOW = datetime.now(timezone.utc).isoformat()


@pytest.mark.parametrize("n", range(TIMES))
def test_every_test_begins_with_nobody(onefold, n):
    assert app.OURS
    assert onefold.profile("ada") is None
    client = BrazeClient(onefold.api_key, onefold.url, "app")
    bought = {"external_id": "ada", "product_id": "mug", "currency": "USD", "price": 2, "time": NOW}
    client.track_user(attributes=[{"external_id": "ada", "n": n}], purchases=[bought])
    found = onefold.profile("ada")
    assert (found["custom_attributes"], found["purchases"][0]["count"]) == ({"n": n}, 1)


def test_a_limit_that_is_used_up(onefold):
    onefold.fail(429, times=1, retry_after_seconds=5, paths=["/users/track"])
    client = BrazeClient(onefold.api_key, onefold.url, "app")
    with pytest.raises(BrazeRateLimitError) as refused:
        client.track_user(attributes=[{"external_id": "ada"}])
    assert 0 < refused.value.reset_epoch_s - time.time() <= 6
    client.track_user(attributes=[{"external_id": "ada"}])


def test_a_late_answer(onefold):
    onefold.delay(1, times=1)
    with pytest.raises(requests.Timeout):
        headers = {"Authorization": f"Bearer {onefold.api_key}"}
        body = {"attributes": [{"external_id": "ada"}]}
        requests.post(onefold.url + "/users/track", json=body, headers=headers, timeout=0.5)
    assert onefold.profile("ada") is not None


def test_the_time(onefold):
    onefold.set_time("2027-01-01T00:00:00Z", frozen=True)
    BrazeClient(onefold.api_key, onefold.url, "app").track_user(attributes=[{"external_id": "ada"}])
    assert onefold.profile("ada")["created_at"] == "2027-01-01T00:00:00.000Z"
"""


def test_a_suite_of_another_project(onefold: Path, tmp_path: Path) -> None:
    """With a client of Braze's API, a package called `app`, and a database of its own in the environment."""
    clients = ROOT / ".clients/edx"
    if not clients.is_dir():
        missing("the Python package edx-braze-client is not installed, see `make clients`")
    (example,) = [block.text for block in blocks("README.md") if block.language == "python"]
    assert example in (ROOT / "docs/testing.md").read_text()
    (tmp_path / "app").mkdir()
    (tmp_path / "app/__init__.py").write_text("OURS = True\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_example.py").write_text(example)
    (tmp_path / "tests/test_suite.py").write_text(SUITE.replace("TIMES", "4"))
    env = environment({"PYTHONPATH": f"{tmp_path}:{clients}", "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"})
    argv = [str(onefold.with_name("python")), "-m", "pytest", "-q", "-p", "no:schemathesis", "-p", "no:cacheprovider"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout
