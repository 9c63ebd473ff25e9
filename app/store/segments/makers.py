"""What fields are made of: texts, numbers and times of sections, columns of the profile, members of objects."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import FromClause, false, func

from app.domain.profile import CORE
from app.domain.segments.clock import Clock
from app.domain.segments.model import Filter
from app.store.segments.leaves import Expression, HasText, Json, Leaf, Rows, column_leaf, flag_leaf, given
from app.store.segments.scope import Scope


@dataclass(frozen=True, slots=True)
class Many:
    """Several values of a person, one of which has to match."""

    tables: tuple[FromClause, ...]
    leaf: Leaf
    json: Json
    where: tuple[Expression, ...] = ()
    #: PostgreSQL, where there is a quick way.
    has_text: HasText | None = None

    @property
    def rows(self) -> Rows:
        return self.leaf.rows


Found = Leaf | Many
Maker = Callable[[Scope, Filter, Clock], Found]


def text_of(scope: Scope, name: str) -> Leaf:
    """A text of the section `core`."""
    return column_leaf(scope.rows(CORE), text=scope.entry(CORE, name).leaf(scope.rows(CORE)).text)


def core(name: str) -> Maker:
    return lambda scope, _one, _clock: text_of(scope, name)


def number_of(json: Json, scope: Scope, section: int) -> Expression:
    """A number of a document, null where it is none."""
    return given(json.leaf(scope.rows(section)).number)


def time_at(scope: Scope, section: int, json: Json) -> Leaf:
    """A time that a document keeps in microseconds."""
    return column_leaf(scope.rows(section), us=number_of(json, scope, section))


def column(name: str, what: str) -> Maker:
    """A column of the profile, as `text`, `number` or `us`."""

    def made(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
        value: Any = {what: scope.profile.c[name]}
        return column_leaf(scope.rows(), **value)

    return made


def counted(scope: Scope, section: int, number: Expression) -> Leaf:
    """A number that everybody has: 0 where nothing is stored."""
    return Leaf(scope.rows(section), false(), number=func.coalesce(number, 0), whole=True)


def members(scope: Scope, section: int, json: Json, name: str = "") -> Many:
    """The members of an object, or one member of each of them."""
    rows, _, value = json.members()
    inner = value.member(name) if name else value
    has_text = json.member_has_text(name) if name else None
    return Many((rows,), inner.leaf(scope.rows(section).join(rows)), inner, has_text=has_text)


def summary(section: int, member: int) -> Maker:
    """A member of the summary that the filter names: count, first, last."""

    def made(scope: Scope, one: Filter, _clock: Clock) -> Leaf:
        json = scope.entry(section, one.name).item(member)
        if member == 0:
            return counted(scope, section, number_of(json, scope, section))
        return time_at(scope, section, json)

    return made


def flag(bit: int) -> Maker:
    return lambda scope, _one, _clock: flag_leaf(scope.rows(), scope.profile.c.flags.op("&")(bit) != 0)


def core_time(name: str) -> Maker:
    return lambda scope, _one, _clock: time_at(scope, CORE, scope.entry(CORE, name))
