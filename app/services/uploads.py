"""Files that somebody sends for an import: received onto the disk, a chunk at a time, and then worked on by a job.

The job is there before the first byte, so that nobody takes the file for one that is left over. It is due when the file
is complete. Where the process dies before that, the job becomes due by itself, finds no file, and fails.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import BinaryIO, Final
from uuid import uuid4

from app.adapters.files import Files
from app.contract.errors import TOO_LARGE, RefusedError
from app.contract.import_files import EMPTY, FileImport
from app.domain.jobs import IMPORT
from app.domain.times import SECOND
from app.services import jobs
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.refusals import StorageFullError, TooManyJobsError
from app.store import jobs as store
from app.store.engine import Database
from app.store.jobs import Job

#: Bytes that are written at once.
CHUNK: Final = 256 * 1024
#: Bytes a second that a client has to send, beside the time that any body has.
LEAST_RATE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a workspace may send."""

    #: Of one file.
    file_bytes: int
    #: Of all its files, those that its jobs make among them.
    workspace_bytes: int
    #: Queued and running jobs.
    jobs: int
    #: For any body.
    seconds: float

    def time_for(self, size: int) -> float:
        """Seconds in which so many bytes have to be here."""
        return self.seconds + size / LEAST_RATE


class Uploads:
    """One per API process."""

    def __init__(
        self,
        database: Database,
        calls: StoreCalls,
        files: Files,
        bounds: Bounds,
        now_us: Callable[[], int],
        ring: Callable[[], None],
        public_url: str = "",
    ) -> None:
        """`ring` tells the workers that a job is queued. `public_url`: as for app.services.jobs.Jobs."""
        self._database = database
        self._calls = calls
        self._files = files
        self._now_us = now_us
        self._ring = ring
        self._public_url = public_url
        self.bounds = bounds

    async def take(
        self,
        caller: Caller,
        wanted: FileImport,
        chunks: AsyncIterator[bytes],
        length: int | None,
        reached_at: str = "",
    ) -> Job:
        """Receive a file and queue its import. `length` is what the client says of it, None = nothing.

        Raises RefusedError(413) for a file that is too large and 400 for an empty one, TooManyJobsError,
        StorageFullError, UnavailableError, and what `chunks` raises; then nothing is left of the file.
        """
        if length is not None and length > self.bounds.file_bytes:
            raise RefusedError(413, TOO_LARGE)
        parameters = {**wanted.parameters(), "base": self._public_url or reached_at}
        id_ = await self._calls.run(lambda: self._begin(caller, parameters, length))
        try:
            size = await self._receive(caller.workspace_id, id_, chunks)
            job = await self._calls.run(lambda: self._arrived(caller, id_, size))
        except Exception:
            await self._calls.run(lambda: self._give_up(caller.workspace_id, id_))
            raise
        self._ring()
        return job

    def _begin(self, caller: Caller, parameters: dict[str, object], length: int | None) -> str:
        id_, workspace_id, now_us = str(uuid4()), caller.workspace_id, self._now_us()
        size = self.bounds.file_bytes if length is None else length
        latest_us = now_us + int(2 * self.bounds.time_for(size) * SECOND)
        with self._database.write() as connection:
            if store.unfinished(connection, workspace_id) >= self.bounds.jobs:
                raise TooManyJobsError
            if store.used_bytes(connection, workspace_id) + (length or 0) > self.bounds.workspace_bytes:
                raise StorageFullError
            store.create(connection, workspace_id, id_, IMPORT, id_, parameters, caller.key_name, now_us, latest_us)
            store.received(connection, workspace_id, id_, length or 0, latest_us)
        return id_

    async def _receive(self, workspace_id: int, id_: str, chunks: AsyncIterator[bytes]) -> int:
        """Write the file; its bytes."""
        size, held = 0, bytearray()
        opened = self._files.unnamed(self._files.upload(workspace_id, id_))
        file, name = await self._calls.run(opened.__enter__)
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > self.bounds.file_bytes:
                    raise RefusedError(413, TOO_LARGE)
                held += chunk
                if len(held) >= CHUNK:
                    await self._write(file, bytes(held))
                    held.clear()
            if not size:
                raise RefusedError(400, EMPTY)
            await self._write(file, bytes(held))
            await self._calls.run(name)
        finally:
            opened.__exit__(None, None, None)
        return size

    async def _write(self, file: BinaryIO, chunk: bytes) -> None:
        def write() -> None:
            file.write(chunk)

        await self._calls.run(write)

    def _arrived(self, caller: Caller, id_: str, size: int) -> Job:
        with self._database.write() as connection:
            others = store.used_bytes(connection, caller.workspace_id, id_)
            if others + size > self.bounds.workspace_bytes:
                raise StorageFullError
            store.received(connection, caller.workspace_id, id_, size, 0)
        return jobs.get(self._database, caller, id_)

    def _give_up(self, workspace_id: int, id_: str) -> None:
        with self._database.write() as connection:
            store.cancel(connection, workspace_id, id_, self._now_us())
        self._files.remove(workspace_id, id_)
