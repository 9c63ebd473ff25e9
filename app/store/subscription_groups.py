"""Subscription groups of workspaces."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.store.engine import Database
from app.store.profiles.queries import Query

_COLUMNS = "id, name, channel, created_us"
_LISTED = text(f"select {_COLUMNS} from subscription_group where workspace_id = :workspace_id order by created_us, id")
_FIND = Query("subscription_group", "t.id, t.name, t.channel, t.created_us", "t.id = {one}")
_COUNT = text("select count(*) from subscription_group where workspace_id = :workspace_id")
#: Makers of groups of one workspace wait for each other, so that the bound holds.
_LOCK = text("select pg_advisory_xact_lock(:workspace_id, 0)")
_INSERT = text(
    "insert into subscription_group (workspace_id, id, name, channel, created_us)"
    " values (:workspace_id, :id, :name, :channel, :created_us)"
)
_RENAME = text("update subscription_group set name = :name where workspace_id = :workspace_id and id = :id")


class GroupTakenError(ValueError):
    """Another group has this id."""


class TooManyGroupsError(ValueError):
    """The workspace has as many groups as it may have."""


@dataclass(frozen=True, slots=True)
class Group:
    """A subscription group. `channel` is email, sms or whatsapp, and never changes."""

    id: str
    name: str
    channel: str
    created_us: int


def create(database: Database, workspace_id: int, group: Group, most: int) -> None:
    """Make a group. Raises GroupTakenError, or TooManyGroupsError when there are `most`."""
    try:
        with database.write() as connection:
            if database.is_postgresql:
                connection.execute(_LOCK, {"workspace_id": workspace_id})
            if connection.execute(_COUNT, {"workspace_id": workspace_id}).scalar_one() >= most:
                raise TooManyGroupsError
            values = {"id": group.id, "name": group.name, "channel": group.channel, "created_us": group.created_us}
            connection.execute(_INSERT, {"workspace_id": workspace_id, **values})
    except IntegrityError as error:
        raise GroupTakenError(group.id) from error


def rename(database: Database, workspace_id: int, group_id: str, name: str) -> bool:
    """Give a group another name. False when there is none of this id."""
    with database.write() as connection:
        values = {"workspace_id": workspace_id, "id": group_id, "name": name}
        return connection.execute(_RENAME, values).rowcount > 0


def listed(database: Database, workspace_id: int) -> list[Group]:
    """All groups of a workspace, the oldest first."""
    with database.read() as connection:
        return [Group(*row) for row in connection.execute(_LISTED, {"workspace_id": workspace_id})]


def find(database: Database, workspace_id: int, ids: Iterable[str]) -> dict[str, Group]:
    """Groups by id, as far as there are any."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    with database.read() as connection:
        return {row[1]: Group(*row[1:]) for row in _FIND.run(connection, workspace_id, wanted)}
