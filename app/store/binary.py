"""PostgreSQL's binary format: arrays as parameters that are made in C, and rows with bytes in them.

psycopg makes an array of any Python objects, one by one. These know their type, so `struct` and `bytes.join` do it: for
a batch of profiles in a tenth of the time, and PostgreSQL takes them in without parsing anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from struct import Struct, pack
from typing import Any, Final

import sqlalchemy
from psycopg import Connection
from psycopg.adapt import Dumper
from psycopg.pq import Format

#: Numbers of PostgreSQL's types, which never change: bigint, text, and arrays of both.
_INT8, _TEXT, _INT8_ARRAY, _TEXT_ARRAY = 20, 25, 1016, 1009
#: Dimensions, whether anything is null, type, length, number of the first.
_HEAD: Final = Struct(">iiIii").pack
_LENGTH: Final = Struct(">i").pack
_NUMBER: Final = Struct(">iq").pack
_NULL: Final = _LENGTH(-1)


class Numbers(bytes):
    """A parameter of the type bigint[]."""

    @classmethod
    def of(cls, values: Sequence[int | None]) -> "Numbers":
        head = _HEAD(1, 1, _INT8, len(values), 1)
        if None in values:
            return cls(head + b"".join([_NULL if value is None else _NUMBER(8, value) for value in values]))
        # Four bytes of length before eight of a number: to set the same byte of all of them at once is the fastest way.
        many = len(values)
        numbers, filled = pack(f">{many}q", *values), bytearray(12 * many)
        filled[3::12] = b"\x08" * many
        for place in range(8):
            filled[4 + place :: 12] = numbers[place::8]
        return cls(head + filled)


class Texts(bytes):
    """A parameter of the type text[]."""

    @classmethod
    def of(cls, values: Sequence[str | bytes | None]) -> "Texts":
        """Bytes are texts that are encoded already."""
        head = _HEAD(1, 1, _TEXT, len(values), 1)
        kinds = set(map(type, values))
        if kinds == {str}:
            encoded: Iterable[bytes] = list(map(str.encode, values))  # type: ignore[arg-type]
        elif kinds == {bytes}:
            encoded = values  # type: ignore[assignment]
        else:
            return cls(head + b"".join(map(_part, values)))
        lengths = map(_LENGTH, map(len, encoded))
        return cls(head + b"".join(chain.from_iterable(zip(lengths, encoded, strict=True))))


def _part(value: str | bytes | None) -> bytes:
    if value is None:
        return _NULL
    encoded = value.encode() if isinstance(value, str) else value
    return _LENGTH(len(encoded)) + encoded


def fetched(connection: sqlalchemy.Connection, statement: str, parameters: Mapping[str, object]) -> Sequence[Any]:
    """The rows of a query, past SQLAlchemy. As text, which SQLAlchemy asks for, bytes would come as hexadecimal digits,
    and take PostgreSQL and us four times as long."""
    driver: Any = connection.connection.driver_connection
    rows: Sequence[Any] = driver.execute(statement, parameters, binary=True).fetchall()
    return rows


class _NumbersDumper(Dumper):
    format = Format.BINARY
    oid = _INT8_ARRAY

    def dump(self, obj: Any) -> bytes:
        return bytes(obj)


class _TextsDumper(_NumbersDumper):
    oid = _TEXT_ARRAY


def register(connection: Connection[Any]) -> None:
    """Teach a connection these parameters."""
    connection.adapters.register_dumper(Numbers, _NumbersDumper)
    connection.adapters.register_dumper(Texts, _TextsDumper)
