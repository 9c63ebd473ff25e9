"""A segment as lines of a form: groups of filters that are joined by AND or OR; and a definition as such lines."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from app.console.forms import Form
from app.contract.segment_filters import NAME_KEYS
from app.domain.numbers import integer
from app.domain.segments.fields import FIELDS, OPERANDS, OPERATORS, Kind, Operand
from app.domain.segments.model import AND, OR

#: Lines that the form shows at first, and at most, and groups; more go as JSON.
FIRST_LINES: Final = 3
MOST_LINES: Final = 40
MOST_GROUPS: Final = 10
#: What the button says that adds a group; the others say to which one they add a line.
NEW_GROUP: Final = "group"
#: Fields that one line of the form can say all of.
PLAIN_FIELDS: Final = tuple(name for name, one in FIELDS.items() if one.kind not in (Kind.SAME, Kind.CIRCLE))
PLAIN_OPERATORS: Final = tuple(
    op for op in OPERANDS if op != "any_element" and any(op in OPERATORS[FIELDS[name].kind] for name in PLAIN_FIELDS)
)


@dataclass(frozen=True, slots=True)
class Line:
    """A filter, as it is filled in."""

    field: str = ""
    name: str = ""
    op: str = ""
    value: str = ""
    days: str = ""


@dataclass(slots=True)
class LineGroup:
    """Filters of which all have to be true (AND), or one (OR)."""

    op: str = AND
    lines: list[Line] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Lines:
    """The form. People have to be in all groups (AND), or in one (OR)."""

    join: str
    groups: list[LineGroup]


BLANK: Final = (Line(),) * FIRST_LINES


def blank() -> Lines:
    """The form before anything is filled in."""
    return Lines(AND, [LineGroup(AND, list(BLANK))])


def read(query: Form) -> Lines:
    """The form as it was sent, with the line or the group that a button adds."""
    columns = [query.all(name)[:MOST_LINES] for name in ("field", "name", "op", "value", "days")]
    length = max(map(len, columns))
    if not length:
        return blank()
    cells = [column + [""] * (length - len(column)) for column in columns]
    places, found = query.all("group"), dict[int, list[Line]]()
    for n, row in enumerate(zip(*cells, strict=True)):
        found.setdefault(_place(places[n] if n < len(places) else ""), []).append(Line(*row))
    ops = query.all("group_op")
    groups = [LineGroup(_op(ops[n] if n < len(ops) else ""), found[place]) for n, place in enumerate(sorted(found))]
    added = query["add"]
    if length < MOST_LINES and added == NEW_GROUP and len(groups) < MOST_GROUPS:
        groups.append(LineGroup(AND, [Line()]))
    elif length < MOST_LINES and added.isascii() and added.isdigit() and len(added) < 4 and int(added) < len(groups):
        groups[int(added)].lines.append(Line())
    return Lines(_op(query["join"]), groups)


def definition_of(lines: Lines) -> dict[str, Any] | None:
    """What the form says, as a client would send it; None while nothing is filled in."""
    groups = [
        {"op": group.op, "filters": [_filter(line) for line in group.lines if line.field]} for group in lines.groups
    ]
    groups = [group for group in groups if group["filters"]]
    if not groups:
        return None
    return {"groups": groups} if len(groups) == 1 else {"groups": groups, "join": lines.join}


def lines_of(definition: Mapping[str, Any]) -> Lines | None:
    """A definition as lines; None where lines cannot say all of it."""
    groups = definition.get("groups") or []
    is_plain = not definition.get("exclude") and definition.get("apps", "all") == "all"
    if not is_plain or not groups or len(groups) > MOST_GROUPS:
        return None
    made = [LineGroup(group.get("op", AND), [_line(one) for one in group["filters"]]) for group in groups]
    lines = Lines(definition.get("join", AND), made)
    if sum(len(group.lines) for group in made) > MOST_LINES:
        return None
    for group, written in zip(groups, made, strict=True):
        for one, line in zip(group["filters"], written.lines, strict=True):
            can_be_chosen = line.field in PLAIN_FIELDS and line.op in PLAIN_OPERATORS
            if not can_be_chosen or _text_of(_filter(line)) != _text_of(one):
                return None
    return lines


def _place(text: str) -> int:
    return min(int(text), MOST_GROUPS - 1) if text.isascii() and text.isdigit() and len(text) < 4 else 0


def _op(text: str) -> str:
    return OR if text == OR else AND


def _text_of(one: Mapping[str, Any]) -> str:
    """To compare: 1 and true are equal for Python."""
    return json.dumps(one, sort_keys=True)


def _line(one: Mapping[str, Any]) -> Line:
    """The line that would give a filter, if any line does."""
    name = one.get("field")
    about = one.get(NAME_KEYS.get(name, "name"), "") if isinstance(name, str) else ""
    value = one.get("x") if "x" in one else one.get("value")
    return Line(str(name), str(about), str(one.get("op", "")), _written(value), _written(one.get("y")))


def _written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(_written, value)) if isinstance(value, list) else str(value)


def _filter(line: Line) -> dict[str, Any]:
    """A filter as a client would send it; what is wrong with it is said by the contract."""
    found = FIELDS.get(line.field)
    document: dict[str, Any] = {"field": line.field, "op": line.op}
    if line.name.strip():
        document[NAME_KEYS.get(line.field, "name")] = line.name.strip()
    operand = OPERANDS.get(line.op, Operand.NONE)
    if found is not None and found.kind == Kind.WINDOW:
        document |= {"x": _number(line.value), "y": _number(line.days)}
    elif operand != Operand.NONE:
        document["value"] = _value(line.value, operand, found.kind if found is not None else Kind.ANY)
    return document


def _value(text: str, operand: Operand, kind: Kind) -> object:
    if operand in (Operand.NUMBER, Operand.DAYS, Operand.HOURS):
        return _number(text) if kind != Kind.VERSION else text
    if operand == Operand.TEXTS:
        return _parts(text)
    if operand == Operand.SCALARS:
        return [_scalar(part) for part in _parts(text)]
    if operand == Operand.SCALAR or (operand == Operand.TEXT_OR_NUMBER and kind != Kind.TEXT):
        return _scalar(text)
    return text


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _scalar(text: str) -> object:
    """A number or a truth where the text is one."""
    if text.strip() in ("true", "false"):
        return text.strip() == "true"
    found = _number(text)
    return text if found is None else found


def _number(text: str) -> int | float | None:
    try:
        found = float(text.strip())
    except ValueError:
        return None
    if found != found or found in (float("inf"), float("-inf")):
        return None
    whole = integer(found)
    return found if whole is None else whole
