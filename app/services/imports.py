"""Importing files: rows become requests of the bulk stream, a portion at a time, each row once.

How far a file is stands in the transaction that stores its rows. So whoever is killed goes on where it ended, and a
file that was imported as a whole has no row left to import.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from app.contract import addresses, rows, track, users
from app.contract.checked import Checked
from app.contract.errors import ObjectRefusedError, RefusedError
from app.contract.portable import USERS
from app.contract.subscription_groups import CHANNELS
from app.domain.commands import STREAM_BULK, ImportUser
from app.domain.loading import looked_up
from app.services.accepting.acceptor import entry_of
from app.services.caller import Caller
from app.store import apps, lane, subscription_groups
from app.store.engine import Database
from app.store.inbox import import_files
from app.store.inbox import log as inbox
from app.store.inbox.import_files import OtherRunError
from app.store.inbox.log import Entry
from app.store.profiles import look_up

__all__ = ["Import", "OtherRunError", "Report", "Row", "Way"]

#: Rows and bytes of one portion, which is one request, and is applied at once.
PORTION: Final = 250
PORTION_BYTES: Final = 512 * 1024
#: Requests that may wait to be applied.
MOST_AHEAD: Final = 200
_PAUSE_SECONDS: Final = 0.05
#: Different (field, why) that a report counts; what is beyond is counted together.
MOST_IGNORED: Final = 1_000
OTHERS: Final = ("others", "…")
_NO_LIMITS: Final = track.Limits(None, None)


@dataclass(frozen=True, slots=True)
class Row:
    """A row as a source gives it, with its place: text of JSON, or the cells of a line by column."""

    file: str
    line: int
    content: bytes | dict[str, str]


@dataclass(frozen=True, slots=True)
class Way:
    """How rows are read."""

    overwrite: bool = False
    #: One of rows.KINDS; None: each row tells.
    kind: str | None = None
    #: Of tables.
    mapped: rows.Mapped | None = None

    def as_bytes(self) -> bytes:
        """A part of what a file is known by: read otherwise it is another import."""
        return msgspec.json.encode([self.overwrite, self.kind, sorted((self.mapped or {}).items())])


@dataclass(slots=True)
class Report:
    """What became of rows."""

    #: Rows of each kind that were taken.
    taken: Counter[str] = field(default_factory=Counter)
    #: Rows that an earlier run had imported.
    before: int = 0
    refused: int = 0
    #: (field, why) -> how often a field of a user was left out.
    ignored: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: Of a dry run: users whom somebody is here already.
    known: int = 0
    #: Number of the last request.
    last: int = 0

    def ignore(self, fields: Iterable[tuple[str, str]]) -> None:
        """Count fields that were left out."""
        for one in fields:
            self.ignored[one if one in self.ignored or len(self.ignored) < MOST_IGNORED else OTHERS] += 1


@dataclass(slots=True)
class _Portion:
    """Rows that are sent together: users, or objects of /users/track."""

    is_users: bool
    objects: list[tuple[Row, str, dict[str, Any]]] = field(default_factory=list)
    bytes: int = 0
    #: How many rows of the file are done with it, those that were refused among them.
    until: int = 0


class Import:
    """One run of a file."""

    def __init__(
        self,
        database: Database,
        caller: Caller,
        digest: bytes,
        way: Way,
        now_us: Callable[[], int],
        *,
        dry: bool = False,
        retell: bool = False,
        most_files: int = import_files.MOST_FILES,
        gone: Callable[[Mapping[str, Any]], bool] = lambda _document: False,
        refused: Callable[[Row, str], None] = lambda _row, _why: None,
        waiting: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """`digest` stands for the file and the way it is read. `retell`: what an earlier run imported is read again,
        so that the report is of the whole file; it is not imported again. `most_files` of the workspace are remembered.

        `gone` says whether a row names somebody who was deleted since the file came. `refused` is told of each row that
        is not taken, and `waiting` for how long nothing was applied while there is no room for more.
        """
        self._database = database
        self._caller = caller
        self._digest = digest
        self._way = way
        self._now_us = now_us
        self._dry = dry
        self._retell = retell
        self._most_files = most_files
        self._gone = gone
        self._refused = refused
        self._waiting = waiting
        self._region = addresses.region_of(caller.options)
        self.report = Report()

    def run(self, source: Iterable[Row]) -> Iterator[int]:
        """Import the rows; after each portion how many are done. Raises OtherRunError, what the database raises."""
        if not self._dry:
            with self._database.read(self._database.inbox) as connection:
                self.report.before = import_files.done(connection, self._caller.workspace_id, self._digest)
        done = self.report.before
        for portion in self._portions(source):
            entries = self._entries(portion)
            if not self._dry and portion.until > done:
                self._send((done, portion.until), entries)
                done = portion.until
            yield portion.until

    def wait(self) -> None:
        """Until all that was sent is applied."""
        self._wait(self.report.last)

    def _portions(self, source: Iterable[Row]) -> Iterator[_Portion]:
        portion, n = _Portion(is_users=True), 0
        for row in source:
            n += 1
            if n <= self.report.before and not self._retell:
                continue
            if n == self.report.before + 1 and portion.until:  # what is sent is apart from what was
                yield portion
                portion = _Portion(is_users=True)
            try:
                kind, document = self._read(row)
            except ObjectRefusedError as error:
                self._refuse(row, error.type)
                portion.until = n
                continue
            size = len(row.content) if isinstance(row.content, bytes) else sum(map(len, row.content.values()))
            full = len(portion.objects) >= PORTION or portion.bytes + size > PORTION_BYTES
            if portion.objects and (full or portion.is_users is not (kind == USERS)):
                yield portion
                portion = _Portion(is_users=kind == USERS)
            portion.is_users = kind == USERS
            portion.objects.append((row, kind, document))
            portion.bytes += size
            portion.until = n
        if portion.until:
            yield portion

    def _read(self, row: Row) -> tuple[str, dict[str, Any]]:
        if isinstance(row.content, bytes):
            document = rows.of_text(row.content)
        else:
            document = rows.of_cells(row.content, self._way.mapped)
        kind = self._way.kind or rows.kind_of(document)
        # What no store can hold is refused here, so that a body can be made of what is left.
        if kind != USERS and rows.encoded(document) is None:
            raise ObjectRefusedError(rows.UNSTORABLE)
        if self._gone(document):
            raise ObjectRefusedError(rows.DELETED)
        return kind, document

    def _refuse(self, row: Row, why: str) -> None:
        self.report.refused += 1
        self._refused(row, why)

    def _entries(self, portion: _Portion) -> list[Entry]:
        checked = self._users(portion) if portion.is_users else self._tracked(portion)
        return [] if checked is None else [entry_of(self._caller, checked)]

    def _users(self, portion: _Portion) -> Checked | None:
        commands: list[ImportUser] = []
        for row, _, document in portion.objects:
            try:
                command = users.read(document, len(commands), self._region, overwrite=self._way.overwrite)
            except ObjectRefusedError as error:
                self._refuse(row, error.type)
                continue
            commands.append(command)
            self.report.ignore(command.ignored)
        self.report.taken[USERS] += len(commands)
        if self._dry and commands:
            with self._database.read() as connection:
                wanted = {key for command in commands for key in looked_up(command)}
                index = look_up.find(connection, self._caller.workspace_id, wanted)
            self.report.known += sum(any(index.get(key) for key in looked_up(command)) for command in commands)
        return users.checked(commands) if commands else None

    def _tracked(self, portion: _Portion) -> Checked | None:
        arrays: dict[str, list[Any]] = {}
        places: dict[tuple[str, int], Row] = {}
        for row, kind, document in portion.objects:
            array = arrays.setdefault(kind, [])
            places[kind, len(array)] = row
            array.append(rows.tracked(document))
        body = msgspec.json.encode(arrays)
        groups, named = track.names_of(body)
        try:
            checked = track.check_exactly(
                body,
                _NO_LIMITS,
                self._region,
                ecommerce_events=track.wants_ecommerce(self._caller.options),
                groups=self._groups(groups),
                platforms=self._platforms(named),
            )
            errors = checked.errors
        except RefusedError as error:
            checked, errors = None, tuple(error.errors)
        for each in errors:
            self._refuse(places.pop((each.input_array, each.index)), each.type)
        self.report.taken.update(kind for kind, _ in places)
        return checked

    def _groups(self, ids: set[str]) -> dict[str, int]:
        found = subscription_groups.find(self._database, self._caller.workspace_id, ids) if ids else {}
        return {id_: CHANNELS[group.channel] for id_, group in found.items()}

    def _platforms(self, ids: set[str]) -> dict[str, str]:
        found = apps.find(self._database, self._caller.workspace_id, ids) if ids else {}
        return {id_: app.platform for id_, app in found.items()}

    def _send(self, done: tuple[int, int], entries: Sequence[Entry]) -> None:
        database, workspace_id = self._database, self._caller.workspace_id
        with database.read(database.inbox) as connection:
            head = inbox.head(connection, workspace_id, STREAM_BULK)
        self._wait(head - MOST_AHEAD)
        with database.write(database.inbox) as connection:
            appended = import_files.append(
                connection, workspace_id, self._digest, done, entries, self._now_us(), self._most_files
            )
        if appended:
            self.report.last = appended[-1].seq

    def _wait(self, seq: int) -> None:
        moved, cursor = time.monotonic(), -1
        while True:
            with self._database.read() as connection:
                found = lane.read(connection, self._caller.workspace_id)
            if found is None or found.cursors[STREAM_BULK] >= seq:
                return
            if found.cursors[STREAM_BULK] != cursor:
                moved, cursor = time.monotonic(), found.cursors[STREAM_BULK]
            self._waiting(time.monotonic() - moved)
            time.sleep(_PAUSE_SECONDS)
