"""Workspaces and their API keys."""

import secrets
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec
from sqlalchemy import text
from sqlmodel import Session, col, select

from app.store import inbox, lane
from app.store.engine import Database
from app.store.tables import ApiKey, Workspace

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH: Final = 8
_SECRET_LENGTH: Final = 43  # base 62 digits of 32 random bytes
_CHECKSUM_LENGTH: Final = 6
PREFIX: Final = "onefold"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What the API has to know of a key and its workspace. `digest` is the SHA-256 of the key."""

    workspace_id: int
    workspace_name: str
    workspace_secret: bytes
    key_id: str
    key_name: str
    digest: bytes
    permissions: frozenset[str]
    plan: str
    hourly_limit: int | None
    burst_limit: int | None
    burst_window_seconds: int | None


def new_key() -> str:
    """`onefold_<id>_<secret><checksum>`: scanners recognise it, and a mistyped key is refused without a look-up."""
    body = "_".join((PREFIX, _random(_ID_LENGTH), _random(_SECRET_LENGTH)))
    return body + _checksum(body)


def key_id(key: str) -> str | None:
    """The public id inside a well-formed key, None when the text cannot be one of our keys."""
    if not key.isascii() or len(key) != len(PREFIX) + _ID_LENGTH + _SECRET_LENGTH + _CHECKSUM_LENGTH + 2:
        return None
    parts = key.split("_")
    if len(parts) != 3 or parts[0] != PREFIX or len(parts[1]) != _ID_LENGTH:
        return None
    return parts[1] if _checksum(key[:-_CHECKSUM_LENGTH]) == key[-_CHECKSUM_LENGTH:] else None


def digest(key: str) -> bytes:
    """What is stored of a key. It has 256 random bits, so a slow hash would only help an attacker who floods us."""
    return sha256(key.encode()).digest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


class NameTakenError(ValueError):
    """Another workspace or key has this name."""


class UnknownNameError(LookupError):
    """No workspace or key has this name."""


_KEY = text(
    """
    select w.id, w.name, w.secret, k.key_id, k.name as key_name, k.digest, k.permissions, w.plan, w.hourly_limit,
           w.burst_limit, w.burst_window_seconds
    from api_key k join workspace w on w.id = k.workspace_id
    where k.key_id = :key_id and k.revoked_us is null
    """
)


def create(
    database: Database,
    name: str,
    plan: str,
    now_us: int,
    *,
    hourly_limit: int | None = None,
    burst_limit: int | None = None,
    burst_window_seconds: int | None = None,
) -> Workspace:
    """A new workspace with its counters and its lane. Raises NameTakenError."""
    with database.write() as connection, Session(connection) as session:
        if session.exec(select(Workspace).where(Workspace.name == name)).first() is not None:
            raise NameTakenError(name)
        workspace = Workspace(
            name=name,
            plan=plan,
            hourly_limit=hourly_limit,
            burst_limit=burst_limit,
            burst_window_seconds=burst_window_seconds,
            secret=secrets.token_bytes(32),
            created_us=now_us,
        )
        session.add(workspace)
        session.flush()
        session.refresh(workspace)
        session.expunge(workspace)
        workspace_id = number(workspace)
        lane.create(connection, workspace_id)
        if database.is_postgresql:
            inbox.create_heads(connection, workspace_id)
    if not database.is_postgresql:
        with database.write(database.inbox) as connection:
            inbox.create_heads(connection, workspace_id)
    return workspace


def number(workspace: Workspace) -> int:
    """The id of a stored workspace."""
    if workspace.id is None:
        raise ValueError("the workspace is not stored")
    return workspace.id


def listed(database: Database) -> list[Workspace]:
    """All workspaces by name."""
    with database.read() as connection, Session(connection) as session:
        found = list(session.exec(select(Workspace).order_by(col(Workspace.name))))
        session.expunge_all()
        return found


def get(database: Database, name: str) -> Workspace:
    """A workspace by name. Raises UnknownNameError."""
    with database.read() as connection, Session(connection) as session:
        found = session.exec(select(Workspace).where(Workspace.name == name)).first()
        if found is None:
            raise UnknownNameError(name)
        session.expunge(found)
        return found


def update(database: Database, name: str, values: dict[str, object]) -> Workspace:
    """Overwrite fields of a workspace. Raises UnknownNameError."""
    with database.write() as connection, Session(connection) as session:
        found = session.exec(select(Workspace).where(Workspace.name == name)).first()
        if found is None:
            raise UnknownNameError(name)
        for field, value in values.items():
            setattr(found, field, value)
        session.add(found)
        session.flush()
        session.refresh(found)
        session.expunge(found)
        return found


def create_key(database: Database, workspace_id: int, name: str, permissions: Iterable[str], now_us: int) -> str:
    """A new key, returned once and stored as a digest. Raises NameTakenError."""
    key = new_key()
    identifier = key_id(key)
    with database.write() as connection, Session(connection) as session:
        same = select(ApiKey).where(
            ApiKey.workspace_id == workspace_id, ApiKey.name == name, col(ApiKey.revoked_us).is_(None)
        )
        if session.exec(same).first() is not None:
            raise NameTakenError(name)
        session.add(
            ApiKey(
                workspace_id=workspace_id,
                key_id=identifier or "",
                name=name,
                digest=digest(key),
                permissions=sorted(permissions),
                created_us=now_us,
            )
        )
        session.flush()
    return key


def keys(database: Database, workspace_id: int) -> list[ApiKey]:
    """All keys of a workspace, revoked ones included, oldest first."""
    with database.read() as connection, Session(connection) as session:
        statement = select(ApiKey).where(ApiKey.workspace_id == workspace_id).order_by(col(ApiKey.created_us))
        found = list(session.exec(statement))
        session.expunge_all()
        return found


def revoke_key(database: Database, workspace_id: int, name: str, now_us: int) -> None:
    """Stop a key from working. Raises UnknownNameError. Requests accepted before still run."""
    with database.write() as connection, Session(connection) as session:
        same = select(ApiKey).where(
            ApiKey.workspace_id == workspace_id, ApiKey.name == name, col(ApiKey.revoked_us).is_(None)
        )
        found = session.exec(same).first()
        if found is None:
            raise UnknownNameError(name)
        found.revoked_us = now_us
        session.add(found)
        session.flush()


def find_key(database: Database, identifier: str) -> KeyRecord | None:
    """The live key with this public id."""
    with database.read() as connection:
        row = connection.execute(_KEY, {"key_id": identifier}).one_or_none()
    if row is None:
        return None
    permissions = msgspec.json.decode(row.permissions) if isinstance(row.permissions, str) else row.permissions
    return KeyRecord(
        workspace_id=row.id,
        workspace_name=row.name,
        workspace_secret=bytes(row.secret),
        key_id=row.key_id,
        key_name=row.key_name,
        digest=bytes(row.digest),
        permissions=frozenset(permissions),
        plan=row.plan,
        hourly_limit=row.hourly_limit,
        burst_limit=row.burst_limit,
        burst_window_seconds=row.burst_window_seconds,
    )


def secret(database: Database, workspace_id: int) -> bytes:
    """The key of the ids that Onefold makes for this workspace. Raises UnknownNameError."""
    with database.read() as connection:
        found = connection.execute(text("select secret from workspace where id = :id"), {"id": workspace_id}).scalar()
    if found is None:
        raise UnknownNameError(workspace_id)
    return bytes(found)
