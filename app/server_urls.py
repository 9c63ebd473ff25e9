"""URLs of the servers that settings lead to: whether one can be meant, before anybody connects with it.

A URL may hold a password, so what is raised shows none of it.
"""

from typing import Final
from urllib.parse import parse_qs, urlsplit

from app import sentinels

_DATABASES: Final = ("postgresql://", "postgres://", "postgresql+psycopg://", "sqlite:///")
_REDISES: Final = ("redis://", "rediss://", "unix://", f"{sentinels.SCHEME}://", f"{sentinels.TLS_SCHEME}://")
#: What a URL of Redis may have behind its `?`, beside `ssl_…`; the names are redis-py's, which takes any other for an
#: argument that its connections do not have.
_OPTIONS: Final = frozenset(
    {
        *("db", "username", "password", "protocol", "client_name", "max_connections", "health_check_interval"),
        *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "retry_on_timeout"),
    }
)


def of_database(url: str) -> str:
    """The URL. Raises ValueError."""
    return _checked(url, _DATABASES)


def of_redis(url: str) -> str:
    """The URL. Raises ValueError."""
    _checked(url, _REDISES)
    if sentinels.parse(url) is None:
        parts = urlsplit(url)
        options = parse_qs(parts.query, keep_blank_values=True)
        if parts.scheme != "rediss" and any(name.startswith("ssl_") for name in options):
            raise ValueError("has options of TLS, and begins with redis://: with rediss:// there is TLS")
        if any(name not in _OPTIONS and not name.startswith("ssl_") for name in options):
            raise ValueError("has an option that is none of Redis: what is special in a password is quoted, as %3F")
    return url


def of_broker(url: str) -> str:
    """The URL, or several with semicolons between them. Which schemes there are is Celery's business. Raises
    ValueError."""
    return _checked(url, ())


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
