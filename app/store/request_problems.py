"""What of accepted requests had no effect, or not its full one."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, text

from app.domain.profile import Problem
from app.domain.reasons import PROBLEMS_OMITTED
from app.domain.times import DAY
from app.store.bulk import BulkWrite, encode
from app.store.tables import ProblemRow

_READ = text("select doc from problem where workspace_id = :workspace_id and stream = :stream and seq = :seq")
_WRITE = BulkWrite(ProblemRow)


def write(
    connection: Connection, workspace_id: int, problems: Sequence[Problem], accepted: dict[tuple[int, int], int]
) -> None:
    """`accepted` says when each (stream, seq) was accepted."""
    documents: dict[tuple[int, int], list[tuple[str, int, str, str]]] = {}
    # In the order of the objects as they were sent. What says that there were more comes last.
    for one in sorted(problems, key=lambda one: (one.reason == PROBLEMS_OMITTED, one.ordinal)):
        of = documents.setdefault((one.stream, one.seq), [])
        of.append((one.input_array, one.index, one.field, one.reason))
    rows = [
        {"stream": stream, "seq": seq, "day": accepted[stream, seq] // DAY, "doc": encode(document)}
        for (stream, seq), document in documents.items()
    ]
    _WRITE.run(connection, workspace_id, rows)


def read(connection: Connection, workspace_id: int, stream: int, seq: int) -> list[tuple[str, int, str, str]]:
    """(input_array, index, field, reason) of every part of a request that had no effect."""
    found = connection.execute(_READ, {"workspace_id": workspace_id, "stream": stream, "seq": seq}).scalar()
    return [] if found is None else [tuple(entry) for entry in msgspec.json.decode(found)]
