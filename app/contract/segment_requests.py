"""Requests about segments, and their answers (spec segments.md 6; endpoints of our own under /v1/segments)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from app.contract.body import parse_object, unsound
from app.contract.errors import RefusedError
from app.contract.segment_filters import NAME_KEYS
from app.contract.segments import MEMBERS, UNSTORABLE
from app.domain import times
from app.domain.segments.fields import FIELDS, OPERANDS, OPERATORS, Field, Kind, Operand

PAGE: Final = 100
MAX_PAGE: Final = 10_000
MAX_LENGTH: Final = 100
MAX_NAME: Final = 255
MAX_TEXT: Final = 2_000
MAX_TAGS: Final = 50
MAX_SAMPLE: Final = 100
DEFAULT_SAMPLE: Final = 10

UNKNOWN: Final = "Unknown segment"
TOO_SLOW: Final = "The segment could not be counted in time"
TOO_BROAD: Final = "A regular expression of the segment matches more different values than can be looked at"
TOO_MANY: Final = "The workspace has as many segments as it may have"
IN_USE: Final = "The segment is a filter of another one"
WATCHED: Final = "A webhook is about the segment"
BAD_LENGTH: Final = f"'length' must be an integer between 1 and {MAX_LENGTH}"
BAD_ENDING: Final = "'ending_at' must be a date and time"
NO_SEGMENT_ID: Final = "'segment_id' is required"
NOT_TRACKED: Final = "Analytics tracking is not enabled for this segment"
BAD_BODY: Final = (
    f"The body must be an object of: name, description, tags, analytics_tracking_enabled, {', '.join(MEMBERS)}"
)
BAD_NAME: Final = f"'name' must be a text of 1 to {MAX_NAME} characters"
BAD_DESCRIPTION: Final = f"'description' must be a text of at most {MAX_TEXT} characters"
BAD_TAGS: Final = f"'tags' must be an array of at most {MAX_TAGS} texts of at most {MAX_NAME} characters"
BAD_TRACKED: Final = "'analytics_tracking_enabled' must be true or false"
BAD_SAMPLE: Final = f"'sample' must be an integer between 0 and {MAX_SAMPLE}"
NOTHING: Final = "There is nothing to change in the body"


@dataclass(frozen=True, slots=True)
class Listing:
    """Which page of segments."""

    page: int
    newest: bool


@dataclass(frozen=True, slots=True)
class Series:
    """Which days of a segment: `ending_us` is a moment of the last one, None = now."""

    segment_id: str
    length: int
    ending_us: int | None


def read_listing(parameters: Mapping[str, str]) -> Listing:
    """The query of /segments/list. What cannot be read is the default: clients send `<integer>`."""
    page = parameters.get("page", "")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 9 else 0
    return Listing(min(number, MAX_PAGE), parameters.get("sort_direction") == "desc")


def read_id(parameters: Mapping[str, str]) -> str:
    """The `segment_id` of a query. Raises RefusedError(400)."""
    found = parameters.get("segment_id", "")
    if not found:
        raise RefusedError(400, NO_SEGMENT_ID)
    return found


def read_series(parameters: Mapping[str, str]) -> Series:
    """The query of /segments/data_series. Raises RefusedError(400)."""
    segment_id, length = read_id(parameters), parameters.get("length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 4 and 1 <= int(length) <= MAX_LENGTH):
        raise RefusedError(400, BAD_LENGTH)
    ending = parameters.get("ending_at")
    # A plus sign of an offset that was not escaped arrives as a blank.
    ending_us = None if not ending else times.moment(ending.replace(" ", "+") if "T" in ending else ending)
    if ending and ending_us is None:
        raise RefusedError(400, BAD_ENDING)
    return Series(segment_id, int(length), ending_us)


def read_body(body: bytes) -> dict[str, Any]:
    """The JSON object of a request. Raises RefusedError(400)."""
    document = parse_object(body)
    if document is None:
        raise RefusedError(400, BAD_BODY)
    if unsound(document) is not None:
        raise RefusedError(400, UNSTORABLE)
    return document


def read_segment(document: dict[str, Any], *, new: bool) -> dict[str, Any]:
    """Columns of a segment from the members that are there, without `definition`. Raises RefusedError(400)."""
    known = {"name", "description", "tags", "analytics_tracking_enabled", *MEMBERS}
    if document.keys() - known:
        raise RefusedError(400, BAD_BODY)
    if not new and not document:
        raise RefusedError(400, NOTHING)
    values: dict[str, Any] = {}
    if new or "name" in document:
        values["name"] = _text(document.get("name"), MAX_NAME, BAD_NAME)
        if not values["name"]:
            raise RefusedError(400, BAD_NAME)
    if new or "description" in document:
        values["description"] = _text(document.get("description", ""), MAX_TEXT, BAD_DESCRIPTION)
    if new or "tags" in document:
        values["tags"] = _tags(document.get("tags", []))
    if new or "analytics_tracking_enabled" in document:
        values["tracked"] = document.get("analytics_tracking_enabled", False)
        if not isinstance(values["tracked"], bool):
            raise RefusedError(400, BAD_TRACKED)
    return values


def definition_of(document: dict[str, Any]) -> dict[str, Any]:
    """The members of a body that say who is in the segment."""
    return {name: document[name] for name in MEMBERS if name in document}


def read_sample(document: dict[str, Any]) -> int:
    """How many people a preview shows. Raises RefusedError(400)."""
    sample = document.get("sample", DEFAULT_SAMPLE)
    if type(sample) is not int or not 0 <= sample <= MAX_SAMPLE:
        raise RefusedError(400, BAD_SAMPLE)
    if document.keys() - {"sample", *MEMBERS}:
        raise RefusedError(400, f"The body must be an object of: sample, {', '.join(MEMBERS)}")
    return sample


def _text(value: object, most: int, refusal: str) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise RefusedError(400, refusal)
    return value.strip()


def _tags(value: object) -> list[str]:
    texts = value if isinstance(value, list) else None
    if texts is None or len(texts) > MAX_TAGS or not all(isinstance(t, str) and 0 < len(t) <= MAX_NAME for t in texts):
        raise RefusedError(400, BAD_TAGS)
    return texts


def day_text(day: int) -> str:
    """YYYY-MM-DD of a day that is counted from 1970."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def schema() -> dict[str, object]:
    """Every field of filters with its members, and every operator with what its `value` is."""
    return {
        "fields": [_described(name, field) for name, field in FIELDS.items()],
        "operators": [{"op": op, "value": operand.value} for op, operand in OPERANDS.items()],
    }


