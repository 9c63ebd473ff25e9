"""Looking at the names of a workspace, and deciding about them. A decision is a request like all others: it takes
effect behind everything accepted before it and before everything accepted after it.
"""

import msgspec

from app.contract import data_rules, stored
from app.contract.data_rules import Family, Page
from app.domain.settings import ApplySettings
from app.services.accepting.acceptor import Answer
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.synchronous import Synchronous
from app.store import lane, names
from app.store.engine import Database
from app.store.inbox.log import IdempotencyKey


class DataRules:
    """One per API process."""

    def __init__(self, database: Database, synchronous: Synchronous, calls: StoreCalls) -> None:
        self._database = database
        self._synchronous = synchronous
        self._calls = calls

    async def listed(self, caller: Caller, family: Family, page: Page) -> Answer:
        """Names with counts and rules. Raises RefusedError(503)."""

        def look() -> dict[str, object]:
            with self._database.read() as connection:
                found = names.page(connection, caller.workspace_id, family.kind, page.after, page.limit)
                return data_rules.listing(family, found, self._settings(caller.workspace_id), page)

        return Answer(200, msgspec.json.encode(await self._calls.run(look)))

    async def decide(self, caller: Caller, family: Family, body: bytes, key: IdempotencyKey | None = None) -> Answer:
        """Change the rule of one name, and wait until it is in force. Raises RefusedError: as Synchronous.apply."""
        name, rule = data_rules.read_rule(family, body)
        workspace_id = caller.workspace_id
        settings = await self._calls.run(lambda: self._settings(workspace_id))
        change = stored.settings_change(data_rules.change(family, name, rule, settings))
        outcome = await self._synchronous.apply(caller, change, key)
        settings = await self._calls.run(lambda: self._settings(workspace_id))
        shown = data_rules.entry(family, name, {}, settings)
        shown.pop("types", None)
        shown.pop("count", None)
        return Answer(201, msgspec.json.encode(shown | {"message": "success"}), outcome.request_id)

    def _settings(self, workspace_id: int) -> ApplySettings:
        with self._database.read() as connection:
            found = lane.read(connection, workspace_id)
        return found.settings if found is not None else ApplySettings()
