"""`onefold`: run the service, look after workspaces and keys, look at requests.

The modules of commands are imported when they are asked for: each needs a part of what all of them need together.
"""

import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final, cast

import typer
from typer.core import TyperGroup

from app.adapters import logs, runtime
from app.adapters.private_files import private_by_default

#: The module of each command, and its function.
_COMMANDS: Final = {
    "up": ("run", "up"),
    "api": ("run", "api"),
    "console": ("run", "console"),
    "worker": ("run", "worker"),
    "sweeper": ("sweeper", "sweeper"),
    "migrate": ("run", "migrate_database"),
    "backup": ("backups", "backup"),
    "restore": ("backups", "restore"),
    "doctor": ("doctor", "doctor"),
    "verify": ("doctor", "verify"),
    "tail": ("tail", "tail"),
    "export": ("export", "export"),
    "import": ("imports", "import_files"),
    "compare": ("compare", "compare"),
}
#: The module of each group of commands, and its Typer application.
_GROUPS: Final = {
    "workspaces": ("workspaces", "app"),
    "companies": ("companies", "app"),
    "keys": ("keys", "app"),
    "limits": ("limits", "app"),
    "requests": ("requests", "app"),
    "dead-letters": ("dead_letters", "app"),
    "merges": ("merges", "app"),
    "duplicates": ("duplicates", "app"),
    "profiles": ("profiles", "app"),
    "flags": ("flags", "app"),
    "spam-blocks": ("spam_blocks", "app"),
    "attributes": ("data_rules", "attributes"),
    "events": ("data_rules", "events"),
    "data-points": ("data_points", "app"),
    "rates": ("rates", "app"),
    "subscription-groups": ("subscription_groups", "app"),
    "apps": ("apps", "app"),
    "jobs": ("jobs", "app"),
    "segments": ("segments", "app"),
    "admins": ("admins", "app"),
    "alerts": ("alerts", "app"),
    "webhooks": ("webhooks", "app"),
    "db": ("roles", "app"),
}
#: Former names, which work until 1.0.
_FORMER: Final = {"workspace": "workspaces", "company": "companies", "dead": "dead-letters"}
#: What `onefold` itself starts.
_HIDDEN: Final = ("sweeper", *_FORMER)


class _Commands(Mapping[str, Any]):
    """All commands and groups by name, in the order of --help; each is imported when it is looked up first."""

    def __init__(self) -> None:
        self._imported: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._imported:
            self._imported[name] = _imported(name)
        return self._imported[name]

    def __contains__(self, name: object) -> bool:
        return name in _COMMANDS or name in _GROUPS or name in _FORMER

    def __iter__(self) -> Iterator[str]:
        return iter((*_COMMANDS, *_GROUPS, *_FORMER))

    def __len__(self) -> int:
        return len(_COMMANDS) + len(_GROUPS) + len(_FORMER)


def _imported(name: str) -> Any:
    """The command or the group of that name, as Click wants it. Raises KeyError."""
    known = _FORMER.get(name, name)
    module, attribute = _COMMANDS[known] if known in _COMMANDS else _GROUPS[known]
    with runtime.not_collecting():
        found = getattr(import_module(f"app.cli.{module}"), attribute)
    holder = typer.Typer(pretty_exceptions_show_locals=False)
    if known in _COMMANDS:
        holder.command(name, hidden=name in _HIDDEN)(found)
    else:
        holder.add_typer(found, name=name, hidden=name in _HIDDEN)
    return typer.main.get_group(holder).commands[name]


class _Onefold(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": cast(dict[str, Any], _Commands())})


app = typer.Typer(
    name="onefold",
    cls=_Onefold,
    help="Onefold: a self-hosted user-data service.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@app.callback()
def _onefold() -> None:
    """Its commands do everything."""


def main() -> None:
    """Console script."""
    private_by_default()
    os.environ.setdefault("NOSETPS", "1")  # Celery's processes are not renamed: their command line says what they are
    # To standard error: what is printed may be JSON. Those that serve set their own level.
    logs.configure("warning", for_good=False)
    app()
