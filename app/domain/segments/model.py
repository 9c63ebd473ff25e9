"""What a segment says: filters in groups, joined, with exclusions (spec segments.md 1). Values without behaviour."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

AND: Final = "AND"
OR: Final = "OR"
#: A step of a path: any element of the array that stands there.
ANY_ELEMENT: Final = "[]"

Scalar = str | int | float | bool
Value = Scalar | tuple[Scalar, ...] | None


@dataclass(frozen=True, slots=True)
class Criterion:
    """A comparison of what lies at `path` inside a property or an element."""

    path: tuple[str, ...]
    op: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on a person. Which members it has is up to its field, see app.domain.segments.fields."""

    field: str
    op: str
    value: Value = None
    #: Of the attribute, event, product, app, group or alias label that the field is about.
    name: str = ""
    #: Steps inside the attribute's value.
    path: tuple[str, ...] = ()
    #: X and Y of "X in Y days".
    x: int | float = 0
    y: int = 0
    #: They hold for the same occurrence, element or device.
    criteria: tuple[Criterion, ...] = ()
    #: Longitude, latitude and kilometres of a circle.
    circle: tuple[float, float, float] = (0.0, 0.0, 0.0)
    #: What the segment says that `name` names, once it was looked up. It has no such filter itself.
    segment: "Definition | None" = None


@dataclass(frozen=True, slots=True)
class Group:
    """Filters that are joined by `op`. A group without filters says nothing."""

    op: str
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """Groups joined by `join`, without whoever matches a group of `exclude`. An empty one has everybody."""

    groups: tuple[Group, ...] = ()
    join: str = AND
    exclude: tuple[Group, ...] = ()
    #: Apps of which a person must have used one; empty = no app at all; None = it does not matter.
    apps: tuple[str, ...] | None = field(default=None)

    def filters(self) -> Iterator[Filter]:
        """All of them, in order, exclusions last."""
        for group in (*self.groups, *self.exclude):
            yield from group.filters
