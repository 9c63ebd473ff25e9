"""What the launcher imports, for its children to be forked from it."""

import json
import subprocess
import sys
from pathlib import Path

LOAD = """
import json, os, sys
from pathlib import Path
from app.adapters import forking
from app.cli import children
forking.load((*children.WORKER, *children.JOBS, *children.SWEEPER, *children.API, *children.FLOWER))
loaded = set(sys.modules)
import app.asgi, workers.celery_app, workers.celery_jobs
print(json.dumps([sorted(set(sys.modules) - loaded), len(list(Path("/proc/self/task").iterdir()))]))
"""


def test_children_that_are_forked_import_nothing_but_where_they_begin() -> None:
    """Those read settings when they are imported, so not before the fork. And no import has started a thread: a lock
    that it holds at a fork would be held for ever.
    """
    found = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True
    )
    imported, threads = json.loads(found.stdout)
    fixups = {"celery.fixups", "celery.fixups.django"}  # of every application of Celery
    assert set(imported) - fixups == {"app.asgi", "workers.celery_app", "workers.celery_jobs"}
    assert threads == 1
