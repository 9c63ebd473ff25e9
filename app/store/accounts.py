"""Accounts of the console, what each may do where, and who is logged in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from app.domain.times import DAY
from app.store.engine import Database
from app.store.workspaces import NameTakenError, UnknownNameError

#: Stands for all workspaces.
EVERYWHERE: Final = 0
#: A session ends so long after its log-in, however much it is used.
LONGEST_SESSION_US: Final = 7 * DAY

_FIND = text("select name, password, created_us from console_account where name = :name")
_ALL = text("select name, password, created_us from console_account order by name")
_ROLES = text("select workspace_id, role from console_role where account = :account order by workspace_id")
_ALL_ROLES = text("select account, workspace_id, role from console_role order by account, workspace_id")
_ADD = text("insert into console_account (name, password, created_us) values (:name, :password, :us)")
_SET_PASSWORD = text("update console_account set password = :password where name = :name")
_SET_ROLE = text(
    "insert into console_role (workspace_id, account, role) values (:workspace_id, :account, :role)"
    " on conflict (workspace_id, account) do update set role = excluded.role"
)
_TAKE_ROLE = text("delete from console_role where workspace_id = :workspace_id and account = :account")
_DELETE = (
    text("delete from console_session where account = :account"),
    text("delete from console_role where account = :account"),
    text("delete from console_account where name = :account"),
)
_BEGIN = text("insert into console_session (digest, account, created_us, seen_us) values (:digest, :account, :us, :us)")
_NEWEST = text(
    "delete from console_session where account = :account and digest not in"
    " (select digest from console_session where account = :account order by created_us desc, digest limit :most)"
)
_SESSION = text("select account, created_us, seen_us from console_session where digest = :digest")
_SEE = text("update console_session set seen_us = :us where digest = :digest and seen_us < :us")
_END = text("delete from console_session where digest = :digest")
_END_ALL = text("delete from console_session where account = :account")
_EXPIRE = text("delete from console_session where seen_us < :seen_us or created_us < :created_us")


@dataclass(frozen=True, slots=True)
class Account:
    """Who may log in. `password` is salted and hashed; `roles` are by workspace, and by EVERYWHERE."""

    name: str
    password: str = field(repr=False)
    created_us: int
    roles: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is logged in. `seen_us` is right to the minute."""

    account: str
    created_us: int
    seen_us: int
    roles: Mapping[int, str]


def listed(database: Database) -> list[Account]:
    """All accounts by name."""
    with database.read() as connection:
        roles: dict[str, dict[int, str]] = {}
        for account, workspace_id, role in connection.execute(_ALL_ROLES):
            roles.setdefault(account, {})[workspace_id] = role
        return [
            Account(row.name, row.password, row.created_us, roles.get(row.name, {})) for row in connection.execute(_ALL)
        ]


def find(database: Database, name: str) -> Account | None:
    with database.read() as connection:
        row = connection.execute(_FIND, {"name": name}).one_or_none()
        return None if row is None else Account(row.name, row.password, row.created_us, _roles(connection, name))


def create(database: Database, name: str, password: str, roles: Mapping[int, str], now_us: int) -> None:
    """Raises NameTakenError."""
    try:
        with database.write() as connection:
            connection.execute(_ADD, {"name": name, "password": password, "us": now_us})
            for workspace_id, role in roles.items():
                connection.execute(_SET_ROLE, {"workspace_id": workspace_id, "account": name, "role": role})
    except IntegrityError:
        raise NameTakenError(name) from None


def set_password(database: Database, name: str, password: str) -> None:
    """Another password; whoever is logged in with the one before is no more. Raises UnknownNameError."""
    with database.write() as connection:
        if not connection.execute(_SET_PASSWORD, {"name": name, "password": password}).rowcount:
            raise UnknownNameError(name)
        connection.execute(_END_ALL, {"account": name})


def set_role(database: Database, name: str, workspace_id: int, role: str | None) -> None:
    """None takes the role away. Raises UnknownNameError."""
    values = {"workspace_id": workspace_id, "account": name}
    with database.write() as connection:
        if connection.execute(_FIND, {"name": name}).one_or_none() is None:
            raise UnknownNameError(name)
        if role is None:
            connection.execute(_TAKE_ROLE, values)
        else:
            connection.execute(_SET_ROLE, {**values, "role": role})


def delete(database: Database, name: str) -> None:
    """With its roles and sessions. Raises UnknownNameError."""
    with database.write() as connection:
        if not [connection.execute(statement, {"account": name}).rowcount for statement in _DELETE][-1]:
            raise UnknownNameError(name)


def begin_session(database: Database, digest: bytes, account: str, now_us: int, most: int) -> None:
    """Log a browser in. The account keeps its `most` newest sessions."""
    with database.write() as connection:
        connection.execute(_BEGIN, {"digest": digest, "account": account, "us": now_us})
        connection.execute(_NEWEST, {"account": account, "most": most})


def find_session(database: Database, digest: bytes) -> Session | None:
    with database.read() as connection:
        row = connection.execute(_SESSION, {"digest": digest}).one_or_none()
        return (
            None if row is None else Session(row.account, row.created_us, row.seen_us, _roles(connection, row.account))
        )


def see_session(database: Database, digest: bytes, now_us: int) -> None:
    """Remember that a session was used."""
    with database.write() as connection:
        connection.execute(_SEE, {"digest": digest, "us": now_us})


def end_session(database: Database, digest: bytes) -> None:
    with database.write() as connection:
        connection.execute(_END, {"digest": digest})


def expire_sessions(database: Database, seen_us: int, created_us: int) -> int:
    """End sessions that were seen, or made, before these times; how many there were."""
    with database.write() as connection:
        return connection.execute(_EXPIRE, {"seen_us": seen_us, "created_us": created_us}).rowcount


def _roles(connection: Connection, name: str) -> dict[int, str]:
    return {row.workspace_id: row.role for row in connection.execute(_ROLES, {"account": name})}
