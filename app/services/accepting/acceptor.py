"""Accepting a request: quota, contract, inbox, answer. Everything that happens between a caller and a 201."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.contract import addresses, idempotency, request_id, stored, track
from app.contract.checked import Checked
from app.contract.errors import FORBIDDEN, RATE_LIMITED, RefusedError, unavailable
from app.contract.kinds import KINDS
from app.contract.plans import MAX_BULK_OBJECTS, MAX_BULK_OBJECTS_PER_PROFILE
from app.contract.track import Limits
from app.domain.commands import STREAM_BULK, STREAM_NORMAL
from app.quota.limiter import Limiter
from app.services.accepting.backlog import BacklogWatch
from app.services.accepting.writer import InboxWriter, UnavailableError
from app.services.caller import Caller
from app.services.quotas import Admission
from app.store.inbox.idempotency import KeyReusedError
from app.store.inbox.log import Appended, Entry, IdempotencyKey, Repeated, UnknownWorkspaceError

#: What the API needs to name of the layers below.
__all__ = ["Acceptor", "Admission", "Answer", "IdempotencyKey", "RateLimitedError"]

#: The answer is not the request's own, but that of the first request with its Idempotency-Key.
REPLAYED: Final = (("Idempotent-Replayed", "true"),)

#: Bodies above this are checked in a thread.
LARGE_BODY_BYTES: Final = 256 * 1024

BULK_LIMITS: Final = Limits(MAX_BULK_OBJECTS, None, MAX_BULK_OBJECTS_PER_PROFILE)


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer. `request_id` is empty for an answer that accepted nothing."""

    status: int
    body: bytes
    request_id: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class RateLimitedError(RefusedError):
    """429: a bucket has no token left."""

    def __init__(self, admission: Admission) -> None:
        super().__init__(429, RATE_LIMITED)
        self.admission = admission

    def body(self) -> bytes:
        return b'{"message":"Rate Limited","limit":"%s"}' % self.admission.grant.name.encode()


class Acceptor:
    """Takes quota and stores requests; one per API process."""

    def __init__(
        self, limiter: Limiter, writer: InboxWriter, backlog: BacklogWatch, *, ietf_headers: bool = False
    ) -> None:
        """`ietf_headers`: answers also carry RateLimit and RateLimit-Policy."""
        self._limiter = limiter
        self._writer = writer
        self._backlog = backlog
        self._ietf_headers = ietf_headers
        #: Calls that a limit let through, and that it did not.
        self.granted = 0
        self.refused = 0

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
    ) -> Answer:
        """POST /users/track: 201 once the request is committed. Raises RefusedError."""
        return await self._track(caller, body, key, stream, caller.objects)

    async def track_bulk(self, caller: Caller, body: bytes, key: IdempotencyKey | None = None) -> Answer:
        """POST /users/track/bulk: as `track`, with more objects, and behind everybody else. Raises RefusedError."""
        return await self._track(caller, body, key, STREAM_BULK, BULK_LIMITS)

    async def _track(
        self, caller: Caller, body: bytes, key: IdempotencyKey | None, stream: int, limits: Limits
    ) -> Answer:
        region = addresses.region_of(caller.options)
        if len(body) > LARGE_BODY_BYTES:  # a walk over megabytes would hold up everybody else
            checked = await asyncio.to_thread(track.check, body, limits, region)
        else:
            checked = track.check(body, limits, region)
        return await self._store(caller, stream, checked, key, 201)

    async def queue(
        self,
        caller: Caller,
        read: Callable[[bytes], Checked],
        body: bytes,
        key: IdempotencyKey | None,
        status: int,
    ) -> Answer:
        """Answer `status` once what the contract reads of a body is committed. Raises RefusedError."""
        checked = await asyncio.to_thread(read, body) if len(body) > LARGE_BODY_BYTES else read(body)
        return await self._store(caller, STREAM_NORMAL, checked, key, status)

    async def _store(
        self, caller: Caller, stream: int, checked: Checked, key: IdempotencyKey | None, status: int
    ) -> Answer:
        """Commit a request to the inbox and ring; its answer, once it is on disk, or that of the first request with
        its idempotency key. The answer must hold no value of a client: it is stored beside the key.

        Raises RefusedError 503, 403, or 422 when the key was used with another body.
        """
        if key is not None:
            key = replace(key, status=status, answer=checked.answer)
        outcome = await self.append(caller, stream, checked, key)
        if isinstance(outcome, Repeated):
            return self._repeated(caller, outcome)
        return Answer(status, checked.answer, self._request_id(caller, stream, outcome.seq))

    async def append(
        self, caller: Caller, stream: int, checked: Checked, key: IdempotencyKey | None = None
    ) -> Appended | Repeated:
        """Commit a request to the inbox and ring; where it stands, or what the first one with its key was answered.

        Raises RefusedError 503, 403 or 422.
        """
        self._backlog.check(caller.workspace_id, stream)
        codec, body = checked.codec, checked.body
        if KINDS[checked.kind].signed:
            codec, body = stored.signed(codec, body, caller.key_name)
        entry = Entry(checked.kind, codec, body, key)
        try:
            return await self._writer.append(caller.workspace_id, stream, entry)
        except KeyReusedError as error:
            raise RefusedError(422, idempotency.REUSED) from error
        except UnavailableError as error:
            if isinstance(error.__cause__, UnknownWorkspaceError):
                raise RefusedError(403, FORBIDDEN) from error
            raise unavailable() from error

    async def repeated(self, caller: Caller, key: IdempotencyKey) -> Answer | None:
        """What the first request with this key and body was answered, if it was answered when it was accepted.

        For a repeat that is refused although the first was not, since limits changed or the backlog grew meanwhile.
        """
        try:
            first = await self._writer.first(caller.workspace_id, key)
        except UnavailableError as error:
            raise unavailable() from error
        return self._repeated(caller, first) if first is not None and first.status else None

    def _repeated(self, caller: Caller, first: Repeated) -> Answer:
        return Answer(first.status, first.answer, self._request_id(caller, first.stream, first.seq), REPLAYED)

    def _request_id(self, caller: Caller, stream: int, seq: int) -> str:
        return request_id.make(caller.workspace_secret, caller.workspace_id, stream, seq)


def idempotency_key(caller: Caller, path: str, sent: Sequence[str], body: bytes) -> IdempotencyKey | None:
    """What the values of the header `Idempotency-Key` name; None when it was not sent. Raises RefusedError(400)."""
    key = idempotency.read(sent)
    if key is None:
        return None
    secret = caller.workspace_secret
    return IdempotencyKey(idempotency.digest(secret, path, key), idempotency.fingerprint(secret, body))