def _described(name: str, field: Field) -> dict[str, object]:
    members: dict[str, str] = {}
    if field.name is not False:
        members[NAME_KEYS.get(name, "name")] = "text" if field.name else "text, optional"
    if field.kind == Kind.ANY:
        members |= {"path": "text, optional", "criteria": "with any_element: array of path, op, value"}
    elif field.kind == Kind.SAME:
        members["criteria"] = "array of path, op, value"
    elif field.kind == Kind.WINDOW:
        members |= {"x": Operand.NUMBER.value, "y": f"days from 1 to {field.most_days}"}
        if field.properties:
            members["property"] = "object of name, op, value, optional"
    elif field.kind == Kind.VERSION:
        members["value"] = "numbers with dots, as a text"
    elif field.kind == Kind.CIRCLE:
        members |= dict.fromkeys(("longitude", "latitude", "kilometres"), Operand.NUMBER.value)
    return {"field": name, "type": field.kind.value, "operators": list(OPERATORS[field.kind]), "members": members}


def in_words(definition: dict[str, Any]) -> str:
    """What a stored definition says, in a line."""
    groups = [_group_in_words(group) for group in definition.get("groups", ()) if group["filters"]]
    excluded = [_group_in_words(group) for group in definition.get("exclude", ()) if group["filters"]]
    words = f" {definition.get('join', 'AND')} ".join(groups) or "everybody"
    return f"{words} EXCEPT {' OR '.join(excluded)}" if excluded else words


def _group_in_words(group: dict[str, Any]) -> str:
    joined = f" {group.get('op', 'AND')} ".join(_filter_in_words(one) for one in group["filters"])
    return f"({joined})" if len(group["filters"]) > 1 else joined


def _filter_in_words(one: dict[str, Any]) -> str:
    about = next((str(one[key]) for key in ("name", *NAME_KEYS.values()) if key in one), "")
    value = one.get("value", one.get("x", ""))
    told = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    parts = [str(one["field"]), about, str(one["op"]), told]
    if "y" in one:
        parts.append(f"in {one['y']} days")
    return " ".join(part for part in parts if part)
