"""API keys of workspaces: how they are made, and what the API has to know of one."""

import secrets
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import msgspec
from sqlalchemy import text
from sqlmodel import Session, col, select

from app.store.engine import Database
from app.store.tables import ApiKey, Workspace
from app.store.workspaces import NameTakenError, UnknownNameError

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH: Final = 8
_SECRET_LENGTH: Final = 43  # base 62 digits of 32 random bytes
_CHECKSUM_LENGTH: Final = 6
PREFIX: Final = "onefold"

_LIMITS: Final = """
    w.id, w.name, w.secret, w.plan, w.hourly_limit, w.burst_limit, w.burst_window_seconds, w.max_objects_combined,
    w.max_objects_per_array, w.hourly_refill, w.track_reset_style, w.group_limits, w.options, w.legacy_api_key_auth,
    w.disabled, exists (select 1 from workspace_deletion d where d.workspace_id = w.id) as deleted,
    c.id as company_id, c.hourly_limit as company_hourly, c.burst_limit as company_burst,
    c.burst_window_seconds as company_window, c.hourly_refill as company_refill
    """
_KEY = text(
    f"""
    select {_LIMITS}, k.key_id, k.name as key_name, k.digest, k.permissions, k.ip_allowlist, k.expires_us,
           k.last_seen_us
    from api_key k join workspace w on w.id = k.workspace_id left join company c on c.id = w.company_id
    where k.key_id = :key_id and k.revoked_us is null
    """
)
_WORKSPACE = text(f"select {_LIMITS} from workspace w left join company c on c.id = w.company_id where w.id = :id")
_LIVE_IDS = text("select key_id from api_key where revoked_us is null")
_SEEN = text(
    "update api_key set last_seen_us = :now_us"
    " where key_id = :key_id and (last_seen_us is null or last_seen_us < :now_us)"
)


@dataclass(frozen=True, slots=True)
class CompanyLimits:
    """What the workspaces of a company may use together; None = no such limit."""

    company_id: int
    hourly_limit: int | None
    burst_limit: int | None
    burst_window_seconds: int
    hourly_refill: str


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
    max_objects_combined: int | None = None
    max_objects_per_array: int | None = None
    hourly_refill: str = "continuous"
    track_reset_style: str = "epoch"
    #: {group: [requests, seconds]}; {"track-bulk": "plan"}.
    group_limits: dict[str, Any] = field(default_factory=dict, hash=False)
    #: As in the table.
    options: dict[str, Any] = field(default_factory=dict, hash=False)
    company: CompanyLimits | None = None
    legacy_api_key_auth: bool = False
    disabled: bool = False
    #: It is being deleted.
    deleted: bool = False
    #: Networks; empty = any address.
    ip_allowlist: tuple[str, ...] = ()
    expires_us: int | None = None
    last_seen_us: int | None = None


def new() -> str:
    """`onefold_<id>_<secret><checksum>`: scanners recognise it, and a mistyped key is refused without a look-up."""
    body = "_".join((PREFIX, _random(_ID_LENGTH), _random(_SECRET_LENGTH)))
    return body + _checksum(body)


def public_id(key: str) -> str | None:
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


def create(
    database: Database,
    workspace_id: int,
    name: str,
    permissions: Iterable[str],
    now_us: int,
    *,
    ip_allowlist: Iterable[str] = (),
    expires_us: int | None = None,
    created_by: str = "",
) -> str:
    """A new key, returned once and stored as a digest. Raises NameTakenError."""
    key = new()
    key_id = public_id(key)
    with database.write() as connection, Session(connection) as session:
        # One maker of keys of a workspace at a time: two could not see each other's name.
        session.exec(select(Workspace.id).where(Workspace.id == workspace_id).with_for_update()).first()
        same = select(ApiKey).where(
            ApiKey.workspace_id == workspace_id, ApiKey.name == name, col(ApiKey.revoked_us).is_(None)
        )
        if session.exec(same).first() is not None:
            raise NameTakenError(name)
        session.add(
            ApiKey(
                workspace_id=workspace_id,
                key_id=key_id or "",
                name=name,
                digest=digest(key),
                permissions=sorted(permissions),
                created_us=now_us,
                ip_allowlist=list(ip_allowlist),
                expires_us=expires_us,
                created_by=created_by,
            )
        )
        session.flush()
    return key


