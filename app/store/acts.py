"""What accounts of the console did: written before it is done, and completed by what came of it."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from app.store.engine import Database

_BEGIN: Final = text(
    "insert into console_act (us, account, workspace_id, act, target, address)"
    " values (:us, :account, :workspace_id, :act, :target, :address) returning id"
)
_FINISH: Final = text("update console_act set status = :status, target = :target where id = :id")
_COLUMNS: Final = "select id, us, account, workspace_id, act, target, address, status from console_act"
_OF_WORKSPACE: Final = text(
    f"{_COLUMNS} where workspace_id = :workspace_id and id < :before order by id desc limit :most"
)
_OF_ALL: Final = text(f"{_COLUMNS} where id < :before order by id desc limit :most")
_OLD: Final = text("delete from console_act where id in (select id from console_act where us < :us limit :most)")
_OVER: Final = text(
    "delete from console_act where id in (select id from console_act where id <="
    " (select id from console_act order by id desc limit 1 offset :kept) order by id limit :most)"
)
#: Of one transaction.
_CHUNK: Final = 5_000
_ANY_ID: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Act:
    """An act as it was done. `status` is None while it is under way, or when the process died in it."""

    id: int
    us: int
    account: str
    workspace_id: int
    act: str
    target: str
    address: str
    status: int | None


def begin(database: Database, us: int, account: str, workspace_id: int, act: str, address: str) -> int:
    """Write an act down; its number."""
    values = {"us": us, "account": account, "workspace_id": workspace_id, "act": act, "address": address}
    with database.write() as connection:
        return int(connection.execute(_BEGIN, {**values, "target": ""}).scalar_one())


def finish(database: Database, number: int, status: int, target: str) -> None:
    """Say what came of an act."""
    with database.write() as connection:
        connection.execute(_FINISH, {"id": number, "status": status, "target": target})


def listed(database: Database, workspace_id: int | None, before: int | None, most: int) -> list[Act]:
    """The newest first; `before` a number. `workspace_id` None: of all workspaces and of the installation."""
    values = {"before": _ANY_ID if before is None else before, "most": most}
    with database.read() as connection:
        if workspace_id is None:
            return [Act(*row) for row in connection.execute(_OF_ALL, values)]
        return [Act(*row) for row in connection.execute(_OF_WORKSPACE, {**values, "workspace_id": workspace_id})]


def trim(database: Database, before_us: int, kept: int) -> int:
    """Drop acts of before a time, and beyond the `kept` newest ones; how many, at most 5,000 of each in one call."""
    with database.write() as connection:
        old = connection.execute(_OLD, {"us": before_us, "most": _CHUNK}).rowcount
        return old + connection.execute(_OVER, {"kept": kept, "most": _CHUNK}).rowcount
