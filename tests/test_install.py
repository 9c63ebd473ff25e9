"""`make` installs with uv, with uv and the system's certificates, with pip: the next where the one before fails."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: A program that writes down how it was called, and succeeds where its arguments hold the word that it is made with.
PROGRAM = """#!/bin/sh
echo "{name} $*" >> {calls}
case "{name} $* " in *"{succeeds}"*) exit 0;; esac
exit 1
"""
UV = "uv pip install --quiet --compile-bytecode --python {bin}/python --require-hashes"
PLAIN = f"{UV} -r requirements.lock"
SYSTEM = f"{UV} --system-certs -r requirements.lock"
PIP = "python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock"


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.parametrize(
    ("succeeds", "calls", "status"),
    [
        ("uv pip install", [PLAIN], 0),
        ("--system-certs", [PLAIN, SYSTEM], 0),
        ("python -m pip", [PLAIN, SYSTEM, PIP], 0),
        ("nothing of it", [PLAIN, SYSTEM, PIP], 2),
    ],
)
def test_the_next_way_is_tried_where_the_one_before_fails(
    tmp_path: Path, succeeds: str, calls: list[str], status: int
) -> None:
    folder, noted = tmp_path / "bin", tmp_path / "calls"
    folder.mkdir()
    for name in ("python", "uv", "onefold"):
        (folder / name).write_text(PROGRAM.format(name=name, calls=noted, succeeds=succeeds))
        (folder / name).chmod(0o755)
    stamp = tmp_path / ".installed"
    argv = ["make", "-C", str(ROOT), f"VENV={tmp_path}", "--old-file", f"{folder}/onefold", str(stamp)]
    made = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert noted.read_text().splitlines() == [call.format(bin=folder) for call in calls], made.stdout + made.stderr
    assert (made.returncode, stamp.exists()) == (status, status == 0)
