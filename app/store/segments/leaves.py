"""One value of a person in SQL, seen as each of the types that it may have; and JSON documents on both stores.

A leaf's columns are null where the value is of another type. Conditions made of them may be null, which is false.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import reduce
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Numeric,
    Select,
    Text,
    and_,
    case,
    cast,
    column,
    exists,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB, JSONPATH

from app.domain.values import TIME
from app.store.bulk import encode

Expression = ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """Where a leaf stands: what it is selected from, and under which conditions."""

    #: Asked for when they are needed: a document may have been parsed since.
    tables: Callable[[], tuple[FromClause, ...]]
    where: tuple[Expression, ...] = ()

    def join(self, table: FromClause) -> "Rows":
        """With the elements of something that stands in these rows."""
        return Rows(lambda: (*self.tables(), table), self.where)

    def texts(self, text: Expression, narrowed: Expression) -> Select[Any]:
        """The different texts of a leaf."""
        return (
            select(text.label("text"))
            .distinct()
            .select_from(joined(self.tables()))
            .where(*self.where, text.is_not(None), narrowed)
        )


def joined(tables: Sequence[FromClause]) -> FromClause:
    """The tables one beside the other: each but the first lists what stands in a row of one before it."""
    return reduce(lambda left, right: left.join(right, true()), tables)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value. What it can never be is None."""

    rows: Rows
    #: Never null.
    missing: Expression
    text: Expression | None = None
    number: Expression | None = None
    #: Whether all numbers of it are integers.
    whole: bool = False
    #: PostgreSQL, where there is a quick way: the value as jsonb, for `than`.
    value: Expression | None = None
    is_true: Expression | None = None
    is_false: Expression | None = None
    #: A time as text, to the millisecond.
    iso: Expression | None = None
    #: A time in microseconds.
    us: Expression | None = None
    #: Whether it is an array, and its elements; each call makes new ones.
    is_array: Expression | None = None
    elements: "Callable[[], tuple[FromClause, Leaf]] | None" = field(default=None)
    #: PostgreSQL, which leaves what lists the elements to one process: whether it is an array that has an element; and
    #: whether any of its elements is found by the condition of a JSON path.
    includes: Callable[[bool | int | float | str], Expression] | None = None
    finds: Callable[[str], Expression] | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """What is listed in a row, such as the elements of an array, and a condition: one has to match, or `every` one."""

    tables: tuple[FromClause, ...]
    #: What is not so does not count as listed.
    where: tuple[Expression, ...]
    condition: Expression
    every: bool = False
    #: Whether a row with nothing listed matches.
    none: bool = False

    def expression(self) -> Expression:
        """The condition on a row."""
        some, unlike = self._exists(true()), negated(self.condition)
        matching = and_(some, ~self._exists(unlike)) if self.every else self._exists(self.condition)
        return or_(matching, ~some) if self.none else matching

    def _exists(self, condition: Expression) -> Expression:
        return exists(select(literal_column("1")).select_from(joined(self.tables)).where(*self.where, condition))

    def of_rows(self, rows: FromClause, key: Expression, where: Sequence[Expression]) -> Select[Any]:
        """(key, v: whether it matches) of all rows with something listed. Several processes share them, unlike those
        that have a subselect each."""
        made = func.bool_and(func.coalesce(self.condition, false())) if self.every else func.bool_or(self.condition)
        found = select(key, func.coalesce(made, false()).label("v")).select_from(joined((rows, *self.tables)))
        return found.where(*where, *self.where).group_by(key)


def column_leaf(
    rows: Rows,
    *,
    text: Expression | None = None,
    number: Expression | None = None,
    whole: bool = True,
    us: Expression | None = None,
) -> Leaf:
    """A value of one type; null is none."""
    one = next(value for value in (text, number, us) if value is not None)
    return Leaf(rows, one.is_(None), text=text, number=number, whole=whole, us=us)


def given(value: Expression | None) -> Expression:
    """The column of a leaf, null where it has none."""
    return null() if value is None else value


def flag_leaf(rows: Rows, condition: Expression) -> Leaf:
    """What is either true or false."""
    return Leaf(rows, false(), is_true=condition, is_false=negated(condition))


def negated(condition: Expression) -> Expression:
    """True where the condition is false or null."""
    return ~func.coalesce(condition, false())


def plain(key: str) -> bool:
    """Whether a key can stand in a JSON path of SQLite as it is."""
    return not any(letter in '"\\' or letter < " " for letter in key)


