"""Work on many rows in many short transactions: whoever writes beside it waits for one of them at most."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Engine, bindparam, text

from app.store.engine import Database

#: Rows of one transaction, and bytes of what is deleted with them: SQLite overwrites it with zeros.
CHUNK: Final = 1_000
CHUNK_BYTES: Final = 8 * 1024 * 1024
#: One call works for at most about this long; the rest is for the next one.
SECONDS: Final = 15.0
#: The longest pause between two transactions. Each is as long as the transaction before it.
LONGEST_PAUSE_SECONDS: Final = 0.1


def repeat(part: Callable[[], int]) -> int:
    """Do part after part, each a transaction of its own, until one has nothing to do; the sum of what they did."""
    done, ends = 0, time.monotonic() + SECONDS
    while (began := time.monotonic()) < ends:
        did = part()
        if not did:
            break
        done += did
        # SQLite lets nobody in who waits when the next transaction begins at once.
        time.sleep(min(time.monotonic() - began, LONGEST_PAUSE_SECONDS))
    return done


def delete_sqlite(
    database: Database,
    engine: Engine,
    table: str,
    condition: str,
    values: dict[str, Any],
    *,
    select: str = "0 as size",
    spares: Callable[[Any], bool] = lambda _row: False,
) -> int:
    """Delete the rows for which a condition holds. They are looked for without keeping anybody from writing.

    `select` gives the `size` of a row in bytes, and what `spares` asks for: whether it stays all the same.
    """
    find = text(
        f"select rowid, {select} from {table} where {condition} and rowid > :after order by rowid limit {CHUNK}"
    )
    delete = text(f"delete from {table} where rowid in :rows").bindparams(bindparam("rows", expanding=True))
    after, deleted = 0, 0

    def part() -> int:
        nonlocal after, deleted
        with database.read(engine) as connection:
            rows = fitting(connection.execute(find, {**values, "after": after}).all())
        if not rows:
            return 0
        after = rows[-1].rowid
        over = [row.rowid for row in rows if not spares(row)]
        if over:
            with database.write(engine) as connection:
                deleted += connection.execute(delete, {"rows": over}).rowcount
        return len(rows)

    repeat(part)
    return deleted


def fitting(rows: Sequence[Any]) -> list[Any]:
    """The first rows, at least one, that are together no larger than CHUNK_BYTES."""
    found: list[Any] = []
    size = 0
    for row in rows:
        size += row.size
        if found and size > CHUNK_BYTES:
            break
        found.append(row)
    return found
