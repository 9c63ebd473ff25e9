"""deploy/compose/pin.sh with a `docker` of ours: .env gets the digests, or it stays as it was."""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.docs.markdown import ROOT

OTHERS: Final = "METRICS_TOKEN=a token\nTRUSTED_PROXIES=10.0.0.0/8\n"
POSTGRES: Final = "POSTGRES_IMAGE=postgres:18-alpine"
VALKEY: Final = "VALKEY_IMAGE=valkey/valkey:9-alpine"


def pinned(folder: Path, docker: str) -> subprocess.CompletedProcess[str]:
    """pin.sh in `folder`, where `docker` is a shell script, whose fourth word is the image."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "docker").write_text(f"#!/bin/sh\n{docker}\n")
    (programs / "docker").chmod(0o755)
    env = {"PATH": f"{programs}:{os.environ['PATH']}"}
    argv = [ROOT / "deploy/compose/pin.sh"]
    return subprocess.run(argv, cwd=folder, env=env, check=False, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize(
    "before", [None, "", OTHERS, OTHERS.rstrip(), f"{POSTGRES}@sha256:old\n{OTHERS}{VALKEY}@sha256:old\n"]
)
def test_both_images_get_their_digests(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / ".env"
    if before is not None:
        path.write_text(before)
        path.chmod(0o644)
    assert pinned(tmp_path, 'echo "sha256:${4%%:*}"').returncode == 0
    others = OTHERS if before else ""
    assert path.read_text() == f"{others}{POSTGRES}@sha256:postgres\n{VALKEY}@sha256:valkey/valkey\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == [".env", "bin"]


@pytest.mark.parametrize("refused", ["postgres:18-alpine", "valkey/valkey:9-alpine"])
@pytest.mark.parametrize("how", ["exit 1", "exit 0", "echo '<no value>'"])
def test_without_a_digest_everything_stays_as_it_was(tmp_path: Path, refused: str, how: str) -> None:
    """Docker may also end well and print none."""
    (tmp_path / ".env").write_text(OTHERS)
    done = pinned(tmp_path, f'if [ "$4" = {refused} ]; then {how}; else echo sha256:new; fi')
    assert done.returncode != 0
    assert (tmp_path / ".env").read_text() == OTHERS
    assert sorted(each.name for each in tmp_path.iterdir()) == [".env", "bin"]


def test_the_images_are_those_of_the_compose_file() -> None:
    named = re.findall(r'image: "\$\{(\w+):-([^}]+)\}"', (ROOT / "docker-compose.yml").read_text())
    assert [f"{variable}={image}" for variable, image in named] == [POSTGRES, VALKEY]
