"""`onefold up --test`: a Onefold for the tests of another project, in a directory that is gone when it ends."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import typer

from app.adapters.launcher import Launcher, StartError
from app.cli import children, starting
from app.cli.context import fail, opened, settings_for

#: What leads to a database, a Redis or files that somebody else has. A CI often has some of these for the project.
_SERVERS: Final = ("DATABASE_URL", "WORKER_DATABASE_URL", "REDIS_URL", "BROKER_URL")
_ELSEWHERE: Final = (
    *(f"{before}{name}{behind}" for name in _SERVERS for before in ("", "ONEFOLD_") for behind in ("", "_FILE")),
    *("ONEFOLD_FILES", "ONEFOLD_DATA_DIR", "ONEFOLD_KEY_PREFIX"),
)
_SETTINGS: Final = {
    "ONEFOLD_TEST_MODE": "true",
    "ONEFOLD_CANARY_SECONDS": "0",
    # A key is looked up for each call, so that no call behind a reset goes to the workspace before it.
    "ONEFOLD_KEY_CACHE_SECONDS": "0",
    # These count by address, and all tests have the same.
    "ONEFOLD_FAILURES_PER_MINUTE": "0",
    "ONEFOLD_SDK_BATCHES_PER_ADDRESS": "0",
    # Callbacks and webhooks of a test lead to itself.
    "ONEFOLD_HTTP_ALLOW_PRIVATE": "true",
}


def up(host: str, port: int, report: Callable[[str], None]) -> None:
    """Run until somebody stops it.

    API and worker are started before there is a database, which is made while they import their modules: an API waits
    for a current schema anyway, and a worker for its first doorbell. Sweeper and job worker start last, since nobody
    waits for them.
    """
    children.see_free("port", host, port)
    with data_directory() as data_dir:
        settings = settings_for(data_dir)
        key_file: list[Path] = []

        def is_ready() -> bool:
            if not key_file:
                with opened(settings, make=True) as database:
                    key_file.append(starting.default_key(database, data_dir))
            return api.ready is None or api.ready()

        ready_file = data_dir / "worker.ready"
        api = children.api(settings, host, port, ready_file)
        family = (
            children.valkey(settings),
            children.worker(settings, 1, ready_file),
            replace(api, ready=is_ready),
            children.sweeper(settings),
            children.jobs(settings),
        )
        try:
            # Nothing is kept, so nothing has to be finished at the end.
            hasty = [replace(child, stop_signal=signal.SIGKILL) for child in family]
            Launcher(hasty, report, lambda: _greet(children.url(host, port), key_file[0])).run()
        except StartError as error:
            raise fail(str(error)) from None


@contextmanager
def data_directory() -> Iterator[Path]:
    """A data directory for the length of the block, in which this process and its children are in test mode."""
    for name in _ELSEWHERE:
        os.environ.pop(name, None)
    os.environ.update(_SETTINGS)
    with TemporaryDirectory(prefix="onefold-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def _greet(url: str, key_file: Path) -> None:
    """One line of JSON, for whoever started us: where we are, and a key that may do everything."""
    typer.echo(json.dumps({"url": url, "api_key": key_file.read_text().strip()}))
