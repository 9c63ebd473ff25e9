"""Accounts of the console: made, changed and listed, as the operator of the installation does it."""

from collections.abc import Callable, Mapping
from typing import Final

from app.services import naming, passwords
from app.services.calls import StoreCalls
from app.store import accounts as store
from app.store.accounts import EVERYWHERE, Account
from app.store.engine import Database
from app.store.workspaces import NameTakenError, UnknownNameError

__all__ = ["ADMIN", "EVERYWHERE", "OPERATOR", "READER", "ROLES", "Account", "NameTakenError", "UnknownNameError"]

#: Sees everything of a workspace.
READER: Final = "reader"
#: Acts on its data, too: people, merges, segments, jobs, dead letters.
OPERATOR: Final = "operator"
#: Changes keys, limits, apps and settings, too; everywhere: accounts.
ADMIN: Final = "admin"
#: Each may do what the ones before it may.
ROLES: Final = (READER, OPERATOR, ADMIN)
#: Accounts of an installation.
MOST_ACCOUNTS: Final = 1_000


class TooManyAccountsError(ValueError):
    """The installation has as many accounts as it may have."""


class InvalidRoleError(ValueError):
    """There is no such role."""


class LastAdminError(ValueError):
    """Nobody would be left who may change accounts."""


class Accounts:
    """One per process that serves the console, which has the role of the owner of the schema."""

    def __init__(self, database: Database, calls: StoreCalls, hashing: StoreCalls, now_us: Callable[[], int]) -> None:
        """`hashing`: as of LogIns."""
        self._database = database
        self._calls = calls
        self._hashing = hashing
        self._now_us = now_us

    async def listed(self) -> list[Account]:
        """As `listed`. Raises UnavailableError."""
        return await self._calls.run(lambda: listed(self._database))

    async def create(self, name: str, roles: Mapping[int, str]) -> str:
        """As `create`. Raises UnavailableError, too."""
        return await self._hashing.run(lambda: create(self._database, name, roles, self._now_us()))

    async def reset(self, name: str, password: str | None = None) -> str:
        """As `reset`. Raises UnavailableError, too."""
        return await self._hashing.run(lambda: reset(self._database, name, password))

    async def grant(self, name: str, workspace_id: int, role: str | None) -> None:
        """As `grant`. Raises UnavailableError, too."""
        await self._calls.run(lambda: grant(self._database, name, workspace_id, role))

    async def delete(self, name: str) -> None:
        """As `delete`. Raises UnavailableError, too."""
        await self._calls.run(lambda: delete(self._database, name))


def role_in(roles: Mapping[int, str], workspace_id: int) -> str | None:
    """The highest role that an account has in a workspace; None = it has none there."""
    found = [roles[place] for place in (EVERYWHERE, workspace_id) if roles.get(place) in ROLES]
    return max(found, key=ROLES.index, default=None)


def allows(role: str | None, needed: str) -> bool:
    """Whether a role may do what needs another one."""
    return role is not None and ROLES.index(role) >= ROLES.index(needed)


def listed(database: Database) -> list[Account]:
    """All accounts by name."""
    return store.listed(database)


def create(database: Database, name: str, roles: Mapping[int, str], now_us: int, password: str | None = None) -> str:
    """A new account; its password, which is made unless it is given.

    Raises NameTakenError, InvalidNameError, InvalidRoleError, InvalidPasswordError, TooManyAccountsError.
    """
    naming.checked(name)
    _check(*roles.values())
    if len(store.listed(database)) >= MOST_ACCOUNTS:
        raise TooManyAccountsError
    password = passwords.new() if password is None else passwords.checked(password)
    store.create(database, name, passwords.hashed(password), roles, now_us)
    return password


def reset(database: Database, name: str, password: str | None = None) -> str:
    """Another password, which is made unless it is given; ends the account's sessions.

    Raises UnknownNameError, InvalidPasswordError.
    """
    password = passwords.new() if password is None else passwords.checked(password)
    store.set_password(database, name, passwords.hashed(password))
    return password


def grant(database: Database, name: str, workspace_id: int, role: str | None) -> None:
    """Give an account a role in a workspace, or EVERYWHERE; None takes it away.

    Raises UnknownNameError, InvalidRoleError, LastAdminError.
    """
    if role is not None:
        _check(role)
    if workspace_id == EVERYWHERE and role != ADMIN:
        _keep_an_admin(database, name)
    store.set_role(database, name, workspace_id, role)


def delete(database: Database, name: str) -> None:
    """Raises UnknownNameError, LastAdminError."""
    _keep_an_admin(database, name)
    store.delete(database, name)


def _check(*roles: str) -> None:
    if any(role not in ROLES for role in roles):
        raise InvalidRoleError


def _keep_an_admin(database: Database, name: str) -> None:
    admins = [one.name for one in store.listed(database) if one.roles.get(EVERYWHERE) == ADMIN]
    if admins == [name]:
        raise LastAdminError
