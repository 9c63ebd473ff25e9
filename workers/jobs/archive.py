"""The archive of a person: a zip of all that is held about them, for a request to see one's data.

profile.json           the profile as an export shows it, and whole, as it is stored (times in microseconds)
consent.json           what is recorded for its addresses, and for those of profiles that were merged into it
history.json           what happened to it
merged_history.jsonl   what happened to profiles that were merged into it
merges.jsonl           merges, with the profiles that are kept for an undo
events.jsonl           single events, as long as they are kept
purchases.jsonl        single purchases, likewise
sessions.jsonl         beginnings of sessions, and their ends with how many seconds they took, likewise
requests.jsonl         requests of the inbox that name the person, without their parts about others
dead_letters.jsonl     requests that could not be applied and name the person, likewise
files.json             exports that hold the person
"""

from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, Final

import msgspec
from zipstream import ZIP_DEFLATED, ZipStream

from app.contract import kinds, merge_records, request_id, stored
from app.contract.exported import View, render
from app.contract.merge_records import Renderer
from app.contract.naming import parts_naming
from app.domain import times
from app.domain.commands import STREAM_NAMES, STREAMS
from app.domain.history import Origin
from app.domain.ids import place_of
from app.domain.jobs import TARGET_GONE
from app.domain.merging.plan import MergeRecord
from app.domain.profile import (
    CHANNEL_EMAIL,
    NAME_EVENT,
    NAME_PRODUCT,
    NAME_SESSION,
    NAME_SESSION_END,
    AddressState,
    Profile,
)
from app.store import dead_letters, job_parts, jobs, person
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Stored
from app.store.person import Occurrence, Person
from workers.jobs.run import JobFailedError, LostError, Run, form_of

#: Requests that are looked at together, and bytes of them.
REQUESTS: Final = 1_000
REQUEST_BYTES: Final = 8 * 1024 * 1024

Check = Callable[[], None]


def make(run: Run) -> None:
    """The work of a job: the profile's number is in its parameters."""
    job, parts = run.job, run.parts
    files, path = parts.files, parts.files.path(job.workspace_id, job.id, form_of(job))
    with files.unnamed(path) as (file, name):
        secret = parts.secret(job.workspace_id)
        pid = job.parameters.get("pid")  # forgotten when the person was deleted
        size = pid and write(parts.database, job.workspace_id, secret, pid, parts.now_us(), file, run.check)
        if not size:
            raise JobFailedError(TARGET_GONE)
        parts.after_step(job, "file_written")
        with parts.database.write() as connection:
            run.progressed(connection, 1, 1, 0)
            job_parts.lock(connection, job.workspace_id)  # who is deleted from here on finds the job finished
            if not all(pid for part in job_parts.of(connection, job) for pid in part.pids):
                raise JobFailedError(TARGET_GONE)
            name()
            now = parts.now_us()
            expires = now + int(parts.limits.file_seconds * 1_000_000)
            if not jobs.finish(connection, job, now, result={"users": 1}, bytes_=size, expires_us=expires):
                raise LostError


def write(
    database: Database,
    workspace_id: int,
    secret: bytes,
    pid: int,
    now_us: int,
    file: IO[bytes],
    check: Check = lambda: None,
) -> int | None:
    """Write the archive of a profile; its bytes, or None when there is nobody. `check` is called now and then."""
    with database.read() as connection:
        found = person.read(connection, workspace_id, pid)
        if found is None:
            return None
        holding = person.files(connection, workspace_id, pid)
    archive = _Archive(database, workspace_id, secret, now_us, found, check)
    stream = ZipStream(compress_type=ZIP_DEFLATED, compress_level=6)
    stream.add(_json(archive.profile()), "profile.json")
    stream.add(_json(archive.consent()), "consent.json")
    stream.add(_json(archive.history()), "history.json")
    stream.add(_lines(archive.merged_history()), "merged_history.jsonl")
    stream.add(_lines(archive.merges()), "merges.jsonl")
    stream.add(_lines(archive.occurrences(NAME_EVENT)), "events.jsonl")
    stream.add(_lines(archive.occurrences(NAME_PRODUCT)), "purchases.jsonl")
    stream.add(_lines(archive.occurrences(NAME_SESSION, NAME_SESSION_END)), "sessions.jsonl")
    stream.add(_lines(archive.requests()), "requests.jsonl")
    stream.add(_lines(archive.letters()), "dead_letters.jsonl")
    stream.add(_json({"jobs": holding}), "files.json")
    size = 0
    for chunk in stream:
        check()
        file.write(chunk)
        size += len(chunk)
    return size


