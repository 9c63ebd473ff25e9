"""URLs of the servers that settings lead to: whether one can be meant, before anybody connects with it.

A URL may hold a password, so what is raised shows none of it.
"""

from typing import Final
from urllib.parse import parse_qs, urlsplit

from app import sentinels

_DATABASES: Final = ("postgresql://", "postgres://", "postgresql+psycopg://", "sqlite:///")
_REDISES: Final = ("redis://", "rediss://", "unix://", f"{sentinels.SCHEME}://", f"{sentinels.TLS_SCHEME}://")
#: What a URL of Redis may have behind its `?`; the names are redis-py's, which takes any other for an argument that its
#: connections do not have. Celery knows none of them.
_OPTIONS: Final = frozenset(
    {
        *("db", "username", "password", "protocol", "client_name", "max_connections", "health_check_interval"),
        *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "retry_on_timeout"),
    }
)
_TLS_OPTIONS: Final = frozenset(
    {
        *("ssl_ca_certs", "ssl_ca_path", "ssl_ca_data", "ssl_certfile", "ssl_keyfile", "ssl_password"),
        *("ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version", "ssl_ciphers"),
    }
)
_NUMBERS: Final = frozenset({"db", "protocol", "max_connections", "health_check_interval"})


def of_database(url: str) -> str:
    """The URL. Raises ValueError."""
    _checked(url, _DATABASES)
    if url.startswith("sqlite:///") and url in ("sqlite:///", "sqlite:///:memory:"):
        raise ValueError("needs a file behind sqlite:///")
    return url


def of_redis(url: str) -> str:
    """The URL. Raises ValueError."""
    _checked(url, _REDISES)
    if sentinels.parse(url) is None:
        _see_options(url, _OPTIONS)
    return url


def of_broker(url: str) -> str:
    """The URL, or several with semicolons between them. Which schemes there are is Celery's business. Raises
    ValueError."""
    _checked(url, ())
    if url.startswith(("redis://", "rediss://")):
        _see_options(url, frozenset())
    return url


def _see_options(url: str, known: frozenset[str]) -> None:
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    if parts.scheme != "rediss" and any(name.startswith("ssl_") for name in options):
        raise ValueError("has options of TLS, and begins with redis://: with rediss:// there is TLS")
    if not options.keys() <= known | _TLS_OPTIONS:
        raise ValueError("has an option that there is not: what is special in a password is quoted, as %3F for ?")
    if parts.scheme != "unix" and parts.path.strip("/"):
        options.setdefault("db", parts.path.strip("/"))
    if any(not options[name].isdecimal() for name in _NUMBERS & options.keys()):
        raise ValueError("has something else where a number belongs: its path is the number of a database, as /0")


def _checked(url: str, beginnings: tuple[str, ...]) -> str:
    if not url:
        return url
    if "://" not in url or (beginnings and not url.startswith(beginnings)):
        raise ValueError(f"must begin with {', '.join(beginnings) or 'a scheme, such as redis:// or amqp://'}")
    if sentinels.parse(url) is None:
        try:
            for each in url.split(";"):
                parts = urlsplit(each)
                _ = parts.hostname if "," in parts.netloc else parts.port
        except ValueError:
            raise ValueError("is no URL: what is special in a password is quoted, as %40 for @") from None
    return url
