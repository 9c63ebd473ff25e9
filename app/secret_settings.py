"""Secrets among the settings: what can be one, and files that hold them, which the environment names."""

import os
from pathlib import Path
from typing import Final

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

#: Characters of a token or password: fewer are guessed.
SHORTEST_SECRET: Final = 8
#: Variables of the environment that may also be given as the name of a file: NAME_FILE.
SECRET_NAMES: Final = frozenset(
    {
        "DATABASE_URL",
        "WORKER_DATABASE_URL",
        "REDIS_URL",
        "BROKER_URL",
        "ONEFOLD_METRICS_TOKEN",
        "ONEFOLD_SMTP_PASSWORD",
        "ONEFOLD_FLOWER_BASIC_AUTH",
    }
)


class SecretFileError(ValueError):
    """A file that the environment names gives no secret. The message says which variable, and no value."""


class SecretFiles(PydanticBaseSettingsSource):
    """NAME_FILE in the environment names a file whose line is the value of NAME, for each of SECRET_NAMES."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        """(value or None, name, False) of a field. Raises SecretFileError."""
        names = variables(field_name, field)
        for name in names if names[0] in SECRET_NAMES else ():
            if path := os.environ.get(f"{name}_FILE"):
                return _secret(name, Path(path)), names[0] if field.validation_alias else field_name, False
        return None, field_name, False

    def __call__(self) -> dict[str, str]:
        found = {}
        for field_name, field in self.settings_cls.model_fields.items():
            value, name, _ = self.get_field_value(field, field_name)
            if value:
                found[name] = value
        return found


def _secret(name: str, path: Path) -> str:
    """The line of a file. Raises SecretFileError, also for no line: what it stands for would be unset, and a process
    that is to use PostgreSQL would begin with a database of its own."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretFileError(f"{name}_FILE cannot be read ({type(error).__name__})") from None
    if not text or "\n" in text:
        raise SecretFileError(f"{name}_FILE must have one line, and has {'more' if text else 'none'}")
    return text


def variables(field_name: str, field: FieldInfo) -> list[str]:
    """Names of the environment for a field, the documented one first."""
    aliases = field.validation_alias
    if isinstance(aliases, AliasChoices):
        return [str(name) for name in aliases.choices]
    return [f"ONEFOLD_{field_name.upper()}"]


def token_problem(token: str) -> str | None:
    """Why this is no token that keeps strangers out; None where it is one."""
    if len(token) < SHORTEST_SECRET or not token.isascii() or not token.isprintable() or token != token.strip():
        return f"must be at least {SHORTEST_SECRET} ASCII characters without blanks around them"
    return None


def basic_auth_problem(text: str) -> str | None:
    """Why this is no `user:password` that keeps strangers out; None where it is one. Flower takes what is between two
    commas for a user and a password each."""
    user, _, password = text.partition(":")
    if not user or len(password) < SHORTEST_SECRET or "," in text or not text.isprintable() or text != text.strip():
        return f"must be user:password without commas, the password of at least {SHORTEST_SECRET} characters"
    return None
