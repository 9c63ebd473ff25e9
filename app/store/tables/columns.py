"""Kinds of columns and indexes that both stores have."""

from json import loads
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, LargeBinary, SmallInteger, Text, false
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

#: Says of a small table, in its `info`, that it stays on the coordinator of several nodes, though its key has a
#: workspace: it is read together with what has none.
STAYS: Final = "stays"

#: A JSON document: jsonb on PostgreSQL, text on SQLite.
_DOCUMENT: Final = JSON().with_variant(JSONB(), "postgresql")


def big(*, key: bool = False, nullable: bool = False, default: int | None = None) -> Any:
    """A whole number of 8 bytes."""
    shown = None if default is None else str(default)
    column = Column(BigInteger, primary_key=key, autoincrement=False, nullable=nullable, server_default=shown)
    return _with_default(column, default)


def small(*, key: bool = False) -> Any:
    """A whole number of 2 bytes."""
    return Field(sa_column=Column(SmallInteger, primary_key=key, autoincrement=False, nullable=False))


def text(*, key: bool = False, nullable: bool = False, default: str | None = None) -> Any:
    """Text of any length."""
    return _with_default(Column(Text, primary_key=key, nullable=nullable, server_default=default), default)


def document(*, nullable: bool = False, default: str | None = None) -> Any:
    """A JSON document; `default` is its text."""
    column = Column(_DOCUMENT, nullable=nullable, server_default=default)
    return _with_default(column, None if default is None else loads(default))


def flag() -> Any:
    """True or false, and false in the rows of before it was there."""
    return _with_default(Column(Boolean, nullable=False, server_default=false()), value=False)


def binary(*, key: bool = False, nullable: bool = False) -> Any:
    """Bytes of any length."""
    return Field(sa_column=Column(LargeBinary, primary_key=key, nullable=nullable))


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of the rows for which `where`, in SQL that both stores understand, is true."""
    condition = sql(where)
    return Index(name, *columns, unique=unique, postgresql_where=condition, sqlite_where=condition)


def _with_default(column: Column[Any], value: Any) -> Any:
    return Field(sa_column=column) if value is None else Field(default=value, sa_column=column)
