"""One filter of a segment, from JSON and checked: {"field", "op", …} (spec segments.md 4, ecommerce.md 5)."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any, Final

from app.contract import addresses
from app.contract.errors import RefusedError
from app.domain import times
from app.domain.numbers import canonical
from app.domain.segments.fields import FIELDS, MOST_TIMES, OPERANDS, OPERATORS, Field, Kind, Operand
from app.domain.segments.model import ANY_ELEMENT, Criterion, Filter, Value

MAX_TEXT: Final = 1_000
MAX_VALUES: Final = 256
MAX_PATTERN: Final = 32_764
MAX_NAME: Final = 255
MAX_STEPS: Final = 16
MAX_CRITERIA: Final = 10
#: A hundred years.
MAX_DAYS: Final = 36_525
MAX_HOURS: Final = 24 * MAX_DAYS
MAX_RECURRING: Final = 366
#: So that cents fit 64 bits.
MAX_AMOUNT: Final = 10**15
MAX_KM: Final = 20_038

#: What the name of a field is called, where it is not `name`.
NAME_KEYS: Final = {
    "user_alias": "alias_label",
    "subscription_group": "subscription_group_id",
    "segment_membership": "segment_id",
}
_VERSION: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18}){0,15}").fullmatch
_DAY_OF_YEAR: Final = re.compile(r"(0[1-9]|1[0-2])-[0-3][0-9]").fullmatch

IsPattern = Callable[[str], bool]
"""Whether a text is a regular expression that can be used."""


def read_filter(value: object, where: str, is_pattern: IsPattern) -> Filter:
    """The filter. `where` says in sentences which one it is. Raises RefusedError(400)."""
    if not isinstance(value, dict):
        raise refused(where, "must be an object")
    name = value.get("field")
    field = FIELDS.get(name) if isinstance(name, str) else None
    if field is None or not isinstance(name, str):
        raise refused(where, "has no known 'field'")
    op = value.get("op")
    if not isinstance(op, str) or op not in OPERATORS[field.kind]:
        raise refused(where, f"needs an 'op' of '{name}': {', '.join(OPERATORS[field.kind])}")
    unknown = value.keys() - _keys(name, field, op)
    if unknown:
        raise refused(where, f"has unknown members; '{name}' takes: {', '.join(sorted(_keys(name, field, op)))}")
    about, path = _about(value, name, field, op, where)
    x, y = _window(value, name, field, where)
    operand = _contact(name, op, _value(value, field, op, where, is_pattern))
    if field.exact and op == "does_not_equal" and isinstance(operand, str):
        op, operand = "is_none_of", (operand,)
    return Filter(
        field=name,
        op=op,
        value=operand,
        name=about,
        path=path,
        x=x,
        y=y,
        criteria=_criteria(value, field, op, where, is_pattern),
        circle=_circle(value, where) if field.kind == Kind.CIRCLE else (0.0, 0.0, 0.0),
    )


def refused(where: str, what: str) -> RefusedError:
    return RefusedError(400, f"{where} {what}")


def _keys(name: str, field: Field, op: str) -> set[str]:
    keys = {"field", "op"}
    if field.name is not False:
        keys.add(NAME_KEYS.get(name, "name"))
    if field.kind == Kind.ANY:
        keys.add("path")
    if field.kind == Kind.WINDOW:
        keys |= {"x", "y"} | ({"property"} if field.properties else set())
    elif field.kind == Kind.CIRCLE:
        keys |= {"latitude", "longitude", "kilometres"}
    elif op == "any_element":
        keys.add("criteria")
    elif OPERANDS[op] != Operand.NONE:  # of X in Y days, x is the operand
        keys.add("value")
    return keys


def _about(value: dict[str, Any], name: str, field: Field, op: str, where: str) -> tuple[str, tuple[str, ...]]:
    """(what the field is about, the path inside it)."""
    key = NAME_KEYS.get(name, "name")
    about = value.get(key)
    if field.name is False or (field.name is None and about is None):
        return _unlabelled(name, op, key, where), ()
    if not isinstance(about, str) or not about or len(about) > MAX_NAME + MAX_TEXT or not _storable(about):
        raise refused(where, f"needs a '{key}'")
    if field.kind != Kind.ANY:
        return about, ()
    if "path" in value:  # so a name may contain dots
        return about.strip(), read_path(value["path"], where)
    first, *rest = read_path(about.strip(), where)
    return first, tuple(rest)


def _unlabelled(name: str, op: str, key: str, where: str) -> str:
    if name == "user_alias" and op not in ("is_blank", "is_not_blank"):
        raise refused(where, f"needs '{key}', except with is_blank and is_not_blank")
    return ""


def read_path(value: object, where: str) -> tuple[str, ...]:
    """The steps of `a.b`, `items[].sku`. Raises RefusedError(400) for more than one `[]`."""
    if not isinstance(value, str) or not _storable(value):
        raise refused(where, "has a 'path' that is no text")
    steps: list[str] = []
    for part in value.split(".") if value else ():
        bare = part.removesuffix(ANY_ELEMENT)
        if bare:
            steps.append(bare)
        elif not part or steps:
            raise refused(where, "has a path with an empty step")
        if bare != part:
            steps.append(ANY_ELEMENT)
    if len(steps) > MAX_STEPS or steps.count(ANY_ELEMENT) > 1:
        raise refused(where, f"has a path of more than {MAX_STEPS} steps, or with more than one []")
    return tuple(steps)


def _window(value: dict[str, Any], name: str, field: Field, where: str) -> tuple[int | float, int]:
    if field.kind != Kind.WINDOW:
        return 0, 0
    x, y = value.get("x"), value.get("y")
    if type(y) is not int or not 1 <= y <= field.most_days:
        raise refused(where, f"needs 'y', days from 1 to {field.most_days}")
    if "money" in name or "revenue" in name:
        if not _is_number(x) or abs(x) > MAX_AMOUNT:  # type: ignore[arg-type]
            raise refused(where, "needs 'x', an amount in US dollars")
        return x, y  # type: ignore[return-value]
    most = MOST_TIMES if field.most_days < MAX_RECURRING else 1_000_000
    if type(x) is not int or not 0 <= x <= most:
        raise refused(where, f"needs 'x', a number from 0 to {most}")
    return x, y


def _criteria(value: dict[str, Any], field: Field, op: str, where: str, is_pattern: IsPattern) -> tuple[Criterion, ...]:
    if op == "any_element":
        listed = value.get("criteria")
        if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_CRITERIA:
            raise refused(where, f"needs 'criteria', 1 to {MAX_CRITERIA} of them")
        return tuple(_criterion(one, f"{where}: criteria[{n}]", "path", is_pattern) for n, one in enumerate(listed))
    if field.properties and "property" in value:
        sent = value["property"]
        listed = sent if isinstance(sent, list) else [sent]
        if not 1 <= len(listed) <= MAX_CRITERIA:
            raise refused(where, f"takes 1 to {MAX_CRITERIA} properties")
        return tuple(_criterion(one, f"{where}: property", "name", is_pattern) for one in listed)
    return ()


def _criterion(value: object, where: str, key: str, is_pattern: IsPattern) -> Criterion:
    if not isinstance(value, dict) or value.keys() - {key, "op", "value"}:
        raise refused(where, f"must be an object of '{key}', 'op' and 'value'")
    op = value.get("op")
    if not isinstance(op, str) or op not in OPERATORS[Kind.ANY] or op == "any_element":
        raise refused(where, "needs an 'op'")
    path = read_path(value.get(key), where)
    if not path and key == "name":
        raise refused(where, "needs a 'name'")
    return Criterion(path, op, _operand(value, op, where, is_pattern))


def _operand(value: dict[str, Any], op: str, where: str, is_pattern: IsPattern) -> Value:
    operand = OPERANDS[op]
    if operand == Operand.NONE:
        return None
    sent = value.get("value")
    found = _READERS[operand](sent) if operand != Operand.PATTERN else _pattern(sent, is_pattern)
    if found is None:
        raise refused(where, f"needs a 'value' for {op}: {operand.value}")
    return found


def _value(value: dict[str, Any], field: Field, op: str, where: str, is_pattern: IsPattern) -> Value:
    """The operand of a whole filter; one that may be of several types is of the field's."""
    if field.kind == Kind.WINDOW:
        return None
    if field.kind == Kind.VERSION and OPERANDS[op] != Operand.NONE:
        sent = value.get("value")
        if not isinstance(sent, str) or len(sent) > MAX_NAME or not _VERSION(sent):
            raise refused(where, f"needs a 'value' for {op}: numbers with dots, such as \"2.10.1\"")
        return sent
    found = _operand(value, op, where, is_pattern)
    numeric = field.kind in (Kind.NUMBER, Kind.COUNT, Kind.MONEY)
    if op == "does_not_equal" and field.kind != Kind.ANY and isinstance(found, str) is numeric:
        raise refused(where, f"needs a 'value' for {op}: {Operand.NUMBER.value if numeric else Operand.TEXT.value}")
    return found


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= MAX_TEXT and _storable(value) else None


