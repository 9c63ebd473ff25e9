"""The tables of the baseline, its engine, and its settings in the environment."""

import os
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import JSON, Column, Engine
from sqlmodel import Field, SQLModel, create_engine

KEY: Final = "BASELINE_KEY"
BROKER: Final = "BASELINE_BROKER"
DATABASE: Final = "BASELINE_DATABASE"
#: "1": late acknowledgement, row locks and retries, which one adds after the first incident.
CAREFUL: Final = "BASELINE_CAREFUL"


class User(SQLModel, table=True):
    __tablename__ = "baseline_user"

    external_id: str = Field(primary_key=True)
    attributes: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON))


class Occurrence(SQLModel, table=True):
    """An event or a purchase."""

    __tablename__ = "baseline_occurrence"

    id: int | None = Field(default=None, primary_key=True)
    external_id: str = Field(index=True)
    name: str
    time: datetime
    properties: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON))


@cache
def engine() -> Engine:
    """One for each process, made when it is asked for first: connections must not cross a fork."""
    return create_engine(os.environ[DATABASE])


def create() -> None:
    """Make the tables that are not there."""
    tables = [SQLModel.metadata.tables[str(one.__tablename__)] for one in (User, Occurrence)]
    SQLModel.metadata.create_all(engine(), tables=tables)
