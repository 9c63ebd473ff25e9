"""The processes of `onefold up` and `onefold worker`: what each is started with."""

import errno
import os
import secrets
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from pydantic import SecretStr

from app.adapters import embedded, metrics
from app.adapters.private_files import read_secret, write_secret
from app.adapters.processes import Child
from app.cli.context import CODE, environment, fail
from app.secret_settings import basic_auth_problem
from app.settings import Settings

QUEUES: Final = "sync,normal,bulk"

#: What each is made of, for it to be forked (Child.fork). Its main module is not among it: that reads the settings.
_CELERY: Final = ("celery.bin.celery", "celery.apps.worker", "celery.concurrency.prefork", "kombu.transport.redis")
WORKER: Final = ("app.bootstrap.background", "workers.tasks", *_CELERY)
JOBS: Final = ("workers.jobs.tasks", *WORKER)
SWEEPER: Final = ("app.cli.sweeper", "workers.periodic")
API: Final = (
    *("app.bootstrap.serving", "app.api.app", "app.console.app", "app.api.event_loop", "app.api.protocol"),
    *("app.api.tracing", "uvicorn.main", "uvicorn.lifespan.on"),
)
FLOWER: Final = ("app.bootstrap.background", "workers.tasks", "celery.bin.celery", "flower.command")


def url(host: str, port: int) -> str:
    """Where we ourselves reach an API that listens on `host`."""
    known = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - these mean every address
    return f"http://{known.get(host, f'[{host}]' if ':' in host else host)}:{port}"


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now. What else is wrong with an address is left to the server to say."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    return True


def see_free(name: str, host: str, port: int) -> None:
    """End the command where the port of an option is taken."""
    if not is_free(host, port):
        raise fail(f"Port {port} of {host} is in use: stop what listens there, or give another --{name}.")


def secret(
    path: Path, configured: SecretStr | None, make: Callable[[], str], problem_with: Callable[[str], str | None]
) -> str:
    """A secret of the data directory: the configured one, else the one in its file, else a new one. The file has it
    then. A file that holds nothing, as after a crash, is made anew; one that holds too little is refused.
    """
    found = read_secret(path) if configured is None else configured.get_secret_value()
    if not found:
        found = make()
    elif (problem := problem_with(found)) is not None:
        raise fail(f"{path} {problem}: correct it, or remove it for a new one.")
    write_secret(path, found)
    return found


def _log(settings: Settings, name: str) -> Path:
    folder = settings.data_dir / "logs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{name}.log"


def _log_bytes(settings: Settings) -> int:
    return int(settings.log_megabytes * 1_000_000)


def valkey(settings: Settings) -> Child:
    server = embedded.binary()
    if server is None:
        raise fail("No Valkey for this platform: install redis-server, or set REDIS_URL to a running one.")
    path = embedded.socket_path(settings.data_dir)
    embedded.mend(server, settings.data_dir)
    return Child(
        name="valkey",
        argv=embedded.argv(server, settings.data_dir, path),
        env=dict(os.environ),
        log=_log(settings, "valkey"),
        log_bytes=_log_bytes(settings),
        stop_order=3,
        ready=lambda: embedded.ping(settings.redis()),
    )


def uvicorn(settings: Settings, host: str, port: int, application: str = "app.asgi:create") -> tuple[str, ...]:
    return _uvicorn(settings, application, "--host", host, "--port", str(port))


def _uvicorn(settings: Settings, application: str, *where: str) -> tuple[str, ...]:
    return (
        *(sys.executable, "-P", "-m", "uvicorn", "--app-dir", CODE),
        *("--factory", application),
        *where,
        *("--loop", "app.api.event_loop:Loop", "--http", "app.api.protocol:Protocol", "--lifespan", "on"),
        *("--timeout-graceful-shutdown", "10", "--timeout-keep-alive", str(settings.keep_alive_seconds)),
        *("--ws", "none"),
        "--no-proxy-headers",  # ONEFOLD_TRUSTED_PROXIES says whom to believe
        "--no-access-log",
        "--no-server-header",
    )