def _number(value: object) -> int | float | None:
    found = canonical(value) if _is_number(value) else None  # type: ignore[arg-type]
    return found if found is None or abs(found) <= MAX_AMOUNT * 1_000 else None


def _scalar(value: object) -> str | int | float | bool | None:
    return value if isinstance(value, bool) else _text(value) if isinstance(value, str) else _number(value)


def _listed(read: Callable[[object], Any]) -> Callable[[object], tuple[Any, ...] | None]:
    def several(value: object) -> tuple[Any, ...] | None:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_VALUES:
            return None
        found = tuple(read(one) for one in value)
        return None if None in found else found

    return several


def _pattern(value: object, is_pattern: IsPattern) -> str | None:
    fits = isinstance(value, str) and 0 < len(value) <= MAX_PATTERN and _storable(value)
    return value if fits and isinstance(value, str) and is_pattern(value) else None


def _date(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    if len(value) == len("YYYY-MM-DD"):
        try:
            date.fromisoformat(value)
        except ValueError:
            return None
        return value if value[4] == "-" and value <= "3000-12-31" else None
    return None if times.moment(value) is None else value


def _span(most: int, step: float) -> Callable[[object], int | float | None]:
    def span(value: object) -> int | float | None:
        found = _number(value)
        return found if found is not None and 0 <= found <= most and found % step == 0 else None

    return span


def _recurring(value: object) -> str | int | None:
    if isinstance(value, str) and _DAY_OF_YEAR(value):
        try:
            date.fromisoformat(f"2000-{value}")
        except ValueError:
            return None
        return value
    return value if type(value) is int and abs(value) <= MAX_RECURRING else None


_READERS: Final[dict[Operand, Callable[[object], Value]]] = {
    Operand.TEXT: _text,
    Operand.NUMBER: _number,
    Operand.TEXT_OR_NUMBER: lambda value: _text(value) if isinstance(value, str) else _number(value),
    Operand.SCALAR: _scalar,
    Operand.TEXTS: _listed(_text),
    Operand.SCALARS: _listed(_scalar),
    Operand.DATE: _date,
    Operand.DAYS: _span(MAX_DAYS, 0.25),
    Operand.HOURS: _span(MAX_HOURS, 1),
    Operand.RECURRING: _recurring,
}


def _contact(field: str, op: str, value: Value) -> Value:
    """E-mail addresses and phone numbers in the form in which profiles have them; parts of addresses in lower case."""
    if field not in ("email_address", "phone_number") or OPERANDS[op] == Operand.PATTERN:
        return value
    whole = op in ("equals", "does_not_equal", "is_any_of", "is_none_of")

    def kept(text: str) -> str:
        if field == "phone_number":
            return (addresses.phone(text) or text) if whole else text
        return (addresses.email(text) or text.strip().lower()) if whole else text.lower()

    if isinstance(value, str):
        return kept(value)
    return tuple(kept(str(one)) for one in value) if isinstance(value, tuple) else value


def _circle(value: dict[str, Any], where: str) -> tuple[float, float, float]:
    numbers = [value.get(name) for name in ("longitude", "latitude", "kilometres")]
    if not all(_is_number(one) for one in numbers):
        raise refused(where, "needs 'longitude', 'latitude' and 'kilometres'")
    longitude, latitude, kilometres = (float(one) for one in numbers)  # type: ignore[arg-type]
    if not (abs(longitude) <= 180 and abs(latitude) <= 90 and 0 < kilometres <= MAX_KM):
        raise refused(where, f"needs a place on Earth and up to {MAX_KM} 'kilometres'")
    return longitude, latitude, kilometres


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _storable(text: str) -> bool:
    return "\0" not in text
