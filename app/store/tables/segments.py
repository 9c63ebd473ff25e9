"""Segments, their sizes, and what they are counted from."""

from typing import Any

from sqlalchemy import Boolean, Column
from sqlmodel import Field, SQLModel

from app.store.tables.columns import big, document, flag, small, text


class Segment(SQLModel, table=True):
    """People by filters: see app.domain.segments. Who they are is asked for and never stored."""

    __tablename__ = "segment"

    workspace_id: int = big(key=True)
    id: str = text(key=True)
    name: str = text()
    description: str = text()
    tags: list[str] = document()
    #: Whether its size of each day is kept.
    tracked: bool = Field(sa_column=Column(Boolean, nullable=False))
    #: As clients write it, checked by app.contract.segments.
    definition: dict[str, Any] = document()
    created_us: int = big()
    updated_us: int = big()


class SegmentSize(SQLModel, table=True):
    """How many people a segment had on a day of the workspace, counted once."""

    __tablename__ = "segment_size"

    workspace_id: int = big(key=True)
    segment_id: str = text(key=True)
    #: Days since 1970.
    day: int = big(key=True)
    size: int = big()


class ProfileValue(SQLModel, table=True):
    """PostgreSQL: sections once more, for counting segments without parsing: see app.store.segments.values.

    The sections themselves are what is true. SQLite has no rows here.
    """

    __tablename__ = "profile_value"

    workspace_id: int = big(key=True)
    pid: int = big(key=True)
    #: The section's bit in app.domain.profile; the partition key on PostgreSQL.
    part: int = small(key=True)
    doc: dict[str, Any] = document()


class ValueFilling(SQLModel, table=True):
    """A workspace whose sections are in `profile_value`, all or some of them: see app.store.segments.upkeep."""

    __tablename__ = "value_filling"

    workspace_id: int = big(key=True)
    #: Number of a profile: those up to it are there, or gone where they are `leaving`. None: all are there.
    pid: int | None = big(nullable=True)
    #: When a segment was there last, or a preview was asked for, about.
    used_us: int = big(default=0)
    #: Whether they are being removed.
    leaving: bool = flag()
    #: When they were found behind the profiles last, and were begun anew.
    behind_us: int | None = big(nullable=True)
