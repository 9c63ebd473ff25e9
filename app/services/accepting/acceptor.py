"""Accepting a request: quota, contract, inbox. Everything that happens between a caller and the answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

from app.adapters.tracing import Traces
from app.contract import addresses, idempotency, stored, track
from app.contract.checked import Checked
from app.contract.errors import ObjectError, RefusedError
from app.contract.kinds import KINDS
from app.contract.plans import MAX_BULK_OBJECTS, MAX_BULK_OBJECTS_PER_PROFILE
from app.contract.track import Limits
from app.domain.commands import STREAM_BULK, STREAM_NAMES, STREAM_NORMAL
from app.quota.limiter import Limiter
from app.services.accepting.backlog import BacklogWatch
from app.services.accepting.block_list import BlockList
from app.services.accepting.refused_events import RefusedEvents
from app.services.accepting.writer import InboxWriter
from app.services.apps import Apps
from app.services.caller import Caller
from app.services.calls import Threads
from app.services.quotas import Admission
from app.services.refusals import KeyReusedError, RateLimitedError, UnavailableError, WorkspaceDeletedError
from app.services.subscription_groups import SubscriptionGroups
from app.store.inbox import idempotency as idempotent
from app.store.inbox.log import Appended, Entry, IdempotencyKey, Repeated, UnknownWorkspaceError

#: What the API needs to name of the layers below.
__all__ = ["Accepted", "Acceptor", "IdempotencyKey"]

#: Bodies above this are checked in a thread, one of a workspace at a time: a walk over them would hold up everybody.
LARGE_BODY_BYTES: Final = 32 * 1024

_T = TypeVar("_T")

BULK_LIMITS: Final = Limits(MAX_BULK_OBJECTS, None, MAX_BULK_OBJECTS_PER_PROFILE)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request that is in the inbox: by itself, or as the first one with its idempotency key."""

    request_id: str
    #: What the contract promises for it, as JSON.
    answer: bytes
    #: 0 for the first request; else under what status that one was answered.
    first_status: int = 0
    #: What of the request was not accepted.
    errors: tuple[ObjectError, ...] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """What a request names that administrators have made."""

    #: {id: channel}
    groups: Mapping[str, int]
    #: {id of an app: platform}
    platforms: Mapping[str, str]
    #: External ids of profiles that take no data.
    blocked: frozenset[str]


