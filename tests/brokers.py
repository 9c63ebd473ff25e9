"""A real RabbitMQ, Debian's package, as Celery's broker: on a port of its own, with its files in a temporary folder."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from tests.polling import gone, until
from tests.servers import ServerUnavailable, free_ports, server_home

#: The package's command in /usr/sbin takes a user of its own; these are what it runs.
BINARIES: Final = "/usr/lib/rabbitmq/bin"
START_SECONDS: Final = 60.0
_COMMAND_SECONDS: Final = 120


class Rabbit:
    """A RabbitMQ node: its URL for Celery, and its processes."""

    def __init__(self, home: Path) -> None:
        self._home = home
        port, between, names = free_ports(3)
        self._port = port
        self.url = f"amqp://guest:guest@127.0.0.1:{port}//"
        self._env = {
            "PATH": f"{BINARIES}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(home),
            "RABBITMQ_NODENAME": f"onefold{port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(between),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        self._process: subprocess.Popen[bytes] | None = None
        #: Erlang's register of names, which a node starts and leaves behind.
        self._strays: list[psutil.Process] = []

    def start(self) -> None:
        leash = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()
        with (self._home / "out").open("ab") as output:
            self._process = subprocess.Popen(
                (*leash, "rabbitmq-server"),
                cwd=self._home,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            until(self._answers, START_SECONDS, message="RabbitMQ does not answer")
        except AssertionError as failure:
            self.kill9()
            raise ServerUnavailable(str(failure)) from failure

    def control(self, *words: str) -> None:
        """`rabbitmqctl`. Raises CalledProcessError."""
        command = ("rabbitmqctl", *words)
        subprocess.run(command, env=self._env, check=True, capture_output=True, timeout=_COMMAND_SECONDS)

    def kill9(self) -> None:
        """SIGKILL for the node and all that belongs to it, and wait until all are gone."""
        if self._process is None:
            return
        with suppress(psutil.NoSuchProcess):
            main = psutil.Process(self._process.pid)
            self._strays += self._registers()
            family = [main, *main.children(recursive=True)]
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process.wait()
            until(lambda: all(gone(process.pid) for process in family[1:]), message="RabbitMQ lives on")
        self._process = None

    def close(self) -> None:
        """End everything."""
        self.kill9()
        for process in self._strays:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _registers(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["name"]):
            with suppress(psutil.Error):
                if process.info["name"] == "epmd" and process.environ().get("HOME") == str(self._home):
                    found.append(process)
        return found

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self._home / "out").read_text(errors="replace")[-500:])
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1) as probe:
            probe.sendall(b"AMQP\0\0\x09\x01")
            return probe.recv(1) == b"\x01"
        return False


@contextmanager
def rabbitmq() -> Iterator[Rabbit]:
    """Raises ServerUnavailable."""
    if not Path(BINARIES, "rabbitmq-server").exists():
        raise ServerUnavailable("no RabbitMQ: install Debian's rabbitmq-server")
    with server_home("onefold-mq-") as home:
        broker = Rabbit(home)
        try:
            broker.start()
            yield broker
        finally:
            broker.close()
