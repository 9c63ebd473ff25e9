"""What is kept about requests that have left the inbox: the order in which they were applied, and dead letters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from app.domain.commands import StreamKey
from app.store import dead_letters, lane
from app.store.chunks import CHUNK, repeat
from app.store.engine import Database

_OLDEST: Final = text(
    """
    select h.workspace_id, h.stream, coalesce(
        (select min(i.seq) from inbox i where i.workspace_id = h.workspace_id and i.stream = h.stream
            /*here i.workspace_id*/), h.head + 1
    ) from inbox_head h where h.head > 0 /*here h.workspace_id*/
    """
)
_FIRST: Final = text(
    "select n, stream, to_seq from applied where workspace_id = :workspace_id and n < :last order by n limit :chunk"
)
#: The newest first: what is beyond a size in sum is the oldest.
_LARGE: Final = text(
    """
    select workspace_id, stream, seq from (
        select workspace_id, stream, seq,
               sum(length(body)) over (partition by workspace_id order by accepted_us desc, seq desc) as total
        from dead where length(body) > 0 /*here workspace_id*/
    ) d where total > :most limit :chunk
    """
)
_MANY: Final = text(
    """
    select workspace_id, stream, seq from (
        select workspace_id, stream, seq,
               row_number() over (partition by workspace_id order by accepted_us desc, seq desc) as place
        from dead where true /*here workspace_id*/
    ) d where place > :most
    """
)
_DELETE: Final = text("delete from dead where workspace_id = :workspace_id and stream = :stream and seq = :seq")
_FORGET: Final = text("delete from applied where workspace_id = :workspace_id and n <= :n")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of each workspace. What is beyond goes, the oldest first."""

    dead_letters: int
    dead_letter_bytes: int


def trim(database: Database, bounds: Bounds) -> dict[str, int]:
    """Drop what nobody can ask for any more, and what exceeds the bounds: {what: how many}."""
    kept = oldest(database)

    def is_gone(workspace_id: int, stream: int, seq: int) -> bool:
        return seq < kept.get(StreamKey(workspace_id, stream), 0)

    done = {
        "applied": _forget_ranges(database, kept),
        "dead_bodies": dead_letters.blank_all(database, _LARGE, {"most": bounds.dead_letter_bytes}),
        "dead_letters": _forget_letters(database, bounds.dead_letters, is_gone),
    }
    return {what: number for what, number in done.items() if number}


def oldest(database: Database) -> dict[StreamKey, int]:
    """Number of the oldest request of each stream that is still in the inbox; of the next one where none is."""
    with database.read(database.inbox) as connection:
        rows = connection.execute(_OLDEST).all()
    return {StreamKey(workspace_id, stream): int(seq) for workspace_id, stream, seq in rows}


def _forget_letters(database: Database, most: int, is_gone: Callable[[int, int, int], bool]) -> int:
    """Of each workspace that has more than `most`, the oldest for which `is_gone(workspace, stream, number)`.

    A replay of the inbox has to leave the others out.
    """

    def part() -> int:
        with database.read() as connection:
            rows = [row for row in connection.execute(_MANY, {"most": most}) if is_gone(*row)][:CHUNK]
        with database.write() as connection:
            for row in rows:
                connection.execute(_DELETE, row._asdict())
        return len(rows)

    return repeat(part)


def _forget_ranges(database: Database, kept: dict[StreamKey, int]) -> int:
    """The first ranges of each workspace, as far as all their requests are gone: nobody can replay them. The last range
    stays, since the next batch may extend it."""
    forgotten = 0
    for workspace_id in sorted({key.workspace_id for key in kept}):

        def part(workspace_id: int = workspace_id) -> int:
            with database.read() as connection:
                found = lane.read(connection, workspace_id)
                if found is None:
                    return 0
                values = {"workspace_id": workspace_id, "last": found.applied_n, "chunk": CHUNK}
                rows = connection.execute(_FIRST, values).all()
            gone = 0
            for row in rows:
                if row.to_seq >= kept.get(StreamKey(workspace_id, row.stream), 0):
                    break
                gone = row.n
            if not gone:
                return 0
            with database.write() as connection:
                return connection.execute(_FORGET, {"workspace_id": workspace_id, "n": gone}).rowcount

        forgotten += repeat(part)
    return forgotten
