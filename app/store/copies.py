"""SQLite: copies of both files as they were at one instant, while everybody goes on reading and writing.

A file has one writer at a time. Whoever is, for a moment, the writer of both files sees no transaction half done. Two
readers that begin in that moment see just this for as long as they read, whatever is written meanwhile. So a copy holds
what `kill -9` of every process at that instant would have left, and is started from in the same way.

Two copies of different instants would not do. A cursor that is newer than the inbox skips requests that are accepted
later. An inbox that is newer than the cursor may have dropped requests which that cursor has before it, and has
requests of workspaces whose numbers will be given out again.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from app.store.engine import inbox_file
from app.store.lane import STREAM_COLUMNS

#: How long others may be writing before we give up, in seconds.
PATIENCE_SECONDS: Final = 60.0
#: Pages that are copied at a time; between two, a Ctrl-C is heard.
_PAGES: Final = 4_096

_CURSORS: Final = (
    "select workspace_id, cursor_normal, cursor_bulk from lane"
    " where workspace_id not in (select workspace_id from workspace_deletion)"
)
_HEADS: Final = "select workspace_id, stream, head from inbox_head"
_NEXT: Final = "select min(seq) from inbox where workspace_id = ? and stream = ? and seq > ?"


class BrokenCopyError(Exception):
    """A file is damaged, or the two do not belong together. The message holds no value of anybody."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Readers of both files that see them at one instant."""

    main: sqlite3.Connection
    inbox: sqlite3.Connection
    #: Revision of the schema.
    schema: str


@contextmanager
def snapshot(
    main: Path, hold: Callable[[], None] = lambda: None, patience_seconds: float = PATIENCE_SECONDS
) -> Iterator[Snapshot]:
    """Both files at one instant, until the end of the block. Their logs grow meanwhile: nothing can be written back.

    `hold` is called at that instant, while nobody can write. Raises sqlite3.Error, also where others write for longer
    than our patience.
    """
    paths = (main, inbox_file(main))
    with ExitStack() as stack:
        # The order in which everybody takes both: the main file first (app.store.renewal).
        with ExitStack() as writing:
            for path in paths:
                writer = writing.enter_context(_opened(path, patience_seconds))
                writer.execute("begin immediate")
            hold()
            main_reader, inbox_reader = (stack.enter_context(_opened(path, patience_seconds)) for path in paths)
            for reader in (inbox_reader, main_reader):
                reader.execute("begin")
                # What a reader sees begins with the first thing that it reads.
                (schema,) = reader.execute("select version_num from alembic_version").fetchone()
        yield Snapshot(main_reader, inbox_reader, schema)


def write(reader: sqlite3.Connection, path: Path) -> None:
    """Write what a reader sees into a new file, mode 600, and bring it to the disk. Raises OSError, sqlite3.Error."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(path, isolation_level=None)) as target:
        target.execute("pragma journal_mode = off")
        target.execute("pragma synchronous = off")
        reader.backup(target, pages=_PAGES, sleep=0)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check(main: Path) -> None:
    """See that two files which nobody uses are whole and belong together. Raises BrokenCopyError."""
    try:
        with _opened(main) as one, _opened(inbox_file(main)) as other:
            for name, connection in (("main", one), ("inbox", other)):
                if connection.execute("pragma quick_check(1)").fetchone() != ("ok",):
                    raise BrokenCopyError(f"the {name} file is damaged")
            _check_cursors(one, other)
    except sqlite3.Error as error:
        raise BrokenCopyError(f"a file cannot be read ({type(error).__name__})") from error


def _check_cursors(main: sqlite3.Connection, inbox: sqlite3.Connection) -> None:
    """Each cursor is one of the inbox's numbers, and every request behind it is there."""
    heads: Mapping[tuple[int, int], int] = {(one, stream): head for one, stream, head in inbox.execute(_HEADS)}
    for workspace_id, *cursors in main.execute(_CURSORS):
        for stream, cursor in enumerate(cursors):
            where = f"workspace {workspace_id}, stream {STREAM_COLUMNS[stream]}"
            head = heads.get((workspace_id, stream), 0)
            if cursor > head:
                raise BrokenCopyError(f"{where}: applied up to {cursor}, accepted up to {head}")
            if cursor < head and inbox.execute(_NEXT, (workspace_id, stream, cursor)).fetchone() != (cursor + 1,):
                raise BrokenCopyError(f"{where}: the inbox lacks the request behind {cursor}")


@contextmanager
def _opened(path: Path, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[sqlite3.Connection]:
    """A connection to a file that exists, outside of any transaction."""
    uri = f"file:{quote(str(path.resolve()))}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=patience_seconds, isolation_level=None)) as connection:
        try:
            yield connection
        finally:
            with suppress(sqlite3.Error):
                connection.rollback()
