"""Companies as operators see them: limits that several workspaces share."""

from collections.abc import Mapping
from typing import Any

from app.contract.plans import REFILLS
from app.services import naming
from app.services.workspaces import InvalidSettingError
from app.store import companies
from app.store.engine import Database
from app.store.tables import Company
from app.store.workspaces import NameTakenError, UnknownNameError

__all__ = ["Company", "NameTakenError", "UnknownNameError"]


def create(database: Database, name: str, limits: Mapping[str, Any], now_us: int) -> None:
    """Make a company; `limits` has columns of it. Raises NameTakenError, InvalidNameError, InvalidSettingError."""
    companies.create(database, naming.checked(name), now_us, **_checked(limits))


def change(database: Database, name: str, limits: Mapping[str, Any]) -> None:
    """Change limits of a company. Raises UnknownNameError, InvalidSettingError."""
    companies.update(database, name, _checked(limits))


def listed(database: Database) -> list[Company]:
    """All companies by name."""
    return companies.listed(database)


def _checked(limits: Mapping[str, Any]) -> dict[str, Any]:
    if limits.get("hourly_refill", REFILLS[0]) not in REFILLS:
        raise InvalidSettingError(f"--hourly-refill is one of {', '.join(REFILLS)}.")
    return dict(limits)