def listed(database: Database, workspace_id: int) -> list[ApiKey]:
    """All keys of a workspace, revoked ones included, oldest first."""
    with database.read() as connection, Session(connection) as session:
        statement = select(ApiKey).where(ApiKey.workspace_id == workspace_id).order_by(col(ApiKey.created_us))
        keys = list(session.exec(statement))
        session.expunge_all()
        return keys


def revoke(database: Database, workspace_id: int, name: str, now_us: int) -> None:
    """Stop a key from working. Raises UnknownNameError. Requests accepted before still run."""
    with database.write() as connection, Session(connection) as session:
        same = select(ApiKey).where(
            ApiKey.workspace_id == workspace_id, ApiKey.name == name, col(ApiKey.revoked_us).is_(None)
        )
        key = session.exec(same).first()
        if key is None:
            raise UnknownNameError(name)
        key.revoked_us = now_us
        session.add(key)
        session.flush()


def find(database: Database, key_id: str) -> KeyRecord | None:
    """The live key with this public id."""
    with database.read() as connection:
        row = connection.execute(_KEY, {"key_id": key_id}).one_or_none()
    if row is None:
        return None
    return _record(
        row,
        key_id=row.key_id,
        key_name=row.key_name,
        digest=bytes(row.digest),
        permissions=frozenset(_json(row.permissions)),
        ip_allowlist=tuple(_json(row.ip_allowlist)),
        expires_us=row.expires_us,
        last_seen_us=row.last_seen_us,
    )


def of_workspace(database: Database, workspace_id: int) -> KeyRecord:
    """A workspace with its limits, as a key of it would have them; there is no key. Raises UnknownNameError."""
    with database.read() as connection:
        row = connection.execute(_WORKSPACE, {"id": workspace_id}).one_or_none()
    if row is None:
        raise UnknownNameError(workspace_id)
    return _record(row, key_id="", key_name="", digest=b"", permissions=frozenset())


def _record(row: Any, **key: Any) -> KeyRecord:
    company = None
    if row.company_id is not None:
        company = CompanyLimits(
            row.company_id, row.company_hourly, row.company_burst, row.company_window, row.company_refill
        )
    return KeyRecord(
        workspace_id=row.id,
        workspace_name=row.name,
        workspace_secret=bytes(row.secret),
        plan=row.plan,
        hourly_limit=row.hourly_limit,
        burst_limit=row.burst_limit,
        burst_window_seconds=row.burst_window_seconds,
        max_objects_combined=row.max_objects_combined,
        max_objects_per_array=row.max_objects_per_array,
        hourly_refill=row.hourly_refill,
        track_reset_style=row.track_reset_style,
        group_limits=_json(row.group_limits),
        options=_json(row.options),
        company=company,
        legacy_api_key_auth=bool(row.legacy_api_key_auth),
        disabled=bool(row.disabled),
        deleted=bool(row.deleted),
        **key,
    )


def _json(stored: Any) -> Any:
    """A document as the driver gives it: text on SQLite."""
    return msgspec.json.decode(stored) if isinstance(stored, str) else stored


def live_ids(database: Database) -> frozenset[str]:
    """The public ids of all keys that are not revoked."""
    with database.read() as connection:
        return frozenset(connection.execute(_LIVE_IDS).scalars())


def see(database: Database, key_id: str, now_us: int) -> None:
    """Remember that a key was used."""
    with database.write() as connection:
        connection.execute(_SEEN, {"key_id": key_id, "now_us": now_us})