def api(settings: Settings, host: str, port: int, worker_ready: Path) -> Child:
    return Child(
        name="api",
        argv=uvicorn(settings, host, port),
        env=environment(settings),
        log=_log(settings, "api"),
        log_bytes=_log_bytes(settings),
        stop_order=0,
        ready=lambda: worker_ready.exists() and _answers(f"{url(host, port)}/readyz"),
        ready_timeout=60.0,
        fork=API if settings.fork else (),
    )


def listening(host: str, port: int) -> socket.socket:
    """A socket for several API processes, which accept from it in turns. Ends the command where the port is taken."""
    see_free("port", host, port)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((str(address[0]), port), family=family, backlog=2048)
    except OSError as error:
        raise fail(f"Nothing can listen on port {port} of {host}: {error.strerror}.") from None


def api_process(settings: Settings, number: int, listener: socket.socket) -> Child:
    """One of several API processes of a machine, which write their logs to our output."""
    return Child(
        name=f"api {number}",
        argv=_uvicorn(settings, "app.asgi:create", "--fd", str(listener.fileno())),
        env=environment(settings),
        log=None,
        descriptors=(listener.fileno(),),
    )


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=1) as response:  # noqa: S310 - our own address
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def _celery(application: str, *arguments: str, first: str = "") -> tuple[str, ...]:
    """Celery looks for its application first in the directory where it is started, and another project may have
    packages of the same names there. It does not look for what is imported already.
    """
    program = f"{first}import {application}; from celery.__main__ import main; main()"
    return (sys.executable, "-P", "-c", program, "-A", application, *arguments)


def worker(settings: Settings, processes: int, ready_file: Path | None = None) -> Child:
    """`ready_file` is made once the worker listens. Without it the worker stands alone and logs to our output."""
    env = environment(settings)
    if ready_file is not None:
        env["ONEFOLD_WORKER_READY_FILE"] = str(ready_file)
    return Child(
        name="worker",
        argv=_celery(
            *("workers.celery_app", "worker", "-E", "-Q", QUEUES, "-c", str(processes)),
            *("--without-mingle", "--without-gossip", "-l", "WARNING"),
        ),
        env=env,
        log=_log(settings, "worker") if ready_file is not None else None,
        log_bytes=_log_bytes(settings),
        stop_order=1,
        fork=WORKER if settings.fork else (),
    )


def jobs_argv() -> tuple[str, ...]:
    """A job worker: of a queue and a name of its own, with one process, for one job at a time."""
    return _celery(
        *("workers.celery_jobs", "worker", "-E", "-Q", "jobs", "-c", "1", "-n", "jobs@%h"),
        *("--without-mingle", "--without-gossip", "-l", "WARNING"),
    )


def jobs(settings: Settings) -> Child:
    env = environment(settings)
    env.pop("ONEFOLD_WORKER_READY_FILE", None)
    return Child(
        name="jobs",
        argv=jobs_argv(),
        env=env,
        log=_log(settings, "jobs"),
        stop_order=1,
        fork=JOBS if settings.fork else (),
    )


def sweeper(settings: Settings, *, log: bool = True) -> Child:
    return Child(
        name="sweeper",
        argv=(sys.executable, "-P", "-m", "onefold", "sweeper", "--data-dir", str(settings.data_dir)),
        env=environment(settings),
        log=_log(settings, "sweeper") if log else None,
        log_bytes=_log_bytes(settings),
        stop_order=1,
        fork=SWEEPER if settings.fork else (),
    )


def flower(settings: Settings, port: int) -> Child:
    auth = secret(
        settings.data_dir / "flower.auth",
        settings.flower_basic_auth,
        lambda: f"onefold:{secrets.token_urlsafe(18)}",
        basic_auth_problem,
    )
    # The password goes through the environment: a command line is readable by everybody on the machine.
    env = {**environment(settings), "FLOWER_BASIC_AUTH": auth}
    env.pop(metrics.DIRECTORY, None)  # Flower counts for itself, and would answer for all
    return Child(
        name="flower",
        argv=_celery(
            *("workers.celery_app", "flower", "--address=127.0.0.1", f"--port={port}"),
            "--max_tasks=10000",
            first="from app.adapters import metrics; metrics.choose_values(); ",
        ),
        env=env,
        log=_log(settings, "flower"),
        log_bytes=_log_bytes(settings),
        stop_order=1,
        fork=FLOWER if settings.fork else (),
    )
