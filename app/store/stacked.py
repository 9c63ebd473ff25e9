"""Many rows of SQLite in one step, to it and from it.

Its driver lets go of Python's lock for each step of a statement, and waits for it again behind each. Row by row, a
thread that reads or writes would stand behind one that computes, five milliseconds a row. So a statement takes many
rows as a list of values, and gives many back as one JSON text. There are a few lengths of the list, so that each
statement is parsed once; where fewer rows are left, the others are null, and left out by the statement.
"""

import re
from collections.abc import Container, Iterator, Sequence
from itertools import chain
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

#: Rows of a statement, each size four times the one before it, and values of one: SQLite takes 32,766.
SIZES: Final = (1, 4, 16, 64, 256, 1024)
MAX_VALUES: Final = 8_192


class Lengths:
    """The lengths of lists that statements take whose rows have so many values."""

    def __init__(self, width: int) -> None:
        self._width = width
        self.sizes = [size for size in SIZES if size * width < MAX_VALUES]

    def values(self, size: int) -> str:
        """SQL of the list. Its parameters have no numbers, which SQLite would keep as names and look through."""
        row = f"({', '.join(['?'] * self._width)})"
        return ", ".join([row] * size)

    def portions(self, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, list[Any]]]:
        """(size of a list, its values), until all rows were in one."""
        first = 0
        while first < len(rows):
            size = self._size(len(rows) - first)
            values = list(chain.from_iterable(rows[first : first + size]))
            values += [None] * (size * self._width - len(values))
            yield size, values
            first += size

    def _size(self, rows: int) -> int:
        """The smallest that takes all rows, or the largest that is full where less than half of that would be rows."""
        fits = next((size for size in self.sizes if size >= rows), self.sizes[-1])
        if fits < 2 * rows:
            return fits
        return next(size for size in reversed(self.sizes) if size <= rows)


class Stacked:
    """Rows of one workspace on their way into a table."""

    def __init__(self, names: Sequence[str], statement: str) -> None:
        """`names` are the columns that rows have, two or more of them. The statement finds them in `{rows}`, of which
        there are `{size}`, as `column1`, `column2` …, and the workspace in the one `?` before them."""
        self._lengths = Lengths(len(names))
        self._statements = {
            size: statement.replace("{rows}", f"(values {self._lengths.values(size)})").replace("{size}", str(size))
            for size in self._lengths.sizes
        }

    @classmethod
    def insert(cls, table: str, names: Sequence[str], texts: Container[str], key: str, conflict: str) -> "Stacked":
        """`names` are the columns beside `workspace_id`, `texts` those that may come as bytes, and `key` one that is
        never null. `conflict` comes behind the statement."""
        places = {name: f"column{n}" for n, name in enumerate(names, 1)}
        selected = ", ".join(_value(place, name in texts) for name, place in places.items())
        return cls(
            names,
            f"insert into {table} (workspace_id, {', '.join(names)})"
            f" select ?, {selected} from {{rows}} where {places[key]} is not null{conflict}",
        )

    @classmethod
    def update(cls, table: str, keys: Sequence[str], names: Sequence[str], texts: Container[str]) -> "Stacked":
        """Overwrites columns of the rows that have these keys. What is null is not equal to any."""
        places = {name: f"r.column{n}" for n, name in enumerate([*keys, *names], 1)}
        changes = ", ".join(f"{name} = {_value(places[name], name in texts)}" for name in names)
        found = " and ".join(f"{table}.{key} = {places[key]}" for key in keys)
        # With a workspace that is not in each row, and without a limit, SQLite takes the rows for so many that it reads
        # the whole table first, to know which of them are not there.
        rows = "(select ? as workspace_id, * from {rows} limit {size}) r"
        return cls(
            [*keys, *names],
            f"update {table} set {changes} from {rows} where {table}.workspace_id = r.workspace_id and {found}",
        )

    def statements(self, workspace_id: int, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[str, Sequence[Any]]]:
        """What writes the rows, of which each has the columns in their order: texts with their values."""
        for size, values in self._lengths.portions(rows):
            yield self._statements[size], [workspace_id, *values]


def _value(place: str, is_text: bool) -> str:
    return f"cast({place} as text)" if is_text else place


class Packed:
    """A look-up of many keys: columns of the rows of a table `t`."""

    def __init__(self, columns: str, documents: Sequence[str], table: str, match: str, width: int) -> None:
        """`documents` are further columns, whose values are JSON. `match` and they name the members of the key, of
        which there are `width`, `k.m0`, `k.m1` …, and parameters `:workspace_id` and others."""
        self._lengths = Lengths(width + 1)
        row = f"json_array(k.column1, {columns})"
        if documents:  # as they are: nobody parses them but us
            places = ",".join(["%s"] * (1 + len(documents)))
            row = f"format('[{places}]', {row}, {', '.join(f'ifnull({one}, {_NULL})' for one in documents)})"
        #: Of rows with documents, which are [[position, *columns], *documents].
        self._nested: msgspec.json.Decoder[Any] | None = None
        if documents:
            self._nested = msgspec.json.Decoder(list[tuple[(list[Any], *[msgspec.Raw] * len(documents))]])  # type: ignore[misc]
        text = f"select cast(group_concat({row}) as blob) from (values {{}}) k cross join {table} t where {match}"
        text = re.sub(r"k\.m(\d)", lambda found: f"k.column{2 + int(found[1])}", text)
        # Parameters have no names: Python's driver will refuse those where it gets a list of values.
        before, after = (_NAMED.findall(part) for part in text.split("(values {})"))
        self._before, self._after = before, after
        text = _NAMED.sub("?", text)
        self._statements = {size: text.format(self._lengths.values(size)) for size in self._lengths.sizes}

    def run(self, connection: Connection, keys: Sequence[Sequence[Any]], values: dict[str, Any]) -> list[list[Any]]:
        """Rows of [position of the key, *columns, *documents], documents as JSON text: None = there is none."""
        driver: Any = connection.connection.driver_connection
        before, after = ([values[name] for name in names] for names in (self._before, self._after))
        found: list[list[Any]] = []
        for size, members in self._lengths.portions([(n, *key) for n, key in enumerate(keys)]):
            (packed,) = driver.execute(self._statements[size], [*before, *members, *after]).fetchone()
            if packed is None:
                continue
            rows = b"[%b]" % packed
            if self._nested is None:
                found += msgspec.json.decode(rows)
            else:
                found += ([*row, *map(_text, documents)] for row, *documents in self._nested.decode(rows))
        return found


def _text(document: msgspec.Raw) -> str | None:
    return None if document == _NOTHING else str(document, "utf-8")


_NOTHING: Final = msgspec.Raw(b"null")
_NULL: Final = "'null'"
_NAMED: Final = re.compile(r":(\w+)")
