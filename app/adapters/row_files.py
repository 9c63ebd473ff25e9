"""Files of rows: NDJSON, CSV and Parquet. A file appears under its name when it is complete, and never in part.

A cell of CSV, and a column of Parquet, that is neither text, number nor time holds JSON.
"""

import csv
import gzip
import io
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, Protocol

import msgspec

NDJSON, CSV, PARQUET = "ndjson", "csv", "parquet"
FORMS: Final = (NDJSON, CSV, PARQUET)
_ENDINGS: Final = {".ndjson": NDJSON, ".jsonl": NDJSON, ".json": NDJSON, ".csv": CSV, ".parquet": PARQUET}
_GZIP: Final = ".gz"
#: Rows of one row group of Parquet, and bytes of all that is written at once.
_GROUP_ROWS: Final = 5_000
_BUFFER_BYTES: Final = 1024 * 1024
#: Types of columns, as app.contract.portable has them.
_TIME, _JSON = "time", "json"

Row = Mapping[str, object]
Columns = Mapping[str, str]


class NoParquetError(Exception):
    """Parquet needs pyarrow, which is not installed."""


class Writer(Protocol):
    """Takes rows, one after the other."""

    def write(self, row: Row) -> None:
        """Add a row. Raises OSError."""

    def close(self) -> None:
        """Write what is held back."""


def form_of(path: Path) -> str | None:
    """What the ending of a file's name says; None for one that says nothing."""
    return _ENDINGS.get(Path(path.name.removesuffix(_GZIP)).suffix.lower())


@contextmanager
def writing(path: Path | None, form: str, columns: Columns) -> Iterator[Writer]:
    """Rows of a file; of standard output for None. A name that ends in .gz is one of a compressed file.

    Nobody but its owner may read the file. When the block raises, there is none, and an earlier one stays as it was.
    Raises NoParquetError, OSError.
    """
    make = _MAKERS[form]
    if path is None:
        with _closing(make(sys.stdout.buffer, columns)) as writer:
            yield writer
        sys.stdout.buffer.flush()
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with ExitStack() as stack:
            raw: IO[bytes] = stack.enter_context(os.fdopen(descriptor, "wb", buffering=_BUFFER_BYTES))
            if path.name.endswith(_GZIP) and form != PARQUET:  # which is compressed by itself
                packed = stack.enter_context(gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, mtime=0))
                file: Any = packed
            else:
                file = raw
            with _closing(make(file, columns)) as writer:
                yield writer
            file.flush()
        _to_disk(temporary)
        temporary.replace(path)
        _to_disk(path.parent)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


@contextmanager
def _closing(writer: Writer) -> Iterator[Writer]:
    try:
        yield writer
    except BaseException:
        with suppress(OSError):  # the file goes in any case, and what failed is on its way
            writer.close()
        raise
    writer.close()


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Lines:
    """A JSON object in each line."""

    def __init__(self, file: IO[bytes], _columns: Columns) -> None:
        self._file = file
        self._encode = msgspec.json.Encoder().encode

    def write(self, row: Row) -> None:
        self._file.write(self._encode(row) + b"\n")

    def close(self) -> None:
        """Nothing is held back."""


class _Csv:
    """A head with the names of the columns, and a line for each row (RFC 4180, UTF-8)."""

    def __init__(self, file: IO[bytes], columns: Columns) -> None:
        self._columns = columns
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        self._csv = csv.writer(self._text)
        self._csv.writerow(columns)

    def write(self, row: Row) -> None:
        self._csv.writerow([_cell(row.get(name), type_) for name, type_ in self._columns.items()])

    def close(self) -> None:
        self._text.detach()


def _cell(value: object, type_: str) -> object:
    if value is None:
        return ""
    return msgspec.json.encode(value).decode() if type_ == _JSON else value


class _Parquet:
    """A column of its own type for each name, in groups of rows."""

    def __init__(self, file: IO[bytes], columns: Columns) -> None:
        try:
            import pyarrow  # noqa: PLC0415 - of the extra `parquet`: everything else works without it
            import pyarrow.parquet  # noqa: PLC0415
        except ImportError:
            raise NoParquetError from None
        types = {
            "text": pyarrow.string(),
            "integer": pyarrow.int64(),
            "number": pyarrow.float64(),
            _TIME: pyarrow.timestamp("ms", tz="UTC"),
            _JSON: pyarrow.string(),
        }
        self._columns = columns
        self._schema = pyarrow.schema([(name, types[type_]) for name, type_ in columns.items()])
        self._table: Callable[..., Any] = pyarrow.Table.from_pylist
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[dict[str, object]] = []

    def write(self, row: Row) -> None:
        self._rows.append({name: _value(row.get(name), type_) for name, type_ in self._columns.items()})
        if len(self._rows) == _GROUP_ROWS:
            self._flush(self._rows)

    def close(self) -> None:
        if self._rows:
            self._flush(self._rows)
        self._writer.close()

    def _flush(self, rows: Sequence[object]) -> None:
        self._writer.write_table(self._table(rows, schema=self._schema))
        self._rows = []


def _value(value: object, type_: str) -> object:
    if value is None:
        return None
    if type_ == _JSON:
        return msgspec.json.encode(value).decode()
    return datetime.fromisoformat(str(value)) if type_ == _TIME else value


_MAKERS: Final[Mapping[str, Callable[[IO[bytes], Columns], Writer]]] = {
    NDJSON: _Lines,
    CSV: _Csv,
    PARQUET: _Parquet,
}
