"""Settings of a workspace as people see and change them: each by its name, with what it can be and what it is now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.contract import addresses
from app.contract.data_rules import MAX_ARRAY
from app.contract.export import REQUIRES_FIELDS
from app.contract.track import ECOMMERCE_OPTION
from app.services import workspaces
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.workspaces import APPLIED, ARCHIVAL_OPTION, InvalidSettingError
from app.store import workspaces as store
from app.store.engine import Database

SWITCH, WHOLE, TEXT = "switch", "whole", "text"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what it is called, and what it can be."""

    name: str
    kind: str
    words: str
    #: Of a whole number.
    least: int = 0
    most: int = 0

    @property
    def is_applied(self) -> bool:
        """Whether it is in force behind what was accepted before, as a request is; else within seconds."""
        return self.name in APPLIED


SETTINGS: Final = (
    Setting("time_zone", TEXT, "Time zone whose days are those of the workspace, such as Europe/Paris"),
    Setting("default_phone_region", TEXT, "Country of phone numbers without a +, two letters"),
    Setting("alias_autocreate_on_purchase", SWITCH, "A purchase for an unknown alias makes a profile"),
    Setting("nested_null_deletes", SWITCH, "null inside an object takes the key out when objects are merged"),
    Setting("resubscribe_on_email_change", SWITCH, "An unsubscribed profile with another address is subscribed"),
    Setting("export_requires_fields", SWITCH, "An export has to say which fields it wants"),
    Setting("ecommerce_events", SWITCH, "Recommended e-commerce events are checked and count revenue"),
    Setting("archival", SWITCH, "People of whom nothing was heard for long are deleted, on Sundays"),
    Setting("legacy_api_key_auth", SWITCH, "Keys may stand as api_key in the body or the query string"),
    Setting("disabled", SWITCH, "Closed: its keys are refused, and what was accepted is applied"),
    Setting("array_max", WHOLE, "Elements of an array, unless set by name", 1, MAX_ARRAY),
    Setting("max_profile_bytes", WHOLE, "Bytes beyond which nothing makes a profile larger", 256_000, 64_000_000),
    Setting("message_max", WHOLE, "Messages, campaigns and canvases that a profile keeps", 1, 10_000),
    Setting("max_devices_per_profile", WHOLE, "Devices that a profile keeps, and as many push tokens", 1, 10_000),
    Setting("spam_sessions", WHOLE, "Sessions beyond which a profile is blocked; 0 = none", 0, 2**31),
    Setting("spam_event_names", WHOLE, "Names of events beyond which it is; 0 = none", 0, 2**31),
    Setting("spam_product_ids", WHOLE, "Products beyond which it is; 0 = none", 0, 2**31),
)


class WorkspaceSettings:
    """One per process that serves the console, which has the role of the owner of the schema."""

    def __init__(
        self, database: Database, calls: StoreCalls, now_us: Callable[[], int], forget: Callable[[int], None]
    ) -> None:
        """`forget` makes this process look the keys of a workspace up again."""
        self._database = database
        self._calls = calls
        self._now_us = now_us
        self._forget = forget

    async def show(self, caller: Caller) -> dict[str, Any]:
        """As `settings`. Raises UnavailableError, too."""
        return await self._calls.run(lambda: settings(self._database, caller))

    async def change(self, caller: Caller, values: Mapping[str, Any]) -> list[str]:
        """As `change`. Raises UnavailableError, too."""
        changed = await self._calls.run(lambda: change(self._database, caller, values, self._now_us()))
        self._forget(caller.workspace_id)
        return changed


def settings(database: Database, caller: Caller) -> dict[str, Any]:
    """What each of SETTINGS is now. Raises UnknownNameError."""
    workspace = store.get(database, caller.workspace_name)
    applied, options = workspaces.applied_settings(database, workspace), workspace.options
    others = {
        "default_phone_region": options.get(addresses.REGION_OPTION, addresses.DEFAULT_REGION),
        "export_requires_fields": bool(options.get(REQUIRES_FIELDS)),
        "ecommerce_events": bool(options.get(ECOMMERCE_OPTION, True)),
        "archival": options.get(ARCHIVAL_OPTION) is not None,
        "legacy_api_key_auth": workspace.legacy_api_key_auth,
        "disabled": workspace.disabled,
    }
    return {one.name: others[one.name] if one.name in others else getattr(applied, one.name) for one in SETTINGS}


def change(database: Database, caller: Caller, values: Mapping[str, Any], now_us: int) -> list[str]:
    """Change those values that are not so yet; their names. Raises InvalidSettingError, UnknownNameError."""
    known = {one.name: one for one in SETTINGS}
    for name, value in values.items():
        one = known[name]
        if one.kind == WHOLE and not one.least <= value <= one.most:
            raise InvalidSettingError(f"{one.words}: {one.least:,} to {one.most:,}.")
    now = settings(database, caller)
    changed = {name: value for name, value in values.items() if value != now[name]}
    if changed:
        workspaces.change(database, caller.workspace_name, changed, now_us)
    return sorted(changed)
