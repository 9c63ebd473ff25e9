"""Metrics that several processes share: what the dead have counted stays, and their files go."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.adapters import metrics
from app.adapters.metric_files import retire

#: Counts as a worker does, and ends as one that is killed.
WORKER = """
import os
from app.adapters.metrics import Metrics
summary = {"busy": False, "behind": False, "batches": 1, "dead": 0, "ms": 40, "lag_ms": 20, "requests": 3,
           "skipped_by_reason": {"work": 1}}
Metrics().drained(summary)
os._exit(1)
"""


def die(folder: Path) -> None:
    """A process that counts into the folder and is gone."""
    env = {**os.environ, metrics.DIRECTORY: str(folder)}
    assert subprocess.run([sys.executable, "-c", WORKER], env=env, check=False).returncode == 1


def shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(metrics.DIRECTORY, str(folder))
    return metrics.Metrics.exposition(object.__new__(metrics.Metrics)).decode()


FORKED = """
import os, sys
from app.adapters.metrics import DIRECTORY, Metrics, choose_values
from prometheus_client import CollectorRegistry, Counter
os.environ[DIRECTORY] = sys.argv[1]
Metrics().swept()
del os.environ[DIRECTORY]
choose_values()
Counter("in_memory", "Only here.", registry=CollectorRegistry()).inc()
"""


def test_where_a_process_counts_is_not_decided_when_it_imports(tmp_path: Path) -> None:
    """Else one that was forked would count where the other one did: Flower in the files, the API beside them."""
    env = {name: value for name, value in os.environ.items() if name != metrics.DIRECTORY}
    subprocess.run([sys.executable, "-c", FORKED, str(tmp_path)], env=env, check=True)
    (counters,) = tmp_path.glob("counter_*.db")
    assert b"onefold_swept_lanes" in counters.read_bytes()
    assert b"in_memory" not in counters.read_bytes()


@pytest.mark.parametrize("name", ["metrics", "a [1-2]*? metrics"])
def test_the_dead_keep_their_counts_and_lose_their_files(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    die(folder)
    die(folder)
    (folder / f"counter_{os.getpid()}.db").write_bytes(next(folder.glob("counter_*.db")).read_bytes())  # one that lives
    (folder / "counter_999999999.db").write_bytes(b"")  # one that was killed before it counted
    before = shown(folder, monkeypatch)
    assert "onefold_applied_requests_total 9.0" in before
    assert retire(folder) == 5
    alive = f"counter_{os.getpid()}.db"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [alive, "counter_gone.db", "histogram_gone.db", "lock"]
    )
    assert sorted(shown(folder, monkeypatch).splitlines()) == sorted(before.splitlines())
    die(folder)
    assert retire(folder) == 2
    assert retire(folder) == 0
    after = shown(folder, monkeypatch)
    assert "onefold_applied_requests_total 12.0" in after
    assert 'onefold_apply_lag_seconds_bucket{le="0.025"} 3.0' in after
