"""Workspaces as operators see them: made, listed and changed, each as a caller without a key."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from app.adapters.rates import reference_table
from app.contract import addresses, locales
from app.contract.export import REQUIRES_FIELDS
from app.contract.plans import DEFAULT_PLAN, PLANS
from app.contract.stored import settings_change
from app.contract.track import ECOMMERCE_OPTION
from app.domain.settings import ApplySettings
from app.services import naming
from app.services.accepting.direct import enqueue
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.store import companies, keys, lane, workspaces
from app.store.engine import Database
from app.store.tables import Workspace
from app.store.workspaces import NameTakenError, UnknownNameError, number

__all__ = ["NameTakenError", "UnknownNameError", "Workspace", "number"]

#: Settings that the reducer reads, so that they change in the order of the requests.
APPLIED: Final = frozenset(
    (
        "alias_autocreate_on_purchase",
        "nested_null_deletes",
        "array_max",
        "resubscribe_on_email_change",
        "time_zone",
        "max_profile_bytes",
        "message_max",
        "max_devices_per_profile",
        "spam_sessions",
        "spam_event_names",
        "spam_product_ids",
    )
)


#: Option: since when the workspace is to be archived, in microseconds; null = it is not. As a setting true or false.
ARCHIVAL_OPTION: Final = "archival"


class InvalidSettingError(ValueError):
    """A setting cannot have this value. The message says what it can have."""


class Workspaces:
    """One per process that serves the console, which has the role of the owner of the schema."""

    def __init__(self, database: Database, calls: StoreCalls, now_us: Callable[[], int]) -> None:
        self._database = database
        self._calls = calls
        self._now_us = now_us

    async def listed(self) -> list[Workspace]:
        """All workspaces by name. Raises UnavailableError."""
        return await self._calls.run(lambda: listed(self._database))

    async def operator(self, workspace_id: int, by: str) -> Caller | None:
        """The operator of a workspace, as a caller; None where there is no such workspace. Raises UnavailableError."""
        return await self._calls.run(lambda: operator_of(self._database, workspace_id, by))


def listed(database: Database) -> list[Workspace]:
    """All workspaces by name."""
    return workspaces.listed(database)


def applied_settings(database: Database, workspace: Workspace) -> ApplySettings:
    """The settings that are in force for what is applied next."""
    with database.read() as connection:
        found = lane.read(connection, number(workspace))
    return ApplySettings() if found is None else found.settings


def operator(database: Database, name: str, by: str = "") -> Caller:
    """The operator of a workspace, as a caller. Histories show `by`. Raises UnknownNameError."""
    found = number(workspaces.get(database, name))
    return Caller.operator(keys.of_workspace(database, found), by)


def operator_of(database: Database, workspace_id: int, by: str) -> Caller | None:
    """The operator of a workspace by its number; None where there is none, or it is being deleted, or is our own."""
    try:
        found = keys.of_workspace(database, workspace_id)
    except UnknownNameError:
        return None
    if found.deleted or found.workspace_name == workspaces.CANARY:
        return None
    return Caller.operator(found, by)


def create(database: Database, name: str, settings: Mapping[str, Any], now_us: int) -> None:
    """Make a workspace. Raises NameTakenError, InvalidNameError, InvalidSettingError. `settings`: as in `change`."""
    naming.checked(name)
    columns, options, applied = _split(database, {"plan": DEFAULT_PLAN} | dict(settings), now_us)
    workspaces.create(database, name, now_us=now_us, options=options, **columns)
    rates = {"rates_until": reference_table().last_day}
    change_applied(database, operator(database, name), rates | applied, now_us)


def change(database: Database, name: str, settings: Mapping[str, Any], now_us: int) -> None:
    """Change settings of a workspace: names of columns, of options, of APPLIED, and `company`, a name or an empty text.

    Raises UnknownNameError, InvalidSettingError.
    """
    columns, options, applied = _split(database, settings, now_us)
    if options:
        columns["options"] = workspaces.get(database, name).options | options
    workspaces.update(database, name, columns)
    if applied:
        change_applied(database, operator(database, name), applied, now_us)


def change_applied(database: Database, caller: Caller, values: Mapping[str, object], now_us: int) -> None:
    """Queue settings that the reducer reads: in force behind everything accepted before, before everything after."""
    enqueue(database, caller, settings_change(dict(values)), now_us)


def _split(
    database: Database, settings: Mapping[str, Any], now_us: int
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """(columns, options, settings that the reducer reads). Raises InvalidSettingError."""
    columns = dict(settings)
    applied = {name: columns.pop(name) for name in APPLIED & columns.keys()}
    if "time_zone" in applied and not locales.is_iana(applied["time_zone"]):
        raise InvalidSettingError("A time zone has a name of the IANA database, such as Europe/Paris or UTC.")
    options: dict[str, Any] = {}
    if REQUIRES_FIELDS in columns:
        options[REQUIRES_FIELDS] = columns.pop(REQUIRES_FIELDS)
    if ECOMMERCE_OPTION in columns:
        options[ECOMMERCE_OPTION] = columns.pop(ECOMMERCE_OPTION)
    if ARCHIVAL_OPTION in columns:
        options[ARCHIVAL_OPTION] = now_us if columns.pop(ARCHIVAL_OPTION) else None
    if addresses.REGION_OPTION in columns:
        region = addresses.region(columns.pop(addresses.REGION_OPTION))
        if region is None:
            raise InvalidSettingError("A phone region is a two-letter country code, such as US or DE.")
        options[addresses.REGION_OPTION] = region
    if columns.get("plan", DEFAULT_PLAN) not in PLANS:
        raise InvalidSettingError(f"Unknown plan. Plans: {', '.join(PLANS)}.")
    if "company" in columns:
        columns["company_id"] = _company_id(database, columns.pop("company"))
    return columns, options, applied


def _company_id(database: Database, name: str) -> int | None:
    if not name:
        return None
    try:
        return companies.get(database, name).id
    except UnknownNameError:
        raise InvalidSettingError("No company has this name: see `onefold companies list`.") from None
