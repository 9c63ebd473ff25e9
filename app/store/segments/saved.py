"""Segments as they are kept, and their daily sizes."""

from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, text, update
from sqlmodel import SQLModel

from app.store.reach import here
from app.store.tables import Segment, SegmentSize

_SEGMENTS: Final = SQLModel.metadata.tables["segment"]
_SIZES: Final = SQLModel.metadata.tables["segment_size"]
#: Whoever adds a segment holds this, so that two cannot exceed the bound together.
_LOCK: Final = text("select pg_advisory_xact_lock(727011, :workspace_id)")


def lock(connection: Connection, workspace_id: int) -> None:
    """Wait for whoever adds or removes segments of the workspace. SQLite's writers wait for each other anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"workspace_id": workspace_id})


def count(connection: Connection, workspace_id: int) -> int:
    """How many segments the workspace has."""
    return int(connection.execute(select(func.count()).where(_SEGMENTS.c.workspace_id == workspace_id)).scalar_one())


def page(connection: Connection, workspace_id: int, skip: int, limit: int, *, newest: bool = False) -> list[Segment]:
    """Segments by their age."""
    order = [_SEGMENTS.c.created_us, _SEGMENTS.c.id]
    found = select(_SEGMENTS).where(_SEGMENTS.c.workspace_id == workspace_id)
    found = found.order_by(*(column.desc() if newest else column for column in order)).offset(skip).limit(limit)
    return [_segment(row) for row in connection.execute(found)]


def fetch(connection: Connection, workspace_id: int, segment_id: str) -> Segment | None:
    """One segment."""
    row = connection.execute(select(_SEGMENTS).where(*_one(workspace_id, segment_id))).one_or_none()
    return None if row is None else _segment(row)


def add(connection: Connection, segment: Segment) -> None:
    """Keep a new segment. Raises IntegrityError where its id is taken."""
    connection.execute(insert(_SEGMENTS).values(**segment.model_dump()))


def change(connection: Connection, workspace_id: int, segment_id: str, values: dict[str, Any]) -> None:
    """Change columns of a segment."""
    connection.execute(update(_SEGMENTS).where(*_one(workspace_id, segment_id)).values(**values))


def remove(connection: Connection, workspace_id: int, segment_id: str) -> None:
    """Forget a segment, with its sizes."""
    connection.execute(delete(_SIZES).where(_SIZES.c.workspace_id == workspace_id, _SIZES.c.segment_id == segment_id))
    connection.execute(delete(_SEGMENTS).where(*_one(workspace_id, segment_id)))


def record(connection: Connection, size: SegmentSize) -> None:
    """Keep the size of a day, unless it is kept already."""
    values = size.model_dump()
    there = _SIZES.c.workspace_id == size.workspace_id, _SIZES.c.segment_id == size.segment_id, _SIZES.c.day == size.day
    if connection.execute(select(_SIZES.c.size).where(*there)).one_or_none() is None:
        connection.execute(insert(_SIZES).values(**values))


def uncounted(connection: Connection, workspace_id: int, day: int) -> list[Segment]:
    """Segments whose sizes are kept, and that of this day is not."""
    counted = select(_SIZES.c.segment_id).where(_SIZES.c.workspace_id == workspace_id, _SIZES.c.day == day)
    found = select(_SEGMENTS).where(
        _SEGMENTS.c.workspace_id == workspace_id, _SEGMENTS.c.tracked, _SEGMENTS.c.id.not_in(counted)
    )
    return [_segment(row) for row in connection.execute(found.order_by(_SEGMENTS.c.id))]


def tracking(connection: Connection) -> set[int]:
    """The workspaces of which the sizes of a segment are kept, at least of one."""
    found = select(_SEGMENTS.c.workspace_id).where(_SEGMENTS.c.tracked, here("segment.workspace_id")).distinct()
    return set(connection.execute(found).scalars())


def sizes(connection: Connection, workspace_id: int, segment_id: str, first: int, last: int) -> list[tuple[int, int]]:
    """(day, size) of the days between two, both included, on which it was counted."""
    found = select(_SIZES.c.day, _SIZES.c.size).where(
        _SIZES.c.workspace_id == workspace_id, _SIZES.c.segment_id == segment_id, _SIZES.c.day.between(first, last)
    )
    return [(day, size) for day, size in connection.execute(found.order_by(_SIZES.c.day))]


def expire(connection: Connection, before: int) -> int:
    """Forget the sizes of days before one."""
    return connection.execute(delete(_SIZES).where(_SIZES.c.day < before, here("segment_size.workspace_id"))).rowcount


def _one(workspace_id: int, segment_id: str) -> tuple[Any, Any]:
    return _SEGMENTS.c.workspace_id == workspace_id, _SEGMENTS.c.id == segment_id


def _segment(row: Any) -> Segment:
    return Segment(**row._mapping)  # noqa: SLF001 - SQLAlchemy's name for a row by its columns