class Likeness(Enum):
    """How a text is to be like another one."""

    SAME = "the same"
    FOLDED = "the same but for case; ASCII only"
    WITHIN = "has the other one in it"

    def of(self, text: str) -> str:
        """The end of the condition of a JSON path."""
        if self is Likeness.SAME:
            return f"== {encode(text)}"
        if self is Likeness.WITHIN:
            return holding(text)
        # Classes of letters instead of a flag, whose meaning depends on the collation.
        letters = "".join(f"[{_letter(one.lower())}{_letter(one.upper())}]" for one in text)
        return f"like_regex {encode(f'^{letters}$')}"


def _letter(letter: str) -> str:
    return f"\\u{ord(letter):04x}"


HasText = Callable[[Likeness, str], Expression]
"""Whether one of several values is a text like another one."""


class PgJson:
    """A value inside a jsonb document."""

    def __init__(self, value: Expression) -> None:
        self.value = value

    def member(self, key: str) -> "PgJson":
        return PgJson(self.value.op("->")(literal(key, Text)))

    def item(self, position: int) -> "PgJson":
        return PgJson(self.value.op("->")(literal_column(str(position))))

    @property
    def kind(self) -> Expression:
        return func.jsonb_typeof(self.value)

    @property
    def text(self) -> Expression:
        return type_coerce(self.value.op("#>>")(literal_column("'{}'::text[]")), Text)

    @property
    def integer(self) -> Expression:
        """Where it is known to be one."""
        return cast(self.value, BigInteger)

    @property
    def any_number(self) -> Expression:
        """Where it is known to be one."""
        return cast(self.value, Numeric)

    def leaf(self, rows: Rows) -> Leaf:
        kind = self.kind
        array = kind == "array"

        def elements() -> tuple[FromClause, Leaf]:
            table, element = self.items()
            return table, element.leaf(rows.join(table))

        return Leaf(
            rows,
            func.coalesce(self.value, _NULL) == _NULL,
            text=case((kind == "string", self.text)),
            number=case((kind == "number", self.any_number)),
            value=self.value,
            is_true=self.value == literal_column("'true'::jsonb"),
            is_false=self.value == literal_column("'false'::jsonb"),
            iso=type_coerce(self.value.op("->>")(literal(TIME, Text)), Text),
            is_array=array,
            elements=elements,
            includes=lambda wanted: and_(array, self.value.op("@>", is_comparison=True)(_jsonb(wanted))),
            finds=lambda condition: func.coalesce(self._finds(f"strict $[*] ? ({condition})"), false()),
        )

    def has_key(self) -> HasText:
        """Whether it is an object with such a key."""

        def has(likeness: Likeness, text: str) -> Expression:
            if likeness is Likeness.SAME:
                return self.value.op("?", is_comparison=True)(literal(text, Text))
            found = self._finds(f"$.keyvalue() ? (@.key {likeness.of(text)})")
            return self._mentioned(likeness, text, found)

        return has

    def member_has_text(self, key: str) -> HasText:
        """Whether it is an object of objects, one of which has such a member."""
        return lambda likeness, text: self._mentioned(
            likeness, text, self._finds(f"strict $.* ? (@.{encode(key)} {likeness.of(text)})")
        )

    def _mentioned(self, likeness: Likeness, text: str, found: Expression) -> Expression:
        """What a path finds, asked only where the text is anywhere in the document: that takes a third of the time."""
        if likeness is not Likeness.FOLDED or not text.isprintable() or '"' in text or "\\" in text:
            return found
        document = func.lower(cast(self.value, Text).collate("C"))
        return case((func.strpos(document, encode(text.lower())) > 0, found), else_=false())

    def _finds(self, path: str) -> Expression:
        """A subselect would leave the rows to one process."""
        nothing: Expression = literal_column("'{}'::jsonb")
        return func.jsonb_path_exists(self.value, cast(literal(path, Text), JSONPATH), nothing, true())

    def items(self) -> tuple[FromClause, "PgJson"]:
        """The elements of an array, none of anything else."""
        table = func.jsonb_array_elements(case((self.kind == "array", self.value))).table_valued("value")
        return table, PgJson(table.c.value)

    def members(self) -> tuple[FromClause, Expression, "PgJson"]:
        """The members of an object with their keys, none of anything else."""
        table = func.jsonb_each(case((self.kind == "object", self.value))).table_valued("key", "value")
        return table, table.c.key, PgJson(table.c.value)


def than(value: Expression, compare: Callable[[Expression, Expression], Expression], number: str) -> Expression:
    """Whether a jsonb value is a number that compares so with one. jsonb has an order of all values, in which numbers
    are as they should be, and to compare is cheaper than to take numbers out; what else is there is left out after."""
    return and_(compare(value, cast(literal(number, Text), JSONB)), func.jsonb_typeof(value) == "number")


