"""Subscription groups: made, renamed, listed, and found by the ids that clients send."""

from collections.abc import Callable, Iterable
from typing import Final
from uuid import uuid4

from app.contract.subscription_groups import CHANNELS
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.refusals import GroupTakenError, TooManyGroupsError, UnknownGroupError
from app.store import subscription_groups as store
from app.store.engine import Database
from app.store.subscription_groups import Group

__all__ = ["Group", "SubscriptionGroups", "create", "listed", "rename"]

#: Groups that a process remembers, of all workspaces. It forgets all of them when there are more.
MAX_REMEMBERED: Final = 10_000


class SubscriptionGroups:
    """One per API process. What it remembers cannot become wrong: a group never goes, nor changes its channel."""

    def __init__(self, database: Database, calls: StoreCalls, now_us: Callable[[], int], most: int) -> None:
        """`most`: groups of a workspace."""
        self._database = database
        self._calls = calls
        self._now_us = now_us
        self._most = most
        self._channels: dict[tuple[int, str], int] = {}

    async def create(self, caller: Caller, name: str, channel: str, group_id: str | None) -> Group:
        """Make a group. Raises GroupTakenError, TooManyGroupsError, UnavailableError."""
        now = self._now_us()
        return await self._calls.run(
            lambda: create(self._database, caller, name, channel, group_id, now_us=now, most=self._most)
        )

    async def rename(self, caller: Caller, group_id: str, name: str) -> Group:
        """Raises UnknownGroupError, UnavailableError."""
        return await self._calls.run(lambda: rename(self._database, caller, group_id, name))

    async def listed(self, caller: Caller) -> list[Group]:
        """All groups, the oldest first. Raises UnavailableError."""
        return await self._calls.run(lambda: listed(self._database, caller))

    async def channels(self, caller: Caller, ids: Iterable[str]) -> dict[str, int]:
        """{id: channel} of those groups that there are. Raises UnavailableError.

        What this process does not know is looked up, so a group is known at once wherever it was made.
        """
        wanted, workspace_id = set(ids), caller.workspace_id
        unknown = {one for one in wanted if (workspace_id, one) not in self._channels}
        if unknown:
            found = await self._calls.run(lambda: store.find(self._database, workspace_id, unknown))
            if len(self._channels) + len(found) > MAX_REMEMBERED:
                self._channels.clear()
            self._channels |= {(workspace_id, group.id): CHANNELS[group.channel] for group in found.values()}
            known = {group.id: CHANNELS[group.channel] for group in found.values()}
        else:
            known = {}
        remembered = {one: self._channels[workspace_id, one] for one in wanted if (workspace_id, one) in self._channels}
        return remembered | known


def create(
    database: Database, caller: Caller, name: str, channel: str, group_id: str | None, *, now_us: int, most: int
) -> Group:
    """Make a group, with an id of ours where none is given. Raises GroupTakenError, TooManyGroupsError."""
    group = Group(group_id or str(uuid4()), name, channel, now_us)
    try:
        store.create(database, caller.workspace_id, group, most)
    except store.GroupTakenError as error:
        raise GroupTakenError from error
    except store.TooManyGroupsError as error:
        raise TooManyGroupsError from error
    return group


def rename(database: Database, caller: Caller, group_id: str, name: str) -> Group:
    """Give a group another name. Raises UnknownGroupError."""
    if not store.rename(database, caller.workspace_id, group_id, name):
        raise UnknownGroupError
    return store.find(database, caller.workspace_id, [group_id])[group_id]


def listed(database: Database, caller: Caller) -> list[Group]:
    """All groups of a workspace, the oldest first."""
    return store.listed(database, caller.workspace_id)
