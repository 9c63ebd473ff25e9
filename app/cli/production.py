"""What a process that serves says of its environment before it begins: variables that set nothing, and with
`ONEFOLD_ENV=production` what is harmless on a laptop and is not where strangers come, which is refused."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from app import sentinels
from app.cli.context import fail
from app.cli.output import errors
from app.secret_settings import SHORTEST_SECRET
from app.sentinels import Sentinels
from app.services.networks import parse_networks
from app.settings import Settings, unknown
from app.store.durability import is_loopback

#: What everybody tries first, and what examples have, ours among them.
WELL_KNOWN: Final = frozenset(
    {
        "12345678",
        "123456789",
        "1234567890",
        "a-long-password",
        "admin",
        "change-me",
        "change_me",
        "changeit",
        "changeme",
        "default",
        "example",
        "guest",
        "iloveyou",
        "letmein",
        "long-password",
        "onefold",
        "passw0rd",
        "password",
        "postgres",
        "postgresql",
        "qwertyuiop",
        "rabbitmq",
        "redis",
        "root",
        "secret",
        "valkey",
        "your-password",
    }
)
#: Without a password in the URL, libpq takes one from these.
_LIBPQ: Final = ("PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSSLCERT")


def see(settings: Settings, host: str | None = None, *, demo: bool = False, test: bool = False) -> None:
    """Name variables that may be misspelt, and end the command where production is asked for and something is not fit
    for it. `host`: where we are to listen; `demo`, `test`: what `onefold up` was asked for."""
    for line in unknown(os.environ):
        errors.print(line, highlight=False, markup=False, soft_wrap=True)
    if not settings.is_production:
        return
    found = list(problems(settings, host, os.environ))
    found += ["--demo lets anybody in."] * demo + ["--test forgets everything."] * test
    if found:
        raise fail("ONEFOLD_ENV=production refuses to start:\n" + "\n".join(f"- {problem}" for problem in found))


def problems(settings: Settings, host: str | None, environment: Mapping[str, str]) -> Iterator[str]:
    """What is not fit for production, a line each, without any value."""
    if settings.test_mode:
        yield "ONEFOLD_TEST_MODE lets whoever has a key make its workspace begin anew."
    if settings.demo_sdk_key:
        yield "ONEFOLD_DEMO_SDK_KEY serves a shop that lets anybody in."
    proxies = parse_networks(settings.trusted_proxies.split(","))
    if host is not None and not is_loopback(host) and not proxies:
        yield (
            "Onefold speaks plain HTTP. Listen on 127.0.0.1, or put a proxy with TLS before it and name that in"
            " ONEFOLD_TRUSTED_PROXIES."
        )
    if any(network.prefixlen == 0 for network in proxies):
        yield "ONEFOLD_TRUSTED_PROXIES names every address, and so lets everybody say which address is theirs."
    for name, url in _urls(settings):
        yield from _of_url(name, url, environment)
    for name, secret in _secrets(settings, environment):
        if is_weak(secret):
            yield f"{name} is too short, or everybody's guess."


def is_weak(secret: str, user: str = "") -> bool:
    """Whether a password is among those that are tried first."""
    return len(secret) < SHORTEST_SECRET or secret.casefold() in WELL_KNOWN or (bool(user) and secret == user)


def _urls(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "DATABASE_URL", settings.database_url
    yield "WORKER_DATABASE_URL", settings.worker_database_url
    yield "REDIS_URL", settings.redis_url
    yield "BROKER_URL", settings.broker_url


def _of_url(name: str, url: str, environment: Mapping[str, str]) -> Iterator[str]:
    """A server that is reached over a network asks for a password, and not for one that is known."""
    if behind := sentinels.parse(url):
        yield from _of_sentinels(name, behind)
        return
    # Celery takes several brokers with semicolons between them.
    found = [problem for each in url.split(";") if each for problem in _of_server(name, each, environment)]
    yield from dict.fromkeys(found)


def _of_server(name: str, url: str, environment: Mapping[str, str]) -> Iterator[str]:
    parts = urlsplit(url)
    asked = parse_qs(parts.query)
    password = unquote(parts.password) if parts.password else asked.get("password", [""])[-1]
    user = unquote(parts.username or "") or asked.get("user", [""])[-1]
    if password and is_weak(password, user):
        yield f"The password in {name} is too short, or everybody's guess."
    is_database = name.endswith("DATABASE_URL")
    hosts = _hosts(parts.netloc, asked, environment if is_database else {})
    remote = any(host and not host.startswith(("/", "@")) and not is_loopback(host) for host in hosts)
    elsewhere = is_database and (any(environment.get(each) for each in _LIBPQ) or "sslcert" in asked)
    if remote and not password and not elsewhere:
        yield f"{name} leads to another machine without a password."


def _hosts(netloc: str, asked: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> Iterator[str]:
    """All that a URL may lead to. libpq takes several hosts, also as parameters, and what it is not told from its own
    variables."""
    named = [text for each in ("host", "hostaddr") for texts in asked.get(each, ()) for text in texts.split(",")]
    authority = netloc.rpartition("@")[2]
    named += [urlsplit(f"//{place}").hostname or "" for place in authority.split(",") if place]
    if not named:
        named = [text for each in ("PGHOST", "PGHOSTADDR") for text in environment.get(each, "").split(",")]
    yield from named


def _of_sentinels(name: str, behind: Sentinels) -> Iterator[str]:
    """The same of sentinels: whoever may talk to them may make any server the primary."""
    remote = any(not is_loopback(host) for host, _ in behind.hosts)
    asked = {
        "password": (behind.username, behind.password),
        "sentinel_password": (behind.sentinel_username, behind.sentinel_password),
    }
    for what, (user, password) in asked.items():
        if password and is_weak(password, user):
            yield f"The {what} in {name} is too short, or everybody's guess."
        if remote and not password:
            yield f"{name} leads to another machine without a {what}."


def _secrets(settings: Settings, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    known = {"ONEFOLD_METRICS_TOKEN": settings.metrics_token, "ONEFOLD_SMTP_PASSWORD": settings.smtp_password}
    for name, secret in known.items():
        if secret is not None:
            yield name, secret.get_secret_value()
    if settings.flower_basic_auth is not None:
        yield "The password of FLOWER_BASIC_AUTH", settings.flower_basic_auth.get_secret_value().partition(":")[2]
    if password := environment.get("PGPASSWORD"):
        yield "PGPASSWORD", password
