"""The environment of a process: what cannot be meant is refused by name and without its value, before anything runs."""

import os
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import AliasChoices, ValidationError

from app.bootstrap import background
from app.cli import testing
from app.secret_settings import SECRET_NAMES, SecretFileError
from app.settings import Settings, unknown
from tests.command_line import command_line, run

#: In every value that has to be refused and not told. It is too short for a token.
MARK: Final = "zq7mark"
URLS: Final = ("DATABASE_URL", "WORKER_DATABASE_URL", "REDIS_URL", "BROKER_URL")
SCHEMES: Final = dict(zip(URLS, ("postgresql", "postgres", "redis", "amqp"), strict=True))
#: What Celery does not take, and what nobody does.
REDIS_OPTIONS: Final = ("db", "password", "protocol", "socket_timeout", "health_check_interval", "tls", "ssl_ca", MARK)
#: Any text will do for these.
TEXTS: Final = frozenset(
    {
        *("ONEFOLD_DATA_DIR", "ONEFOLD_KEY_PREFIX", "ONEFOLD_FILES", "ONEFOLD_WORKER_READY_FILE"),
        *("ONEFOLD_DEMO_SDK_KEY", "ONEFOLD_METRICS_HOST", "ONEFOLD_TRUSTED_PROXIES"),
        *("ONEFOLD_SMTP_USER", "ONEFOLD_SMTP_PASSWORD", "ONEFOLD_SMTP_FROM"),
    }
)


def variables() -> dict[str, Any]:
    """{variable: type} of all settings."""
    found = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"ONEFOLD_{name.upper()}"
        found[variable] = field.annotation
    return found


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ONEFOLD_") or name.removesuffix("_FILE") in URLS:
            monkeypatch.delenv(name)


@pytest.mark.parametrize("name", [name for name, kind in variables().items() if kind in (int, float)])
def test_a_number_that_makes_no_sense_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for value in ("-1", "-0.5", "nan", "inf", "-inf", "9" * 30, "1e300", "1e18", "1,5", "0x10"):
        monkeypatch.setenv(name, value)
        try:
            Settings()
        except ValidationError:
            continue
        taken.append(value)
    assert taken == []


@pytest.mark.parametrize("name", variables())
def test_an_empty_variable_sets_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Settings()
    monkeypatch.setenv(name, "")
    assert Settings() == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, MARK) for name in variables() if name not in TEXTS),
        *((name, value) for name in URLS for value in (f"{MARK}:5432", f"{MARK}@db/onefold", f"//u:{MARK}@db/x")),
        *((name, f"mysql://u:{MARK}@db/x") for name in URLS[:3]),
        *(
            (name, f"{scheme}://db/0?{option}={MARK}")
            for name in ("REDIS_URL", "BROKER_URL")
            for scheme, options in {"redis": ("ssl_ca_certs", *REDIS_OPTIONS), "rediss": REDIS_OPTIONS}.items()
            for option in options
        ),
        *((name, f"redis://db/{MARK}") for name in ("REDIS_URL", "BROKER_URL")),
        *(("DATABASE_URL", url) for url in ("sqlite:///", "sqlite:///:memory:")),
        ("REDIS_URL", f"unix:///run/valkey.sock?ssl_ca_certs={MARK}"),
        *((name, f"{SCHEMES[name]}://u:{secret}@db/x") for name in URLS for secret in (f"p/{MARK}", f"[{MARK}")),
    ],
)
def test_what_cannot_be_meant_is_refused_without_its_value(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://:of-{MARK}@127.0.0.1:1")
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    if name == "BROKER_URL":
        monkeypatch.delenv("REDIS_URL")
    said = run("doctor", "--data-dir", str(tmp_path), fails=True)
    assert (MARK in str(refused.value), MARK in said) == (False, False)
    assert name in said


@pytest.mark.parametrize(
    ("redis", "broker"),
    [
        *((f"redis://db/0?{option}=3", "amqp://mq//") for option in ("db", "protocol", "socket_timeout")),
        ("redis://:a%3Fb@db", ""),
        ("redis://db/", ""),
        ("rediss://db:1/7?ssl_ca_certs=/ca&ssl_check_hostname=false", ""),
        ("unix:///run/valkey.sock?db=3", ""),
        ("redis+sentinel://:p@a,b/g/0?sentinel_password=p", ""),
        ("redis://db/0", "amqp://u:p@a:1//;amqp://v:q@b:2//"),
    ],
)
def test_urls_of_redis_and_brokers_that_are_taken(redis: str, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", redis)
    monkeypatch.setenv("BROKER_URL", broker)
    assert Settings().redis_url == redis
    with background.celery(Settings(), producer=True).connection_for_write() as connection:  # which looks at all of it
        assert connection.transport


def test_a_public_url_is_what_paths_are_put_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    for told in ("https://one.example.org", "https://one.example.org/", "https://one.example.org//"):
        monkeypatch.setenv("ONEFOLD_PUBLIC_URL", told)
        assert Settings().public_url == "https://one.example.org"


def test_a_file_without_a_secret_is_no_other_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a DATABASE_URL a process begins a database of its own. An empty variable beside the file sets nothing."""
    file = tmp_path / "secret"
    for name in SECRET_NAMES:
        monkeypatch.setenv(f"{name}_FILE", str(file))
        for text in ("", " \n", "postgresql://one\npostgresql://two\n"):
            file.write_text(text)
            with pytest.raises(SecretFileError, match=f"{name}_FILE must have one line"):
                Settings()
        monkeypatch.delenv(f"{name}_FILE")
    file.write_text("postgresql://u@db/x\n")
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("ONEFOLD_DATABASE_URL_FILE", str(file))
    assert Settings().database_url == "postgresql://u@db/x"


def test_variables_that_set_nothing_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict.fromkeys(variables(), "") | {f"{name}_FILE": "" for name in SECRET_NAMES}
    known |= {f"ONEFOLD_{name}{behind}": "" for name in URLS for behind in ("", "_FILE")}
    assert list(unknown(known)) == []
    wrong = {
        "ONEFOLD_TRUSTED_PROXY": "x",
        "DATABASE_URLS": "x",
        "ONEFOLD_FILES_FILE": "x",
        "ONEFOLD_ZZ": "x",
        "PATH": "x",
    }
    assert list(unknown(known | wrong)) == [
        "ONEFOLD_FILES_FILE is no setting: ONEFOLD_FILES?",
        "ONEFOLD_TRUSTED_PROXY is no setting: ONEFOLD_TRUSTED_PROXIES?",
        "ONEFOLD_ZZ is no setting",
    ]
    onefold = command_line(tmp_path)
    onefold("migrate")
    monkeypatch.setenv("COLUMNS", "300")  # so that lines are not broken
    monkeypatch.setenv("ONEFOLD_TRUSTED_PROXY", MARK)
    monkeypatch.setenv("ONEFOLD_ENV", "production")
    for words in (("doctor",), ("api", "--host", "0.0.0.0")):
        said = onefold(*words, fails=True)
        assert "ONEFOLD_TRUSTED_PROXY is no setting: ONEFOLD_TRUSTED_PROXIES?" in said
        assert MARK not in said


def test_test_mode_takes_no_server_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It empties what it has."""
    before = dict(os.environ)
    for name in URLS:
        (tmp_path / name).write_text(f"{SCHEMES[name]}://somebody@elsewhere/x")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
    try:
        with testing.data_directory():
            found = Settings()
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert [found.database_url, found.worker_database_url, found.redis_url, found.broker_url] == [""] * 4
