"""Looking at the names of a workspace, and deciding about them. A decision is a request like all others: it takes
effect behind everything accepted before it and before everything accepted after it.
"""

from dataclasses import dataclass
from typing import Any

from app.contract import data_rules, stored
from app.contract.checked import Checked
from app.contract.data_rules import Family, Page
from app.domain.settings import ApplySettings
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.synchronous import Synchronous
from app.store import lane, names
from app.store.engine import Database
from app.store.inbox.log import IdempotencyKey

#: {member of the rule: its new value}; None takes a decision back.
Rule = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """A page of names: {name: {type: count}} of what was written, and the settings with all rules."""

    counts: dict[str, dict[str, int]]
    settings: ApplySettings


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that is in force: the request that made it, and the settings since."""

    request_id: str
    settings: ApplySettings


class DataRules:
    """One per API process."""

    def __init__(self, database: Database, synchronous: Synchronous, calls: StoreCalls) -> None:
        self._database = database
        self._synchronous = synchronous
        self._calls = calls

    async def listed(self, caller: Caller, family: Family, page: Page) -> Names:
        """A page of names with counts and rules. Raises UnavailableError."""
        return await self._calls.run(lambda: listed(self._database, caller, family, page))

    async def decide(
        self, caller: Caller, family: Family, name: str, rule: Rule, key: IdempotencyKey | None = None
    ) -> Decided:
        """Change the rule of one name, and wait until it is in force.

        Raises RefusedError for one rule too many; else as Synchronous.apply.
        """
        checked = await self._calls.run(lambda: change(self._database, caller, family, name, rule))
        outcome = await self._synchronous.apply(caller, checked, key)
        settings = await self._calls.run(lambda: settings_of(self._database, caller.workspace_id))
        return Decided(outcome.request_id, settings)


def listed(database: Database, caller: Caller, family: Family, page: Page) -> Names:
    """A page of names with counts, and the rules."""
    with database.read() as connection:
        counts = names.page(connection, caller.workspace_id, family.kind, page.after, page.limit)
        return Names(counts, lane.settings(connection, caller.workspace_id))


def change(database: Database, caller: Caller, family: Family, name: str, rule: Rule) -> Checked:
    """The request that changes the rule of a name. Raises RefusedError for one rule too many."""
    settings = settings_of(database, caller.workspace_id)
    return stored.settings_change(data_rules.change(family, name, rule, settings))


def settings_of(database: Database, workspace_id: int) -> ApplySettings:
    """The settings that are in force."""
    with database.read() as connection:
        return lane.settings(connection, workspace_id)
