"""What is kept about profiles beside them: lines of history, old records of merges, and deletions.

None of the tables has an index by age, since writing one would cost every merge and every new profile. They are walked
instead: a window of rows of each at a time, and from the beginning again at the end.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, TextClause, text

from app.domain.times import DAY
from app.store.chunks import CHUNK, repeat
from app.store.engine import Database

#: Rows of a table that are looked at in one go.
WINDOW: Final = 20_000
#: Records of merges that one transaction drops: each takes lines of two profiles with it.
_RECORDS_AT_ONCE: Final = 100
#: A profile keeps at least so many lines of its history, whatever is set.
LEAST_LINES: Final = 100
#: A record of a merge stays at least so long: by then the events of the merged profile have aged out, and nobody needs
#: to know whose they are.
LEAST_MERGE_DAYS: Final = 40


@dataclass(frozen=True, slots=True)
class Keeping:
    """How much is kept. What is beyond goes, the oldest first."""

    #: Lines of the history of one profile.
    history_lines: int = 10**9
    #: Days for which it is known that a merge was done; longer where it can still be undone.
    merge_days: int = 100_000
    #: Days for which it is known that a profile was deleted.
    deletion_days: int = 100_000


_OVER: Final = text(
    """
    select workspace_id, pid, count(*) as number from (
        select workspace_id, pid from history where (workspace_id, pid) >= (:workspace_id, :pid) /*here workspace_id*/
        order by workspace_id, pid limit :window
    ) h group by workspace_id, pid having count(*) > :most
    """
)
_LAST_LINE: Final = text(
    "select workspace_id, pid from history where (workspace_id, pid) >= (:workspace_id, :pid) /*here workspace_id*/"
    " order by workspace_id, pid limit 1 offset :skip"
)
_LINES: Final = text("select count(*) from history where workspace_id = :workspace_id and pid = :pid")
_CUT: Final = text(
    "delete from history where workspace_id = :workspace_id and (workspace_id, pid, us, ordinal, what) in"
    " (select workspace_id, pid, us, ordinal, what from history where workspace_id = :workspace_id and pid = :pid"
    " order by us, ordinal, what limit :chunk)"
)

_OLD_RECORDS: Final = text(
    """
    select workspace_id, id, kept_pid, merged_pid, is_undone from (
        select workspace_id, id, kept_pid, merged_pid, us, plan is null as is_final, undone is not null as is_undone
        from merge_record where (workspace_id, id) > (:workspace_id, :id) /*here workspace_id*/
        order by workspace_id, id limit :window
    ) r where us < :us and is_final
    """
)
_LAST_RECORD: Final = text(
    "select workspace_id, id from merge_record where (workspace_id, id) > (:workspace_id, :id) /*here workspace_id*/"
    " order by workspace_id, id limit 1 offset :skip"
)
#: Once nobody can say any more who was merged into a profile, its history must not say it either: deleting that person
#: could not take the line out.
_FORGET_MERGE: Final = [
    text(
        "delete from history where workspace_id = :workspace_id and pid in (:kept_pid, :merged_pid) and merge_id = :id"
    ),
    text("delete from merge_record where workspace_id = :workspace_id and id = :id"),
]
#: Of a merge that was not undone: what is known of the profile that is no more.
_FORGET_MERGED: Final = [
    text("delete from history where workspace_id = :workspace_id and pid = :merged_pid"),
    text("delete from lineage where workspace_id = :workspace_id and member_pid = :merged_pid"),
]

_OLD_DELETIONS: Final = text(
    """
    select workspace_id, erased_id from (
        select workspace_id, erased_id, us from deletion
        where (workspace_id, erased_id) > (:workspace_id, :id) /*here workspace_id*/
        order by workspace_id, erased_id limit :window
    ) d where us < :us
    """
)
_LAST_DELETION: Final = text(
    "select workspace_id, erased_id from deletion where (workspace_id, erased_id) > (:workspace_id, :id)"
    " /*here workspace_id*/ order by workspace_id, erased_id limit 1 offset :skip"
)
_FORGET_DELETION: Final = text("delete from deletion where workspace_id = :workspace_id and erased_id = :erased_id")

_FIRST_PID: Final = -(2**63)


class Retained:
    """Remembers how far it has walked; a process that starts anew begins at the first rows."""

    def __init__(self, database: Database, keeping: Keeping, window: int = WINDOW) -> None:
        self._database = database
        self._keeping = keeping
        self._window = window
        self._line = (0, _FIRST_PID)
        self._record = (0, "")
        self._deletion = (0, "")

    def trim(self, now_us: int) -> dict[str, int]:
        """Drop what is too much or too old in the next window of each table: {what: how many}."""
        done = {
            "history": self._trim_history(),
            "merges": self._trim_records(now_us - self._keeping.merge_days * DAY),
            "deletions": self._trim_deletions(now_us - self._keeping.deletion_days * DAY),
        }
        return {what: number for what, number in done.items() if number}

    def _trim_history(self) -> int:
        workspace_id, pid = self._line
        most = self._keeping.history_lines
        window = max(self._window, most + 1)  # more lines than one profile may have
        place = {"workspace_id": workspace_id, "pid": pid, "window": window, "skip": window - 1}
        with self._database.read() as connection:
            over = connection.execute(_OVER, {**place, "most": most}).all()
            last = connection.execute(_LAST_LINE, place).one_or_none()

        def cut(row: Any) -> Callable[[Connection], int]:
            values = {"workspace_id": row.workspace_id, "pid": row.pid}

            def work(connection: Connection) -> int:
                number = connection.execute(_LINES, values).scalar_one() - most
                if number <= 0:
                    return 0
                return connection.execute(_CUT, {**values, "chunk": min(number, CHUNK)}).rowcount

            return work

        dropped, is_done = self._drop(cut(row) for row in over for _ in range(-(-(row.number - most) // CHUNK)))
        if is_done:
            self._line = (0, _FIRST_PID) if last is None else (last.workspace_id, last.pid)
            if self._line == (workspace_id, pid):  # one profile had all the lines of the window
                self._line = (workspace_id, pid + 1)
        return dropped

    def _trim_records(self, before_us: int) -> int:
        def forget(rows: Sequence[Any]) -> Callable[[Connection], int]:
            def work(connection: Connection) -> int:
                for row in rows:
                    values = row._asdict()
                    for statement in _FORGET_MERGE if row.is_undone else (*_FORGET_MERGE, *_FORGET_MERGED):
                        connection.execute(statement, values)
                return len(rows)

            return work

        old, last = self._window_of(_OLD_RECORDS, _LAST_RECORD, self._record, before_us)
        dropped, is_done = self._drop(map(forget, _parts(old, _RECORDS_AT_ONCE)))
        if is_done:
            self._record = last
        return dropped

    def _trim_deletions(self, before_us: int) -> int:
        def forget(rows: Sequence[Any]) -> Callable[[Connection], int]:
            values = [row._asdict() for row in rows]
            return lambda connection: connection.execute(_FORGET_DELETION, values).rowcount

        old, last = self._window_of(_OLD_DELETIONS, _LAST_DELETION, self._deletion, before_us)
        dropped, is_done = self._drop(map(forget, _parts(old, CHUNK)))
        if is_done:
            self._deletion = last
        return dropped

    def _window_of(
        self, find: TextClause, end: TextClause, place: tuple[int, str], before_us: int
    ) -> tuple[list[Any], tuple[int, str]]:
        """(rows that are too old, where the next window begins)."""
        values = {
            "workspace_id": place[0],
            "id": place[1],
            "window": self._window,
            "skip": self._window - 1,
            "us": before_us,
        }
        with self._database.read() as connection:
            old = list(connection.execute(find, values))
            last = connection.execute(end, values).one_or_none()
        return old, (0, "") if last is None else (last[0], last[1])

    def _drop(self, works: Iterator[Callable[[Connection], int]]) -> tuple[int, bool]:
        """(rows that went, whether all works were done in the time of one call): each in a transaction of its own."""
        dropped, is_done = 0, False

        def part() -> int:
            nonlocal dropped, is_done
            work = next(works, None)
            if work is None:
                is_done = True
                return 0
            with self._database.write() as connection:
                dropped += work(connection)
            return 1

        repeat(part)
        return dropped, is_done


def _parts(rows: list[Any], size: int) -> Iterator[list[Any]]:
    return (rows[n : n + size] for n in range(0, len(rows), size))
