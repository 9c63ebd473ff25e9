"""Subscription calls: states are set through the inbox, and read once what was accepted before is applied."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from app.contract import addresses, subscriptions
from app.contract.checked import Checked
from app.contract.errors import RefusedError
from app.contract.subscription_status import GroupMember, Member, Named
from app.contract.subscriptions import GroupChange
from app.domain.profile import CHANNEL_KINDS, SUBSCRIBED, UNSUBSCRIBED
from app.services.accepting.acceptor import Accepted, Acceptor, IdempotencyKey
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.reading import Reader
from app.services.subscription_groups import SubscriptionGroups
from app.store import subscription_groups as store
from app.store.engine import Database
from app.store.profiles import members


@dataclass(frozen=True, slots=True)
class Members:
    """A page of people with their states of groups, and how many there are on all pages."""

    members: list[Member]
    total: int
    #: Some of what was accepted before is not in them yet.
    stale: bool


class Subscriptions:
    """One per API process."""

    def __init__(
        self,
        database: Database,
        acceptor: Acceptor,
        reader: Reader,
        groups: SubscriptionGroups,
        calls: StoreCalls,
        now_us: Callable[[], int],
    ) -> None:
        self._database = database
        self._acceptor = acceptor
        self._reader = reader
        self._groups = groups
        self._calls = calls
        self._now_us = now_us

    async def set_group(self, caller: Caller, body: bytes, key: IdempotencyKey | None = None) -> Accepted:
        """POST /subscription/status/set. Raises RefusedError; else as Acceptor.queue."""
        return await self._set(caller, subscriptions.read_one, body, key)

    async def set_groups(self, caller: Caller, body: bytes, key: IdempotencyKey | None = None) -> Accepted:
        """POST /v2/subscription/status/set. Raises RefusedError; else as Acceptor.queue."""
        return await self._set(caller, subscriptions.read_several, body, key)

    async def set_emails(self, caller: Caller, body: bytes, key: IdempotencyKey | None = None) -> Accepted:
        """POST /email/status. Raises RefusedError; else as Acceptor.queue."""
        return await self._acceptor.queue(caller, subscriptions.check_email_status, body, key)

    async def _set(
        self,
        caller: Caller,
        read: Callable[[bytes, str], list[GroupChange]],
        body: bytes,
        key: IdempotencyKey | None,
    ) -> Accepted:
        region = addresses.region_of(caller.options)
        changes = await self._acceptor.read(caller, partial(_read, read, region), body)
        channels = await self._groups.channels(caller, subscriptions.group_ids(changes))

        def check(_body: bytes) -> Checked:
            return subscriptions.checked(changes, channels)

        return await self._acceptor.queue(caller, check, body, key)

    async def status(self, caller: Caller, group: str, named: Sequence[Named]) -> tuple[dict[str, str | None], bool]:
        """({what was sent: the recorded state}, whether some of what was accepted before is missing).

        Raises RefusedError for an unknown group, UnavailableError.
        """
        channels = await self._groups.channels(caller, [group])
        if group not in channels:
            raise RefusedError(400, subscriptions.INVALID_GROUP)
        stale = await self._reader.catch_up(caller.workspace_id)
        found = await self._calls.run(lambda: self._status(caller.workspace_id, group, channels[group], named))
        return found, stale

    async def members(self, caller: Caller, named: Sequence[Named], limit: int, offset: int) -> Members:
        """People with all their recorded states. Raises UnavailableError."""
        stale = await self._reader.catch_up(caller.workspace_id)
        found, total = await self._calls.run(lambda: self._members(caller.workspace_id, named, limit, offset))
        return Members(found, total, stale)

    def _status(self, workspace_id: int, group: str, channel: int, named: Sequence[Named]) -> dict[str, str | None]:
        states: dict[str, str | None] = {}
        with self._database.read() as connection:
            by_address = {
                one.sent: (channel, one.key[2])
                for one in named
                if one.key is not None and one.key[0] == CHANNEL_KINDS[channel]
            }
            recorded = members.recorded_topics(connection, workspace_id, by_address.values(), self._now_us())
            for one in named:
                if one.sent in by_address:
                    state = recorded.get(by_address[one.sent], {}).get(group)
                    states[one.sent] = None if state is None else state.state
                elif one.key is not None:
                    states[one.sent] = self._state_of(connection, workspace_id, group, one)
        return states

    def _state_of(self, connection: Connection, workspace_id: int, group: str, one: Named) -> str | None:
        """Of whoever has an identifier: of several the most restrictive one."""
        if one.key is None:
            return None
        people, _ = members.page(connection, workspace_id, [one.key], members.MOST, 0)
        states = members.states(connection, workspace_id, people, self._now_us())
        found = {state[group] for state in states if group in state}
        return next((state for state in (UNSUBSCRIBED, SUBSCRIBED) if state in found), None)

    def _members(self, workspace_id: int, named: Sequence[Named], limit: int, offset: int) -> tuple[list[Member], int]:
        keys = [one.key for one in named if one.key is not None]
        with self._database.read() as connection:
            people, total = members.page(connection, workspace_id, keys, limit, offset)
            states = members.states(connection, workspace_id, people, self._now_us())
        known = store.find(self._database, workspace_id, {group for state in states for group in state})
        found = []
        for profile, state in zip(people, states, strict=True):
            core = profile.core or {}
            groups = [
                GroupMember(group, known[group].name, known[group].channel, value)
                for group, value in sorted(state.items())
                if group in known
            ]
            email, phone = core.get("email"), core.get("phone") or core.get("phone_raw")
            found.append(
                Member(
                    email if isinstance(email, str) else None,
                    phone if isinstance(phone, str) else None,
                    profile.external_id,
                    groups,
                )
            )
        return found, total


def _read(read: Callable[[bytes, str], list[GroupChange]], region: str, body: bytes) -> list[GroupChange]:
    return read(body, region)
