"""An import that does not belong is found, wherever it is planted; the documentation shows the same table."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.layout.imports import ALLOWED, STANDARD, TESTING, violations

ROOT = Path(__file__).parents[2]

#: Module, the line that is planted into it, and what the check says of it.
PLANTED = [
    ("app/domain/step.py", "from app import budget", "app.domain may not import app.budget"),
    ("app/domain/step.py", "from app.services import budget", "app.domain may not import app.services.budget"),
    ("app/domain/step.py", "import time", "app.domain may not import time"),
    ("app/domain/merging/rules.py", "import msgspec", "app.domain may not import msgspec"),
    ("app/domain/track.py", "from random import random", "app.domain may not import random"),
    ("app/contract/track.py", "from app.store import lane", "app.contract may not import app.store.lane"),
    ("app/contract/track.py", "import os", "app.contract may not import os"),
    ("app/store/lane.py", "from app import metrics", "app.store may not import app.metrics"),
    ("app/store/lane.py", "from app.adapters import metrics", "app.store may not import app.adapters.metrics"),
    ("app/store/lane.py", "from app.contract import track", "app.store may not import app.contract.track"),
    ("app/quota/limiter.py", "from app import networks", "app.quota may not import app.networks"),
    ("app/quota/limiter.py", "from app.services import networks", "app.quota may not import app.services.networks"),
    ("app/services/merges.py", "from fastapi import Request", "app.services may not import fastapi"),
    ("app/api/app.py", "from app.store import lane", "app.api may not import app.store.lane"),
    ("app/console/app.py", "from app.api import health", "app.console may not import app.api.health"),
    ("app/console/keys/pages.py", "from app.store import keys", "app.console may not import app.store.keys"),
    ("workers/apply.py", "from app.services import waiting", "workers may not import app.services.waiting"),
    ("onefold/__main__.py", "import structlog", "onefold may not import structlog"),
    ("onefold/__main__.py", "from app.store import lane", "onefold may not import app.store.lane"),
    ("app/loose.py", "", "app.loose has no place in the layout"),
    *(
        (module, line, f"{imported} is a module of tests, from which nobody imports")
        for module in ("tests/stores.py", "tests/api/test_sdk.py", "bench/table.py", "fault/identity.py")
        for line, imported in (
            ("from tests.workers.test_drain import poison", "tests.workers.test_drain"),
            ("from tests.workers import test_drain", "tests.workers.test_drain"),
            ("import tests.workers.test_drain as drain", "tests.workers.test_drain"),
            ("from .test_merges import undo", ".test_merges"),
        )
    ),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, to plant into."""
    root = tmp_path_factory.mktemp("layout")
    for name in ("app", "onefold", "workers", *TESTING):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def test_this_tree() -> None:
    assert violations(ROOT) == []


def test_planted_imports(copy: Path) -> None:
    """All are planted at once, each on a first line of its module: to read the whole tree for each takes long."""
    planted: dict[str, list[tuple[str, str]]] = {}
    for module, line, message in PLANTED:
        planted.setdefault(module, []).append((line, message))
    before = {module: (copy / module).read_text() for module in planted if (copy / module).exists()}
    expected = []
    for module, rows in planted.items():
        (copy / module).write_text("\n".join([*(line for line, _ in rows), before.get(module, "")]))
        expected += [f"{module}:{number}: {message}" for number, (_, message) in enumerate(rows, 1)]
    try:
        assert sorted(violations(copy)) == sorted(expected)
    finally:
        for module in planted:
            (copy / module).write_text(before[module]) if module in before else (copy / module).unlink()


def test_the_layers_know_every_module(copy: Path) -> None:
    """import-linter's contract is exhaustive: a module beside the packages breaks it, as does an import upwards."""
    assert "5 kept, 0 broken" in _lint_imports(copy)
    (copy / "app/loose.py").write_text("")
    (copy / "app/contract/naming.py").write_text("from app.services import budget\n\n__all__ = ['budget']\n")
    try:
        report = _lint_imports(copy)
    finally:
        shutil.copy(ROOT / "app/contract/naming.py", copy / "app/contract/naming.py")
        (copy / "app/loose.py").unlink()
    assert "app.loose" in report
    assert "app.contract.naming -> app.services.budget" in report


def _lint_imports(root: Path) -> str:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    environment = {"PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    return done.stdout


def test_the_table_of_the_architecture() -> None:
    """docs/architecture.md has a row for each package, with what it may import, and for no other."""
    section = (ROOT / "docs/architecture.md").read_text().split("\n## Modules\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(app/\w+|onefold|workers)`[^|]*\|[^|]*\| ([^|]*) \| ([^|]*) \|$", section, re.MULTILINE)
    shown = {name: (_names(ours), _names(others)) for name, ours, others in rows}
    expected = {
        package.replace(".", "/"): (
            {name.removeprefix("app.") for name in allowed.ours},
            set(allowed.others - STANDARD),
        )
        for package, allowed in ALLOWED.items()
    }
    assert shown == expected


def _names(cell: str) -> set[str]:
    return set(re.findall(r"`([\w.]+)`", cell))
