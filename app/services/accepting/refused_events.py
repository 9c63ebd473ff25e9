"""Recommended e-commerce events that do not follow their schema, counted by event and fault (spec ecommerce.md 2).

A refused event is in no inbox, so its count goes there by a request of Onefold's own: every few seconds one for each
workspace that had any. Then the counts are kept, shown and replayed as those of accepted events are. A process that is
killed loses the counts of these seconds, and nothing else.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Final

from app.contract.checked import commands_checked
from app.contract.errors import ObjectError
from app.domain.commands import STREAM_NORMAL, CountRefused
from app.services.accepting.writer import InboxWriter
from app.services.refusals import UnavailableError
from app.store.inbox.log import Entry, UnknownWorkspaceError

SECONDS: Final = 5.0


class RefusedEvents:
    """One per API process and event loop."""

    def __init__(self, writer: InboxWriter) -> None:
        self._writer = writer
        #: {workspace: {(event, fault): how often}}, of what is not stored yet: 24 numbers of a workspace at most.
        self._waiting: dict[int, Counter[tuple[str, str]]] = {}
        self._task: asyncio.Task[None] | None = None
        #: (event, fault) -> how often in this process, for metrics.
        self.total: Counter[tuple[str, str]] = Counter()

    def count(self, workspace_id: int, errors: Iterable[ObjectError]) -> None:
        """Count those of a request's errors that are about such events."""
        found = Counter((error.event, error.code) for error in errors if error.event)
        if found:
            self.total.update(found)
            self._waiting.setdefault(workspace_id, Counter()).update(found)

    def start(self) -> None:
        """Store what was counted from now on, until `aclose`."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        """Stop, and store the rest."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self.flush()

    async def flush(self) -> None:
        """Store what was counted. While the database is away it waits for the next time."""
        waiting, self._waiting = self._waiting, {}
        for workspace_id, found in waiting.items():
            commands = [
                CountRefused(index, event, fault, count) for index, ((event, fault), count) in enumerate(found.items())
            ]
            checked = commands_checked(commands)
            try:
                await self._writer.append(workspace_id, STREAM_NORMAL, Entry(checked.kind, checked.codec, checked.body))
            except UnavailableError as error:
                if not isinstance(error.__cause__, UnknownWorkspaceError):
                    self._waiting.setdefault(workspace_id, Counter()).update(found)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SECONDS)
            await self.flush()
