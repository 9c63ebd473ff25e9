"""Apps of workspaces: what people use, and from where devices send."""

import secrets
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from app.store.engine import Database
from app.store.profiles.queries import Query

#: What an SDK key begins with, and its random characters: 190 bits.
SDK_PREFIX: Final = "sdk_"
SDK_LENGTH: Final = 32
_ALPHABET: Final = string.ascii_letters + string.digits

_NAMES: Final = (
    "id", "name", "platform", "sdk_key", "allowed_origins", "sdk_authentication", "public_keys", "disabled",
    "created_us",
)  # fmt: skip
_COLUMNS: Final = ", ".join(_NAMES)
_LISTED = text(f"select {_COLUMNS} from app where workspace_id = :workspace_id order by created_us, id")
_BY_KEY = text(f"select workspace_id, {_COLUMNS} from app where sdk_key = :sdk_key")
_FIND = Query("app", ", ".join(f"t.{name}" for name in _NAMES), "t.id = {one}")
_IDS = text("select id from app where workspace_id = :workspace_id order by id")
_COUNT = text("select count(*) from app where workspace_id = :workspace_id")
#: Makers of apps of one workspace wait for each other, so that the bound holds.
_LOCK = text("select pg_advisory_xact_lock(:workspace_id, 1)")
_INSERT = text(
    f"insert into app (workspace_id, {_COLUMNS}) values (:workspace_id, {', '.join(f':{name}' for name in _NAMES)})"
)
_CHANGEABLE: Final = ("name", "sdk_key", "allowed_origins", "sdk_authentication", "public_keys", "disabled")


class TooManyAppsError(ValueError):
    """The workspace has as many apps as it may have."""


@dataclass(frozen=True, slots=True)
class App:
    """An app. Its SDK key is public: who has it can write for devices of the app, and read nothing."""

    #: A UUID of ours.
    id: str
    name: str
    #: One of app.contract.apps.PLATFORMS.
    platform: str
    sdk_key: str
    created_us: int
    #: Origins of pages that may send for the app; `*` = any.
    allowed_origins: tuple[str, ...] = ("*",)
    #: Whether data of known people needs a signature.
    sdk_authentication: bool = False
    #: PEM of the keys that sign.
    public_keys: tuple[str, ...] = ()
    #: Nothing is taken from its devices.
    disabled: bool = False


def new_sdk_key() -> str:
    return SDK_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(SDK_LENGTH))


def create(database: Database, workspace_id: int, app: App, most: int) -> None:
    """Make an app. Raises TooManyAppsError when there are `most`."""
    with database.write() as connection:
        if database.is_postgresql:
            connection.execute(_LOCK, {"workspace_id": workspace_id})
        if connection.execute(_COUNT, {"workspace_id": workspace_id}).scalar_one() >= most:
            raise TooManyAppsError
        connection.execute(_INSERT, {"workspace_id": workspace_id, **_values(app)})


def change(database: Database, workspace_id: int, app_id: str, values: Mapping[str, Any]) -> bool:
    """Change some of an app's fields. False when there is none of this id."""
    written = {name: _stored(value) for name, value in values.items()}
    if not written.keys() <= set(_CHANGEABLE):
        raise ValueError("no such field")
    assigned = ", ".join(f"{name} = :{name}" for name in written)
    with database.write() as connection:
        found = connection.execute(
            text(f"update app set {assigned} where workspace_id = :workspace_id and id = :id"),
            {"workspace_id": workspace_id, "id": app_id, **written},
        )
        return found.rowcount > 0


def listed(database: Database, workspace_id: int) -> list[App]:
    """All apps of a workspace, the oldest first."""
    with database.read() as connection:
        return [_app(row) for row in connection.execute(_LISTED, {"workspace_id": workspace_id}).all()]


def ids(connection: Connection, workspace_id: int) -> list[str]:
    """The ids of all apps of a workspace."""
    return list(connection.execute(_IDS, {"workspace_id": workspace_id}).scalars())


def find(database: Database, workspace_id: int, ids: Iterable[str]) -> dict[str, App]:
    """Apps by id, as far as there are any."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    with database.read() as connection:
        return {row.id: _app(row) for row in _FIND.run(connection, workspace_id, wanted)}


def by_sdk_key(database: Database, sdk_key: str) -> tuple[int, App] | None:
    """(workspace, app) of an SDK key."""
    with database.read() as connection:
        row = connection.execute(_BY_KEY, {"sdk_key": sdk_key}).one_or_none()
    return None if row is None else (row.workspace_id, _app(row))


def _values(app: App) -> dict[str, Any]:
    return {name: _stored(getattr(app, name)) for name in _NAMES}


def _stored(value: Any) -> Any:
    """A value as the driver takes it: documents as text."""
    return msgspec.json.encode(value).decode() if isinstance(value, (list, tuple, dict)) else value


def _app(row: Any) -> App:
    return App(
        id=row.id,
        name=row.name,
        platform=row.platform,
        sdk_key=row.sdk_key,
        created_us=row.created_us,
        allowed_origins=tuple(_document(row.allowed_origins)),
        sdk_authentication=bool(row.sdk_authentication),
        public_keys=tuple(_document(row.public_keys)),
        disabled=bool(row.disabled),
    )


def _document(stored: Any) -> Any:
    """A document as the driver gives it: text on SQLite."""
    return msgspec.json.decode(stored) if isinstance(stored, str) else stored
