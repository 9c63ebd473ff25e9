"""Workspaces and their settings."""

import secrets
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from app.store import lane
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.tables import Workspace, WorkspaceDeletion

#: Onefold's own workspace, see app.services.canary.
CANARY: Final = "onefold canary"
_ANY_LEGACY = text("select 1 from workspace where legacy_api_key_auth limit 1")
_NEXT_NUMBER = text(
    "select 1 + max(coalesce((select max(id) from workspace), 0),"
    " coalesce((select max(workspace_id) from workspace_deletion), 0))"
)
_DELETED: Final = select(WorkspaceDeletion.workspace_id)
_NAME = text("select name from workspace where id = :id")
_SECRET = text("select secret from workspace where id = :id")


class NameTakenError(ValueError):
    """Another workspace or key has this name."""


class UnknownNameError(LookupError):
    """No workspace or key has this name."""


def create(
    database: Database,
    name: str,
    plan: str,
    now_us: int,
    **limits: Any,
) -> Workspace:
    """A new workspace with its counters and its lane. `limits` are further columns of it. Raises NameTakenError."""
    with database.write() as connection, Session(connection) as session:
        if session.exec(select(Workspace).where(Workspace.name == name)).first() is not None:
            raise NameTakenError(name)
        workspace = Workspace(
            name=name,
            plan=plan,
            secret=secret_of_ids(),
            created_us=now_us,
            **limits,
        )
        if not database.is_postgresql:  # which never gives out a number again
            workspace.id = next_number(connection)
        session.add(workspace)
        try:
            session.flush()
        except IntegrityError:  # somebody else took the name since
            raise NameTakenError(name) from None
        session.refresh(workspace)
        session.expunge(workspace)
        workspace_id = number(workspace)
        lane.create(connection, workspace_id)
        if database.is_postgresql:
            inbox.create_heads(connection, workspace_id)
        else:  # before the commit: a workspace without them would take no request, whoever dies in between
            with database.write(database.inbox) as inbox_connection:
                inbox.create_heads(inbox_connection, workspace_id)
    return workspace


def secret_of_ids() -> bytes:
    """A new key of the ids that Onefold makes for a workspace."""
    return secrets.token_bytes(32)


def next_number(connection: Connection) -> int:
    """SQLite: a number that no workspace ever had."""
    return int(connection.execute(_NEXT_NUMBER).scalar_one())


def create_once(database: Database, name: str, plan: str, now_us: int) -> Workspace:
    """A new workspace, or the one that another process has made meanwhile."""
    try:
        return create(database, name, plan, now_us)
    except NameTakenError:
        return get(database, name)


def number(workspace: Workspace) -> int:
    """The id of a stored workspace."""
    if workspace.id is None:
        raise ValueError("the workspace is not stored")
    return workspace.id


def canary(database: Database, now_us: int) -> int:
    """The number of Onefold's own workspace, which is made when it is not there yet."""
    try:
        return number(get(database, CANARY))
    except UnknownNameError:
        return number(create_once(database, CANARY, "legacy", now_us))


def listed(database: Database) -> list[Workspace]:
    """All workspaces by name, without our own and those that are being deleted."""
    with database.read() as connection, Session(connection) as session:
        ours = select(Workspace).where(Workspace.name != CANARY, col(Workspace.id).not_in(_DELETED))
        workspaces = list(session.exec(ours.order_by(col(Workspace.name))))
        session.expunge_all()
        return workspaces


def reachable(database: Database) -> list[Workspace]:
    """As `listed`, without those whose node is away: for work on each of them."""
    return [workspace for workspace in listed(database) if not database.is_away(number(workspace))]


def get(database: Database, name: str) -> Workspace:
    """A workspace by name. Raises UnknownNameError, also for one that is being deleted."""
    with database.read() as connection, Session(connection) as session:
        named = select(Workspace).where(Workspace.name == name, col(Workspace.id).not_in(_DELETED))
        workspace = session.exec(named).first()
        if workspace is None:
            raise UnknownNameError(name)
        session.expunge(workspace)
        return workspace


def update(database: Database, name: str, values: dict[str, object]) -> Workspace:
    """Overwrite fields of a workspace. Raises UnknownNameError."""
    with database.write() as connection, Session(connection) as session:
        workspace = session.exec(select(Workspace).where(Workspace.name == name)).first()
        if workspace is None:
            raise UnknownNameError(name)
        for field, value in values.items():
            setattr(workspace, field, value)
        session.add(workspace)
        session.flush()
        session.refresh(workspace)
        session.expunge(workspace)
        return workspace


def change_limits(
    database: Database,
    workspace_id: int,
    values: dict[str, Any],
    groups: dict[str, Any],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Overwrite limits of a workspace; `groups` are merged into its group_limits, None takes one out.

    `check` is called while nobody else can change them, and may raise. Raises UnknownNameError.
    """
    with database.write() as connection, Session(connection) as session:
        workspace = session.exec(select(Workspace).where(Workspace.id == workspace_id).with_for_update()).first()
        if workspace is None:
            raise UnknownNameError(workspace_id)
        check()
        merged = workspace.group_limits | groups
        values = values | {"group_limits": {name: limit for name, limit in merged.items() if limit is not None}}
        for field_, value in values.items():
            setattr(workspace, field_, value)
        session.add(workspace)
        session.flush()


def name_of(connection: Connection, workspace_id: int) -> str:
    """The name of a workspace; "" when there is none of this number."""
    return str(connection.execute(_NAME, {"id": workspace_id}).scalar() or "")


def any_legacy(database: Database) -> bool:
    """Whether any workspace takes keys in bodies and query strings."""
    with database.read() as connection:
        return connection.execute(_ANY_LEGACY).first() is not None


def secret(database: Database, workspace_id: int) -> bytes:
    """The key of the ids that Onefold makes for this workspace. Raises UnknownNameError."""
    with database.read() as connection:
        key = connection.execute(_SECRET, {"id": workspace_id}).scalar()
    if key is None:
        raise UnknownNameError(workspace_id)
    return bytes(key)