class Acceptor:
    """Takes quota and stores requests; one per API process."""

    def __init__(
        self,
        limiter: Limiter,
        writer: InboxWriter,
        backlog: BacklogWatch,
        threads: Threads,
        timeout: float,
        groups: SubscriptionGroups,
        block_list: BlockList,
        apps: Apps,
        *,
        ietf_headers: bool = False,
        traces: Traces | None = None,
    ) -> None:
        """Large bodies are read in `threads`, for at most `timeout` in seconds.

        `ietf_headers`: answers also carry RateLimit and RateLimit-Policy.
        """
        self._traces = traces
        self._threads = threads
        self._timeout = timeout
        self._limiter = limiter
        self._writer = writer
        self._backlog = backlog
        self._groups = groups
        self._block_list = block_list
        self._apps = apps
        self._ietf_headers = ietf_headers
        #: Calls that a limit let through, and that it did not.
        self.granted = 0
        self.refused = 0
        self.refused_events = RefusedEvents(writer)

    async def take(self, caller: Caller, group: str) -> Admission:
        """A token for a call of a group of endpoints: TRACK, or a name in GROUPS. Raises RateLimitedError."""
        counted = caller.quota(group, ietf=self._ietf_headers)
        grant = await self._limiter.take(caller.workspace_id, counted.buckets, counted.company_id, counted.counter)
        admission = Admission(grant, counted)
        if not grant.granted:
            self.refused += 1
            raise RateLimitedError(admission)
        self.granted += 1
        return admission

    async def standing(self, caller: Caller, group: str) -> Admission | None:
        """As `take` for a call that is refused before it is counted: nothing is taken. None while Redis is away."""
        counted = caller.quota(group, ietf=self._ietf_headers)
        grant = await self._limiter.standing(caller.workspace_id, counted.buckets, counted.company_id)
        return None if grant is None else Admission(grant, counted)

    async def track(
        self, caller: Caller, body: bytes, key: IdempotencyKey | None = None, stream: int = STREAM_NORMAL
    ) -> Accepted:
        """POST /users/track. Raises as `queue`."""
        return await self._track(caller, caller.objects, body, key, stream)

    async def track_bulk(self, caller: Caller, body: bytes, key: IdempotencyKey | None = None) -> Accepted:
        """POST /users/track/bulk: as `track`, with more objects, and behind everybody else. Raises as `queue`."""
        return await self._track(caller, BULK_LIMITS, body, key, STREAM_BULK)

    async def _track(
        self, caller: Caller, limits: Limits, body: bytes, key: IdempotencyKey | None, stream: int
    ) -> Accepted:
        options = caller.options
        region, ecommerce_events = addresses.region_of(options), track.wants_ecommerce(options)
        check: Callable[..., Checked] = track.check
        # Most requests are clean. Such a one names nothing that would have to be looked up.
        if len(body) <= LARGE_BODY_BYTES and not await self._block_list.ids(caller):
            clean = partial(track.check_clean, limits=limits, region=region, ecommerce_events=ecommerce_events)
            checked = await self.read(caller, clean, body)
            if checked is not None:
                return await self._store(caller, checked, key, stream)
            check = track.check_exactly
        named = await self.named_by(caller, body)
        exact = partial(
            check,
            limits=limits,
            region=region,
            ecommerce_events=ecommerce_events,
            groups=named.groups,
            blocked=named.blocked,
            platforms=named.platforms,
        )
        return await self.queue(caller, exact, body, key, stream)

    async def named_by(self, caller: Caller, body: bytes) -> Named:
        """The subscription groups and apps that a body of /users/track names, as far as there are any.

        Raises UnavailableError.
        """
        groups, apps = await self.read(caller, track.names_of, body)
        return Named(
            await self._groups.channels(caller, groups) if groups else {},
            await self._apps.platforms(caller, apps) if apps else {},
            await self.blocked_in(caller, body),
        )

    async def blocked_in(self, caller: Caller, body: bytes) -> frozenset[str]:
        """External ids in a body of /users/track whose profiles are blocked (app.services.accepting.block_list)."""
        ids = await self._block_list.ids(caller)
        if not ids:
            return ids
        named = ids & await self.read(caller, track.external_ids, body)
        return await self._block_list.confirmed(caller, named) if named else named

    async def queue(
        self,
        caller: Caller,
        check: Callable[[bytes], Checked],
        body: bytes,
        key: IdempotencyKey | None = None,
        stream: int = STREAM_NORMAL,
    ) -> Accepted:
        """Commit what the contract makes of a body, and ring. A repeat gets what the first request with its key got.

        The answer must hold no value of a client: it is stored beside the key.

        Raises RefusedError for what the contract does not take; else as `append`.
        """
        return await self._store(caller, await self.read(caller, check, body), key, stream)

    async def _store(self, caller: Caller, checked: Checked, key: IdempotencyKey | None, stream: int) -> Accepted:
        if checked.errors:
            self.refused_events.count(caller.workspace_id, checked.errors)
        if key is not None:
            key = replace(key, answer=checked.answer)
        outcome = await self.append(caller, stream, checked, key)
        if isinstance(outcome, Repeated):
            return _first(caller, outcome)
        request_id = caller.request_id(stream, outcome.seq)
        if self._traces is not None:
            self._traces.accepted(request_id, caller.workspace_id, STREAM_NAMES[stream])
        return Accepted(request_id, checked.answer, errors=checked.errors)

    async def read(self, caller: Caller, check: Callable[[bytes], _T], body: bytes) -> _T:
        """What the contract makes of a body. Raises what that raises, and UnavailableError when it takes too long."""
        try:
            if len(body) <= LARGE_BODY_BYTES:
                return check(body)
            return await self._threads.run(partial(check, body), self._timeout)
        except RefusedError as refused:
            self.refused_events.count(caller.workspace_id, refused.errors)
            raise
        except TimeoutError as error:
            raise UnavailableError from error

    async def append(
        self, caller: Caller, stream: int, checked: Checked, key: IdempotencyKey | None = None
    ) -> Appended | Repeated:
        """Commit a request to the inbox and ring; where it stands, or what the first one with its key was answered.

        Raises BacklogFullError, KeyReusedError, WorkspaceDeletedError or UnavailableError.
        """
        self._backlog.check(caller.workspace_id, stream)
        try:
            return await self._writer.append(caller.workspace_id, stream, entry_of(caller, checked, key))
        except idempotent.KeyReusedError as error:
            raise KeyReusedError from error
        except UnavailableError as error:
            if isinstance(error.__cause__, UnknownWorkspaceError):
                raise WorkspaceDeletedError from error
            raise

    async def repeated(self, caller: Caller, key: IdempotencyKey) -> Accepted | None:
        """What the first request with this key and body was answered, if it was answered when it was accepted.

        For a repeat that is refused although the first was not, since limits changed or the backlog grew meanwhile.
        Raises UnavailableError.
        """
        first = await self._writer.first(caller.workspace_id, key)
        return _first(caller, first) if first is not None and first.status else None


def _first(caller: Caller, first: Repeated) -> Accepted:
    return Accepted(caller.request_id(first.stream, first.seq), first.answer, first.status)


def entry_of(caller: Caller, checked: Checked, key: IdempotencyKey | None = None) -> Entry:
    """What the inbox gets. Kinds that histories tell of are signed with the name of the key."""
    if not KINDS[checked.kind].signed:
        return Entry(checked.kind, checked.codec, checked.body, key, checked.messages)
    signed = stored.signed(checked.codec, checked.body, caller.key_name)
    return Entry(checked.kind, *signed, key, checked.messages)


def idempotency_key(
    caller: Caller, path: str, sent: Sequence[str], body: bytes, status: int = 0
) -> IdempotencyKey | None:
    """What the values of the header `Idempotency-Key` name; None when it was not sent. Raises RefusedError(400).

    `status` is that of the answer when the request is accepted; 0 = it is answered when it was applied.
    """
    key = idempotency.read(sent)
    if key is None:
        return None
    secret = caller.workspace_secret
    return IdempotencyKey(idempotency.digest(secret, path, key), idempotency.fingerprint(secret, body), status)