class _Archive:
    """The members of one archive, as JSON values."""

    def __init__(
        self, database: Database, workspace_id: int, secret: bytes, now_us: int, found: Person, check: Check
    ) -> None:
        self._database = database
        self._workspace_id = workspace_id
        self._secret = secret
        self._now_us = now_us
        self._person = found
        self._check = check
        self._renderer = Renderer(workspace_id, secret)

    def profile(self) -> dict[str, object]:
        profile = self._person.profile
        email = next(((s, us) for c, _, g, s, us in self._person.consent if c == CHANNEL_EMAIL and not g), None)
        view = View(profile, None if email is None else AddressState(*email), self._now_us)
        return {"profile": render(view, None), "stored": _stored(profile)}

    def consent(self) -> list[dict[str, object]]:
        return [
            {
                "channel": "email" if channel == CHANNEL_EMAIL else "phone",
                "address": address,
                "subscription_group_id": group or None,
                "state": state,
                "changed_at": times.iso(us),
            }
            for channel, address, group, state, us in self._person.consent
        ]

    def history(self) -> list[dict[str, object]]:
        profile = self._person.profile
        created = Origin(*place_of(profile.pid), profile.created_us)
        return self._renderer.lines(created, self._person.history)

    def merged_history(self) -> Iterator[dict[str, object]]:
        for one in self._person.merged:
            created = Origin(*place_of(one.pid), one.created_us)
            yield {"braze_id": one.braze_id, "history": self._renderer.lines(created, one.history)}

    def merges(self) -> Iterator[dict[str, object]]:
        for record in self._merges():
            document = self._renderer.record(record, self._now_us)
            if record.plan is not None:
                document |= merge_records.plan(record.plan)
            if record.snapshot is not None:
                document["merged_profile"] = _stored(record.snapshot)
            yield document

    def _merges(self) -> Iterator[MergeRecord]:
        for id_ in self._person.merges:
            self._check()
            with self._database.read() as connection:
                yield from person.records(connection, self._workspace_id, [id_])

    def occurrences(self, *kinds: int) -> Iterator[dict[str, object]]:
        with self._database.read() as connection:
            for one in person.occurrences(connection, self._workspace_id, self._person.family):
                self._check()
                if one.kind in kinds:
                    yield self._occurrence(one)

    def _occurrence(self, one: Occurrence) -> dict[str, object]:
        document: dict[str, object] = {
            **_named(one),
            "time": times.iso(one.time_us),
            "request_id": self._request_id(one.stream, one.seq),
        }
        if one.kind == NAME_PRODUCT:
            document |= {"quantity": one.quantity, "revenue": one.cents / 100}
        elif one.kind == NAME_SESSION_END:
            document["seconds"] = one.quantity
        if one.app_id is not None:
            document["app_id"] = one.app_id
        if one.properties is not None:
            document["properties"] = one.properties
        return document

    def requests(self) -> Iterator[dict[str, object]]:
        for stream in STREAMS:
            for request in self._inbox(stream):
                self._check()
                named = parts_naming(request.codec, request.body, self._person.names)
                if named is not None:
                    yield self._request(request, named)

    def _inbox(self, stream: int) -> Iterator[Stored]:
        with self._database.read(self._database.inbox) as connection:
            after = inbox.oldest(connection, self._workspace_id, stream) - 1
            head = inbox.head(connection, self._workspace_id, stream)
        while after < head:
            with self._database.read(self._database.inbox) as connection:
                page = inbox.read(connection, self._workspace_id, stream, after, 0, REQUESTS, REQUEST_BYTES)
            if not page:
                return
            yield from page
            after = page[-1].seq

    def letters(self) -> Iterator[dict[str, object]]:
        with self._database.read() as connection:
            for letter in dead_letters.whole(connection, self._workspace_id):
                self._check()
                named = parts_naming(letter.codec, letter.body, self._person.names)
                if named is not None:
                    yield self._request(letter, named)

    def _request(self, request: Stored, named: object) -> dict[str, object]:
        return {
            "request_id": self._request_id(request.stream, request.seq),
            "accepted_at": times.iso(request.accepted_us),
            "stream": STREAM_NAMES[request.stream],
            "kind": kinds.name_of(request.kind),
            "key_name": stored.opened(request.codec, request.body)[0] or None,
            "body": named,
        }

    def _request_id(self, stream: int, seq: int) -> str:
        return request_id.make(self._secret, self._workspace_id, stream, seq)


def _named(one: Occurrence) -> dict[str, object]:
    if one.kind in (NAME_SESSION, NAME_SESSION_END):
        return {"type": "session_start" if one.kind == NAME_SESSION else "session_end"}
    return {"name" if one.kind == NAME_EVENT else "product_id": one.name}


def _stored(profile: Profile) -> dict[str, object]:
    """Every field of a profile, but its number, which nobody outside sees."""
    document: dict[str, Any] = msgspec.to_builtins(profile)
    del document["pid"]
    return document


def _json(document: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _lines(documents: Iterable[object]) -> Iterator[bytes]:
    for document in documents:
        yield msgspec.json.encode(document) + b"\n"
