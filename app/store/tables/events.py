"""Events and purchases: the names of the catalogue, what occurred, and its sums."""

from typing import Any

from sqlalchemy import Index
from sqlmodel import SQLModel

from app.store.tables.columns import big, document, small, text


class Name(SQLModel, table=True):
    """Dictionary of the names of attributes, events and products that were ever applied: the catalogue of a workspace.

    It has at most app.store.profiles.catalogue.MAX_NAMES. Attributes of before version 0.1 come in when they are
    written.
    """

    __tablename__ = "name"
    __table_args__ = (Index("name_id", "workspace_id", "id", unique=True),)

    workspace_id: int = big(key=True)
    kind: int = small(key=True)
    name: str = text(key=True)
    id: int = big()


class NameCount(SQLModel, table=True):
    """How often a name was written: events that occurred, pieces that were bought, new values of an attribute."""

    __tablename__ = "name_count"

    workspace_id: int = big(key=True)
    kind: int = small(key=True)
    name: str = text(key=True)
    #: One of app.domain.data_rules.TYPES for attributes, else "".
    type: str = text(key=True)
    count: int = big()


class OccurrenceRow(SQLModel, table=True):
    """One event or purchase of the last 32 days, for filters such as X times in Y days."""

    __tablename__ = "occurrence"
    __table_args__ = (Index("occurrence_name", "workspace_id", "name_id", "day", "pid"),)

    workspace_id: int = big(key=True)
    #: Days since 1970 of the event; the partition key on PostgreSQL.
    day: int = big(key=True)
    stream: int = small(key=True)
    seq: int = big(key=True)
    ordinal: int = big(key=True)
    pid: int = big()
    name_id: int = big()
    time_us: int = big()
    app_id: str | None = text(nullable=True)
    properties: dict[str, Any] | None = document(nullable=True)
    quantity: int = big()
    cents: int = big()


class Series(SQLModel, table=True):
    """What is summed by day and hour: something that happens, under a name and in an app. Rows are never changed."""

    __tablename__ = "series"
    __table_args__ = (Index("series_id", "workspace_id", "id", unique=True),)

    workspace_id: int = big(key=True)
    #: One of app.domain.series.
    kind: int = small(key=True)
    name: str = text(key=True)
    #: "" = none, and what is of an app that has no series of its own.
    app: str = text(key=True)
    id: int = big()


class SeriesDay(SQLModel, table=True):
    """A series on a day of the workspace."""

    __tablename__ = "series_day"

    workspace_id: int = big(key=True)
    series_id: int = big(key=True)
    #: Days since 1970, by the calendar of the workspace.
    day: int = big(key=True)
    count: int = big()
    #: The amount is high * app.store.series.HIGH + low.
    high: int = big()
    low: int = big()


class SeriesHour(SQLModel, table=True):
    """A series in an hour of the workspace's clock."""

    __tablename__ = "series_hour"

    workspace_id: int = big(key=True)
    series_id: int = big(key=True)
    #: Its beginning, in minutes since 1970.
    hour: int = big(key=True)
    count: int = big()
    high: int = big()
    low: int = big()
