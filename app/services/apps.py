"""Apps: made, changed, listed, and found by the ids that clients send."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from uuid import uuid4

from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.refusals import TooManyAppsError, UnknownAppError
from app.store import apps as store
from app.store.apps import App
from app.store.engine import Database

__all__ = ["App", "Apps", "change", "create", "listed", "rotate"]

#: Apps that a process remembers, of all workspaces. It forgets all of them when there are more.
MAX_REMEMBERED: Final = 10_000


class Apps:
    """One per API process. What it remembers cannot become wrong: an app never goes, nor changes its platform."""

    def __init__(self, database: Database, calls: StoreCalls, now_us: Callable[[], int], most: int) -> None:
        """`most`: apps of a workspace."""
        self._database = database
        self._calls = calls
        self._now_us = now_us
        self._most = most
        self._platforms: dict[tuple[int, str], str] = {}

    async def create(self, caller: Caller, name: str, platform: str, origins: list[str]) -> App:
        """Make an app. Raises TooManyAppsError, UnavailableError."""
        now = self._now_us()
        return await self._calls.run(
            lambda: create(self._database, caller, name, platform, origins, now_us=now, most=self._most)
        )

    async def change(self, caller: Caller, app_id: str, values: Mapping[str, Any]) -> App:
        """Change some of its fields. Raises UnknownAppError, UnavailableError."""
        return await self._calls.run(lambda: change(self._database, caller, app_id, values))

    async def rotate(self, caller: Caller, app_id: str) -> App:
        """Give it another SDK key. Raises UnknownAppError, UnavailableError."""
        return await self._calls.run(lambda: rotate(self._database, caller, app_id))

    async def listed(self, caller: Caller) -> list[App]:
        """All apps, the oldest first. Raises UnavailableError."""
        return await self._calls.run(lambda: listed(self._database, caller))

    async def platforms(self, caller: Caller, ids: Iterable[str]) -> dict[str, str]:
        """{id: platform} of those apps that there are. Raises UnavailableError.

        What this process does not know is looked up, so an app is known at once wherever it was made.
        """
        wanted, workspace_id = {one for one in ids if "\0" not in one}, caller.workspace_id
        known = {one: self._platforms[workspace_id, one] for one in wanted if (workspace_id, one) in self._platforms}
        unknown = wanted - known.keys()
        if unknown:
            found = await self._calls.run(lambda: store.find(self._database, workspace_id, unknown))
            if len(self._platforms) + len(found) > MAX_REMEMBERED:
                self._platforms.clear()
            self._platforms |= {(workspace_id, app.id): app.platform for app in found.values()}
            known |= {app.id: app.platform for app in found.values()}
        return known


def create(
    database: Database, caller: Caller, name: str, platform: str, origins: list[str], *, now_us: int, most: int
) -> App:
    """Make an app, with an id and an SDK key of ours. Raises TooManyAppsError."""
    app = App(str(uuid4()), name, platform, store.new_sdk_key(), now_us, tuple(origins))
    try:
        store.create(database, caller.workspace_id, app, most)
    except store.TooManyAppsError as error:
        raise TooManyAppsError from error
    return app


def change(database: Database, caller: Caller, app_id: str, values: Mapping[str, Any]) -> App:
    """Change some of its fields. Raises UnknownAppError."""
    if not store.change(database, caller.workspace_id, app_id, values):
        raise UnknownAppError
    return store.find(database, caller.workspace_id, [app_id])[app_id]


def rotate(database: Database, caller: Caller, app_id: str) -> App:
    """Give an app another SDK key; the one before works no more. Raises UnknownAppError."""
    return change(database, caller, app_id, {"sdk_key": store.new_sdk_key()})


def listed(database: Database, caller: Caller) -> list[App]:
    """All apps of a workspace, the oldest first."""
    return store.listed(database, caller.workspace_id)