_NULL: Final[Expression] = literal_column("'null'::jsonb")


def holding(text: str) -> str:
    """The end of the condition of a JSON path: a text that has another one in it."""
    return f'like_regex {encode(text)} flag "q"'


def found_by(translated: str) -> str:
    """Likewise: a text that a regular expression of PostgreSQL finds. Newlines are letters as any other."""
    return f'like_regex {encode(translated)} flag "s"'


def _jsonb(value: float | str) -> Expression:
    return cast(literal(encode(value), Text), JSONB)


class SqliteJson:
    """A value inside a JSON text: `container` is the text, and the value lies at a path in it."""

    def __init__(
        self, container: Expression, path: str, kind: Expression | None = None, value: Expression | None = None
    ) -> None:
        """`kind` and `value` are those of an element, whose container is the element itself."""
        self._container, self._path = container, path
        self.kind: Expression = func.json_type(container, path) if kind is None else kind
        self.value: Expression = func.json_extract(container, path) if value is None else value

    def member(self, key: str) -> "SqliteJson":
        if plain(key):
            return SqliteJson(self._container, f'{self._path}."{key}"')
        # A path cannot spell such a key, so it is looked for among the members.
        table, name, _ = self.members()
        kind, value = (
            select(table.c[what]).select_from(table).where(name == key).scalar_subquery() for what in ("type", "value")
        )
        return SqliteJson(case((kind.in_(("object", "array")), value)), "$", kind, value)

    def item(self, position: int) -> "SqliteJson":
        return SqliteJson(self._container, f"{self._path}[{position}]")

    @property
    def text(self) -> Expression:
        return self.value

    @property
    def integer(self) -> Expression:
        return self.value

    @property
    def any_number(self) -> Expression:
        return self.value

    def leaf(self, rows: Rows) -> Leaf:
        def elements() -> tuple[FromClause, Leaf]:
            table, element = self.items()
            return table, element.leaf(rows.join(table))

        time = self.member(TIME)
        return Leaf(
            rows,
            or_(self.kind.is_(None), self.kind == "null"),
            text=case((self.kind == "text", self.value)),
            number=case((self.kind.in_(("integer", "real")), self.value)),
            is_true=self.kind == "true",
            is_false=self.kind == "false",
            iso=case((time.kind == "text", time.value)),
            is_array=self.kind == "array",
            elements=elements,
        )

    def has_key(self) -> None:
        """SQLite has one process, and no quick way."""

    def member_has_text(self, _key: str) -> None:
        """Likewise."""

    def items(self) -> tuple[FromClause, "SqliteJson"]:
        """The elements of an array, none of anything else."""
        table, _, element = self._each("array")
        return table, element

    def members(self) -> tuple[FromClause, Expression, "SqliteJson"]:
        """The members of an object with their keys, none of anything else."""
        return self._each("object")

    def _each(self, kind: str) -> tuple[FromClause, Expression, "SqliteJson"]:
        table = func.json_each(case((self.kind == kind, self._container)), self._path).table_valued(
            "key", "value", "type"
        )
        inner = case((table.c.type.in_(("object", "array")), table.c.value))
        return table, table.c.key, SqliteJson(inner, "$", table.c.type, table.c.value)


Json = PgJson | SqliteJson


def document(postgresql: bool, doc: Expression) -> Json:
    """A document of a text column, or of a jsonb one of PostgreSQL."""
    if postgresql:
        return PgJson(doc if isinstance(doc.type, JSONB) else cast(doc, JSONB))
    return SqliteJson(type_coerce(doc, Text), "$")


def mentioned(doc: Expression, key: str) -> Expression:
    """PostgreSQL: whether a JSON text, as we write them, has a member of that name anywhere."""
    return func.strpos(doc, f"{encode(key)}:") > 0


def parsed(doc: Expression, key: str) -> FromClause:
    """PostgreSQL: the column `v` with a document of a text column, or a member of it, parsed once for a row.

    `json` looks for a member without building the whole document, which takes half the time; documents in which the key
    is nowhere are not looked into at all. It is a function to join, because nothing evaluates that twice and several
    processes may share the rows: a subselect behind `offset 0` is left to one process.
    """
    document: Expression = cast(doc, JSON)
    if key:
        there = case((mentioned(doc, key), document))
        document = func.json_extract_path(there, literal(key, Text))
    return func.to_jsonb(document).table_valued(column("v", JSONB)).render_derived()


def any_of(elements: tuple[FromClause, Leaf], condition: Callable[[Leaf], Expression]) -> Expression:
    """Whether any element satisfies the condition."""
    table, leaf = elements
    return exists(select(literal_column("1")).select_from(table).where(condition(leaf)))
