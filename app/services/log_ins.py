"""Who is logged in to the console: by a password, throttled, and from then on by a session of a browser."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from app.domain.times import MINUTE
from app.quota.bucket import Bucket
from app.quota.local import LocalBuckets
from app.services import passwords
from app.services.accounts import role_in
from app.services.calls import StoreCalls
from app.services.networks import Address, origin
from app.services.refusals import ServiceError, TooFrequentError
from app.store import accounts as store
from app.store.engine import Database

#: Browsers in which an account is logged in; beyond it the oldest log-in ends.
MOST_SESSIONS: Final = 20
#: The use of a session is recorded at most this often.
SEEN_EVERY_US: Final = MINUTE
#: Characters of a name or a password that are looked at.
_LONGEST: Final = 1_024


class WrongPasswordError(ServiceError):
    """There is no such account, or it has another password. `known`: there is such an account."""

    def __init__(self, *, known: bool) -> None:
        super().__init__()
        self.known = known


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whose browser it is, and what they may do."""

    account: str
    roles: Mapping[int, str]

    def role_in(self, workspace_id: int) -> str | None:
        return role_in(self.roles, workspace_id)


class LogIns:
    """One per process that serves the console. Sessions are in the database; attempts are counted by each process."""

    def __init__(
        self,
        database: Database,
        calls: StoreCalls,
        hashing: StoreCalls,
        now_us: Callable[[], int],
        idle_us: int,
        per_minute: int,
    ) -> None:
        """`hashing` has a thread of its own, so that passwords, which take long, hold up nothing else. `per_minute`
        bounds attempts for one account; from one address there may be twice as many."""
        self._database = database
        self._calls = calls
        self._hashing = hashing
        self._now_us = now_us
        self._idle_us = idle_us
        self._attempts = LocalBuckets()
        self._by_account = Bucket("account", per_minute, 60_000)
        self._by_address = Bucket("address", 2 * per_minute, 60_000)

    async def log_in(self, name: str, password: str, client: Address | None) -> str:
        """The id of a new session. Raises TooFrequentError, WrongPasswordError, UnavailableError."""
        name = await self.check(name, password, client)
        session = secrets.token_urlsafe(32)
        now, digest = self._now_us(), _digest(session)
        await self._calls.run(lambda: store.begin_session(self._database, digest, name, now, MOST_SESSIONS))
        return session

    async def check(self, name: str, password: str, client: Address | None) -> str:
        """The name of an account that has this password. Counts as an attempt to log in.

        Raises TooFrequentError, WrongPasswordError, UnavailableError.
        """
        name, password = name[:_LONGEST], password[:_LONGEST]
        self._take(f"address {origin(client)}", self._by_address)
        self._take(f"account {hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()}", self._by_account)
        found = await self._calls.run(lambda: store.find(self._database, name))
        stored = "" if found is None else found.password
        is_right = await self._hashing.run(lambda: passwords.matches(password, stored))
        if found is None or not is_right:
            raise WrongPasswordError(known=found is not None)
        return name

    async def visitor(self, session: str, *, sees: bool = True) -> Visitor | None:
        """Whose session it is; None for one that is over, or never was. `sees`: somebody uses it, and not only a page
        that looks for news by itself. Raises UnavailableError."""
        digest, now = _digest(session), self._now_us()
        found = await self._calls.run(lambda: store.find_session(self._database, digest))
        if found is None or found.seen_us + self._idle_us <= now or found.created_us + store.LONGEST_SESSION_US <= now:
            return None
        if sees and found.seen_us + SEEN_EVERY_US <= now:
            await self._calls.run(lambda: store.see_session(self._database, digest, now))
        return Visitor(found.account, found.roles)

    async def log_out(self, session: str) -> None:
        """Raises UnavailableError."""
        await self._calls.run(lambda: store.end_session(self._database, _digest(session)))

    def _take(self, owner: str, bucket: Bucket) -> None:
        refusal = self._attempts.spend(owner, bucket, self._now_us() // 1_000)
        if refusal is not None:
            raise TooFrequentError(refusal)


def _digest(session: str) -> bytes:
    return hashlib.sha256(session.encode("utf-8", "replace")).digest()
