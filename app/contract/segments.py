"""Segments, from JSON and checked: what they say, and requests about them (spec segments.md 1 and 6)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from app.contract.body import unsound
from app.contract.errors import RefusedError
from app.contract.segment_filters import IsPattern, read_filter
from app.domain.segments.fields import FIELDS, OPERANDS, SINGLY, Kind, Operand
from app.domain.segments.model import AND, OR, Definition, Filter, Group

MAX_GROUPS: Final = 50
MAX_FILTERS: Final = 200
#: Each takes a scan of its own.
MAX_PATTERNS: Final = 20
MAX_WINDOWS: Final = 20
MAX_APPS: Final = 100
#: Members of a definition.
MEMBERS: Final = ("groups", "join", "exclude", "apps")

NO_OBJECT: Final = "The body must be an object"
UNSTORABLE: Final = "The body has a value that cannot be stored"
NESTED: Final = "A segment that is a filter of another one must have no filter 'segment_membership' itself"
UNKNOWN_SEGMENT: Final = "'segment_id' of a filter names no segment"

FindSegment = Callable[[str], dict[str, Any] | None]
"""The definition of a segment as JSON, by its id."""


def read_definition(document: object, is_pattern: IsPattern, find: FindSegment) -> Definition:
    """What a segment says. `find` looks up segments that filters name. Raises RefusedError(400)."""
    definition = _definition(document, is_pattern)
    if any(FIELDS[one.field].kind == Kind.MEMBER for one in definition.filters()):
        definition = replace(
            definition,
            groups=tuple(_resolved(group, is_pattern, find) for group in definition.groups),
            exclude=tuple(_resolved(group, is_pattern, find) for group in definition.exclude),
        )
    return definition


def segments_named(document: dict[str, Any]) -> set[str]:
    """Ids of the segments that filters of a stored definition name."""
    groups = [*document.get("groups", ()), *document.get("exclude", ())]
    return {one["segment_id"] for group in groups for one in group["filters"] if "segment_id" in one}


def _resolved(group: Group, is_pattern: IsPattern, find: FindSegment) -> Group:
    return replace(group, filters=tuple(_with_segment(one, is_pattern, find) for one in group.filters))


def _with_segment(one: Filter, is_pattern: IsPattern, find: FindSegment) -> Filter:
    if FIELDS[one.field].kind != Kind.MEMBER:
        return one
    document = find(one.name)
    if document is None:
        raise RefusedError(400, UNKNOWN_SEGMENT)
    if segments_named(document):
        raise RefusedError(400, NESTED)
    return replace(one, segment=_definition(document, is_pattern))


def _definition(document: object, is_pattern: IsPattern) -> Definition:
    if not isinstance(document, dict):
        raise RefusedError(400, NO_OBJECT)
    if unsound(document) is not None:
        raise RefusedError(400, UNSTORABLE)
    definition = Definition(
        groups=_groups(document.get("groups"), "groups", is_pattern),
        join=_joined(document.get("join", AND), "'join'"),
        exclude=_groups(document.get("exclude"), "exclude", is_pattern),
        apps=_apps(document.get("apps", "all")),
    )
    _bounded(definition)
    return definition


def _groups(value: object, name: str, is_pattern: IsPattern) -> tuple[Group, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_GROUPS:
        raise RefusedError(400, f"'{name}' must be an array of at most {MAX_GROUPS} groups")
    return tuple(_group(one, f"{name}[{n}]", is_pattern) for n, one in enumerate(value))


def _group(value: object, where: str, is_pattern: IsPattern) -> Group:
    filters = value.get("filters") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(filters, list) or value.keys() - {"op", "filters"}:
        raise RefusedError(400, f"{where} must be an object of 'op' and an array 'filters'")
    if len(filters) > MAX_FILTERS:
        raise RefusedError(400, TOO_MANY)
    op = _joined(value.get("op", AND), f"'op' of {where}")
    return Group(op, tuple(read_filter(one, f"{where}: filters[{n}]", is_pattern) for n, one in enumerate(filters)))


def _joined(value: object, what: str) -> str:
    if value not in (AND, OR):
        raise RefusedError(400, f"{what} must be AND or OR")
    return str(value)


def _apps(value: object) -> tuple[str, ...] | None:
    if value == "all":
        return None
    if value == "none":
        return ()
    texts = value if isinstance(value, list) else []
    if not 1 <= len(texts) <= MAX_APPS or not all(isinstance(one, str) and 0 < len(one) <= 255 for one in texts):
        raise RefusedError(400, f"'apps' must be 'all', 'none', or an array of 1 to {MAX_APPS} app ids")
    return tuple(texts)


TOO_MANY: Final = (
    f"A segment has at most {MAX_FILTERS} filters, {MAX_PATTERNS} of them with a regular expression"
    f" and {MAX_WINDOWS} of the kind X in Y days"
)


def _bounded(definition: Definition) -> None:
    filters = list(definition.filters())
    patterns = sum(
        OPERANDS[op] in (Operand.PATTERN, Operand.RECURRING)
        for one in filters
        for op in (one.op, *(each.op for each in one.criteria))
    )
    windows = sum(FIELDS[one.field].kind == Kind.WINDOW or one.field in SINGLY for one in filters)
    if len(filters) > MAX_FILTERS or patterns > MAX_PATTERNS or windows > MAX_WINDOWS:
        raise RefusedError(400, TOO_MANY)
