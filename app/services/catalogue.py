"""The names of a workspace's events, attributes and products, as the contract lists them."""

from functools import partial

from app.contract.catalogue import NAMES_PAGE, PAGE, Names
from app.services.caller import Caller
from app.services.reading import Reader, Seen
from app.store import lane, names
from app.store.engine import Database


class Catalogue:
    """One per API process."""

    def __init__(self, database: Database, reader: Reader) -> None:
        self._database = database
        self._reader = reader

    async def numbered(self, caller: Caller, kind: int, page: int) -> Seen[list[str]]:
        """A page of names, by its number. Raises UnavailableError."""
        return await self._reader.read(caller, partial(numbered, self._database, caller, kind, page))

    async def behind(self, caller: Caller, kind: int, after: str) -> Seen[Names]:
        """The page of names behind one. Raises UnavailableError."""
        return await self._reader.read(caller, partial(behind, self._database, caller, kind, after))


def numbered(database: Database, caller: Caller, kind: int, page: int) -> list[str]:
    """As Catalogue.numbered."""
    with database.read() as connection:
        return names.numbered(connection, caller.workspace_id, kind, page * PAGE, PAGE)


def behind(database: Database, caller: Caller, kind: int, after: str) -> Names:
    """As Catalogue.behind."""
    with database.read() as connection:
        counts = names.page(connection, caller.workspace_id, kind, after, NAMES_PAGE + 1, occurred=True)
        settings = lane.settings(connection, caller.workspace_id)
    shown = dict(list(counts.items())[:NAMES_PAGE])
    return Names(shown, len(counts) > NAMES_PAGE, settings)
