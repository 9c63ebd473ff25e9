"""Lists of addresses, once what was accepted before is applied."""

from collections.abc import Callable
from dataclasses import dataclass

from app.contract.address_lists import Kind, Listed, Page
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.reading import Reader
from app.store import address_lists as store
from app.store.engine import Database


@dataclass(frozen=True, slots=True)
class Addresses:
    """A page of a list."""

    listed: list[Listed]
    #: Some of what was accepted before is not in it yet.
    stale: bool


class AddressLists:
    """One per API process."""

    def __init__(self, database: Database, reader: Reader, calls: StoreCalls, now_us: Callable[[], int]) -> None:
        self._database = database
        self._reader = reader
        self._calls = calls
        self._now_us = now_us

    async def page(self, caller: Caller, kind: Kind, page: Page) -> Addresses:
        """A page of a list. Raises UnavailableError."""
        stale = await self._reader.catch_up(caller.workspace_id)
        return Addresses(await self._calls.run(lambda: self._page(caller.workspace_id, kind, page)), stale)

    def _page(self, workspace_id: int, kind: Kind, page: Page) -> list[Listed]:
        with self._database.read() as connection:
            rows = store.page(
                connection,
                workspace_id,
                kind.channel,
                kind.topic,
                first_us=page.first_us,
                end_us=page.end_us,
                now_us=self._now_us(),
                addresses=page.addresses,
                state=page.reason,
                ascending=page.ascending,
                limit=page.limit,
                offset=page.offset,
            )
        return [Listed(*row) for row in rows]
