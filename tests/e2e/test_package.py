"""The wheel: the same from the same files, whole, and at home in an environment and a directory of another project."""

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.service import environment, up

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
