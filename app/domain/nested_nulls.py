"""Nulls inside a value that delete nothing: they are left out, and the rest is stored (DECISIONS D62)."""

from typing import Final

from app.domain.values import MAX_DEPTH, TIME, is_object

#: What is left out, from the attribute on: names of members and positions of elements.
Path = tuple[str, ...]

#: Nulls of one value that are named, as many as a request's problems: paths can be long, and nulls are short.
MAX_NAMED: Final = 200


def left_out(value: object, *, members: bool) -> tuple[object, list[Path]]:
    """The value without nulls in its objects and arrays of objects, and where they were.

    `members`: whether null members of objects are left out; where they delete, only null elements of arrays are. Inside
    `$new_object` they never delete. Times and arrays of scalars at the top are given back as they are, and so is what
    lies deeper than a value may be.
    """
    paths: list[Path] = []
    if isinstance(value, list) and not any(map(is_object, value)):
        return value, paths
    return _without(value, (), paths, members), paths


def _without(value: object, path: Path, paths: list[Path], members: bool) -> object:
    if len(path) > MAX_DEPTH:
        return value
    if isinstance(value, list):
        elements = []
        for position, element in enumerate(value):
            place = (*path, str(position))
            if element is None:
                _name(place, paths)
            else:
                elements.append(_without(element, place, paths, members))
        return elements
    if isinstance(value, dict) and TIME not in value:
        kept: dict[str, object] = {}
        for key, member in value.items():
            place = (*path, key)
            if member is None and members and key != "$identifier_value":
                _name(place, paths)
            else:
                kept[key] = _without(member, place, paths, members or key == "$new_object")
        return kept
    return value


def _name(place: Path, paths: list[Path]) -> None:
    if len(paths) < MAX_NAMED:
        paths.append(place)
