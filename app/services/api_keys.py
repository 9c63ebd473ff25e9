"""API keys as operators see them: made, listed and revoked."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.services import naming
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.networks import parse_networks
from app.services.permissions import ALL, PERMISSIONS, SYNONYMS
from app.store import keys
from app.store.engine import Database
from app.store.tables import ApiKey
from app.store.workspaces import NameTakenError, UnknownNameError

__all__ = ["ApiKey", "NameTakenError", "UnknownNameError"]


class InvalidKeyRequestError(ValueError):
    """There can be no such key. The message says what a key can have."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a new key is to be. Nothing of it can be changed later."""

    name: str
    permissions: Iterable[str] = ()
    #: Also every permission that exists today but `admin.limits`.
    everything: bool = False
    #: Addresses and CIDR blocks that may use it; none = any.
    networks: Iterable[str] = ()
    expires_us: int | None = None
    created_by: str = ""


class ApiKeys:
    """One per process that serves the console, which has the role of the owner of the schema."""

    def __init__(
        self, database: Database, calls: StoreCalls, now_us: Callable[[], int], forget: Callable[[int], None]
    ) -> None:
        """`forget` makes this process look the keys of a workspace up again."""
        self._database = database
        self._calls = calls
        self._now_us = now_us
        self._forget = forget

    async def create(self, caller: Caller, wanted: NewKey) -> str:
        """As `create`. Raises UnavailableError, too."""
        return await self._calls.run(lambda: create(self._database, caller, wanted, self._now_us()))

    async def listed(self, caller: Caller) -> list[ApiKey]:
        """As `listed`. Raises UnavailableError."""
        return await self._calls.run(lambda: listed(self._database, caller))

    async def revoke(self, caller: Caller, name: str) -> None:
        """As `revoke`; this process follows at once, others within ONEFOLD_KEY_CACHE_SECONDS. Raises
        UnavailableError, too."""
        await self._calls.run(lambda: revoke(self._database, caller, name, self._now_us()))
        self._forget(caller.workspace_id)


def create(database: Database, caller: Caller, wanted: NewKey, now_us: int) -> str:
    """The key, which is shown this once. Raises InvalidKeyRequestError, InvalidNameError, NameTakenError."""
    permissions = {*(ALL if wanted.everything else ()), *wanted.permissions}
    if not permissions:
        raise InvalidKeyRequestError("A key needs a permission at least: --permission, or --all.")
    if any(one not in PERMISSIONS and one not in SYNONYMS for one in permissions):
        raise InvalidKeyRequestError(f"Unknown permission. Permissions: {', '.join(PERMISSIONS)}.")
    try:
        networks = [str(network) for network in parse_networks(wanted.networks)]
    except ValueError:
        raise InvalidKeyRequestError(
            "A network is an address, or a CIDR block without bits behind its prefix (--allow-ip)."
        ) from None
    return keys.create(
        database,
        caller.workspace_id,
        naming.checked(wanted.name),
        permissions,
        now_us,
        ip_allowlist=networks,
        expires_us=wanted.expires_us,
        created_by=wanted.created_by,
    )


def listed(database: Database, caller: Caller) -> list[ApiKey]:
    """All keys of the workspace, revoked ones included, oldest first."""
    return keys.listed(database, caller.workspace_id)


def revoke(database: Database, caller: Caller, name: str, now_us: int) -> None:
    """Stop a key from working. Raises UnknownNameError. Requests accepted before still run."""
    keys.revoke(database, caller.workspace_id, name, now_us)
