"""Comparing the users of a file with a workspace, field by field, while both systems run beside each other.

A portion of the file is in memory at a time, with the profiles of its users.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from app.contract import addresses, rows, users
from app.contract.errors import ObjectRefusedError
from app.contract.portable import USERS
from app.domain import comparing
from app.domain.commands import ImportUser
from app.domain.imports import keys
from app.services import snapshots
from app.services.caller import Caller
from app.services.imports import PORTION, PORTION_BYTES, Row
from app.store.engine import Database
from app.store.profiles import look_up

#: Different fields that are counted by name; what is beyond is counted together.
MOST_FIELDS: Final = 1_000
OTHERS: Final = "others"
NOT_A_USER: Final = "is no user"


@dataclass(slots=True)
class Counts:
    """How a field of all users compares."""

    same: int = 0
    differ: int = 0
    only_there: int = 0
    only_here: int = 0

    @property
    def differences(self) -> int:
        return self.differ + self.only_there + self.only_here


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of a user that is not alike. A value is None where nothing is told."""

    row: Row
    field: str
    there: object
    here: object


@dataclass(slots=True)
class Report:
    """What comparing found."""

    #: Users of the file who are here, and who are not; rows that cannot be read.
    compared: int = 0
    missing: int = 0
    refused: int = 0
    #: Users of whom anything differs.
    different: int = 0
    fields: dict[str, Counts] = field(default_factory=dict)

    @property
    def is_equal(self) -> bool:
        return not (self.missing or self.refused or self.different)

    def of(self, name: str) -> Counts:
        if name not in self.fields and len(self.fields) >= MOST_FIELDS:
            name = OTHERS
        return self.fields.setdefault(name, Counts())


class Comparison:
    """One go through a file."""

    def __init__(
        self,
        database: Database,
        caller: Caller,
        now_us: Callable[[], int],
        *,
        mapped: rows.Mapped | None = None,
        ignored: frozenset[str] = frozenset(),
        differs: Callable[[Difference], None] = lambda _difference: None,
        refused: Callable[[Row, str], None] = lambda _row, _why: None,
    ) -> None:
        """`ignored` fields are not compared. `differs` is told of each difference, and `refused` of each row that is no
        user of this workspace, and why."""
        self._database = database
        self._caller = caller
        self._now_us = now_us
        self._mapped = mapped
        self._ignored = ignored
        self._differs = differs
        self._refused = refused
        self._region = addresses.region_of(caller.options)
        self.report = Report()

    def run(self, source: Iterable[Row]) -> Iterator[int]:
        """Compare; after each portion how many rows are done. Raises what the database raises."""
        portion: list[Row] = []
        size, done = 0, 0
        for row in source:
            length = len(row.content) if isinstance(row.content, bytes) else sum(map(len, row.content.values()))
            if portion and (len(portion) >= PORTION or size + length > PORTION_BYTES):
                self._compare(portion)
                done += len(portion)
                yield done
                portion, size = [], 0
            portion.append(row)
            size += length
        if portion:
            self._compare(portion)
            yield done + len(portion)

    def _compare(self, portion: list[Row]) -> None:
        told = [(row, *read) for row in portion if (read := self._read(row)) is not None]
        wanted = {key for _, command, _ in told for key in keys(command)}
        workspace_id = self._caller.workspace_id
        with self._database.read() as connection:
            index = look_up.find(connection, workspace_id, wanted)
            found = [next((pid for key in keys(one) for pid in index.get(key, ())), None) for _, one, _ in told]
            pids = {pid for pid in found if pid is not None}
            here = dict(snapshots.users_of(connection, workspace_id, sorted(pids), self._now_us()))
        for (row, command, is_whole), pid in zip(told, found, strict=True):
            shown = None if pid is None else here.get(pid)
            if shown is None:
                self.report.missing += 1
                self._refused(row, rows.NOBODY_HERE)
                continue
            self._beside(row, command, shown if is_whole else {**shown, "onefold": None})

    def _read(self, row: Row) -> tuple[ImportUser, bool] | None:
        """The user of a row, and whether the row has what only Onefold tells."""
        try:
            if isinstance(row.content, bytes):
                document = rows.of_text(row.content)
            else:
                document = rows.of_cells(row.content, self._mapped)
            if rows.kind_of(document) not in (USERS, rows.ATTRIBUTES):
                raise ObjectRefusedError(NOT_A_USER)
            return users.read(document, 0, self._region), bool(document.get("onefold"))
        except ObjectRefusedError as refused:
            self.report.refused += 1
            self._refused(row, refused.type)
            return None

    def _beside(self, row: Row, command: ImportUser, shown: Mapping[str, Any]) -> None:
        here = users.read(dict(shown), 0, self._region).user
        self.report.compared += 1
        is_equal = True
        for name, there, ours in comparing.pairs(command.user, here):
            if name in self._ignored or (there is None and ours is None):
                continue
            counts = self.report.of(name)
            if there is not None and ours is not None and comparing.alike(there, ours):
                counts.same += 1
                continue
            is_equal = False
            counts.differ += there is not None and ours is not None
            counts.only_there += ours is None
            counts.only_here += there is None
            self._differs(Difference(row, name, there, ours))
        self.report.different += not is_equal
