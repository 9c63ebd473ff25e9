"""URLs of Redis behind Sentinel: `redis+sentinel://:password@host:26379,host:26379/name/0` is whichever is primary.

Sentinels watch the servers of a group that has a name, and agree on which is the primary. A client asks one of them
each time it connects. `?sentinel_password=` (and `sentinel_username=`) is what the sentinels themselves ask for.
`rediss+sentinel://` is the same with TLS, to sentinels and servers alike; `?ssl_ca_certs=` and the like are redis-py's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

SCHEME: Final = "redis+sentinel"
TLS_SCHEME: Final = "rediss+sentinel"
PORT: Final = 26_379
_FORM: Final = f"{SCHEME}://:password@host:{PORT},host:{PORT}/name/0"
_ASKED: Final = frozenset(("sentinel_username", "sentinel_password"))
_TLS_FILES: Final = frozenset(("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"))
_CHECK: Final = "ssl_check_hostname"
_NO: Final = ("false", "0", "no")


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Where sentinels are, and what they and the servers of the group are asked with."""

    hosts: tuple[tuple[str, int], ...]
    #: Of the group of servers, as the sentinels have it.
    group: str
    database: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    sentinel_username: str = ""
    sentinel_password: str = field(default="", repr=False)
    #: How both are known by their certificates, by the names that redis-py has; None = there is no TLS.
    tls: Mapping[str, object] | None = None

    @property
    def credentials(self) -> dict[str, str]:
        """What the servers ask for, by the names that redis-py has."""
        return _given(username=self.username, password=self.password)

    @property
    def sentinel_credentials(self) -> dict[str, str]:
        """What the sentinels ask for, likewise."""
        return _given(username=self.sentinel_username, password=self.sentinel_password)

    @property
    def server_options(self) -> dict[str, Any]:
        """What a client of the servers needs, by the names that redis-py has."""
        return {**self.credentials, **self._encryption, "db": self.database}

    @property
    def _encryption(self) -> dict[str, object]:
        return {} if self.tls is None else {"ssl": True, **self.tls}

    def asking(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a client of the servers, for one of the sentinels."""
        return {**options, **self.sentinel_credentials, **self._encryption}

    def celery_url(self) -> str:
        """The same for Celery, but for the group and what sentinels ask for: these are transport options of kombu."""
        user = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.credentials else ""
        return ";".join(f"sentinel://{user}{_shown(host)}:{port}/{self.database}" for host, port in self.hosts)

    def celery_options(self, connect_seconds: float) -> dict[str, object]:
        """These options. `connect_seconds`: for how long one sentinel is tried."""
        timeouts = {"socket_connect_timeout": connect_seconds, "socket_timeout": connect_seconds}
        return {"master_name": self.group, "sentinel_kwargs": self.asking(timeouts)}


def parse(url: str) -> Sentinels | None:
    """What a URL of this scheme says; None for one of another. Raises ValueError, without a value, for a bad one."""
    scheme = url.partition("://")[0]
    if scheme not in (SCHEME, TLS_SCHEME):
        return None
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    group, _, database = parts.path.removeprefix("/").partition("/")
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    username, _, password = user.partition(":")
    known = (database or "0").isascii() and (database or "0").isdigit() and group and "/" not in database
    tls = {name: asked.pop(name) for name in (*_TLS_FILES, _CHECK) if name in asked}
    if not known or not _ASKED.issuperset(asked) or (tls and scheme != TLS_SCHEME):
        raise ValueError(f"has the form {_FORM}")
    return Sentinels(
        hosts=tuple(_place(host) for host in hosts.split(",")),
        group=unquote(group),
        database=int(database or "0"),
        username=unquote(username),
        password=unquote(password),
        tls=_tls(tls) if scheme == TLS_SCHEME else None,
        **asked,
    )


def _tls(asked: Mapping[str, str]) -> dict[str, object]:
    files = {name: value for name, value in asked.items() if name != _CHECK}
    check = asked.get(_CHECK, "true").casefold() not in _NO
    return {"ssl_cert_reqs": "required", _CHECK: check, **files}


def _given(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _place(text: str) -> tuple[str, int]:
    """(host, port) of `host`, `host:port` or `[address]:port`. Raises ValueError."""
    parts = urlsplit(f"//{text}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or "@" in text:
        raise ValueError(f"has the form {_FORM}")
    return host, port or PORT


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
