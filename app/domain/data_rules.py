"""What a workspace decided about single names: the data type of an attribute, its maximum, what is blocked.

Rules are part of ApplySettings: {attribute: {"type": ..., "array_max": ..., "blocked": True}}, each member optional,
and {event or product: True} for what is blocked. They travel through the inbox, so that a redo meets the same rules.
"""

import re
from dataclasses import fields, replace
from typing import Any, Final

from app.domain import custom_attributes
from app.domain.commands import ChangeSettings
from app.domain.custom_attributes import TIME, Options, Skip, Unset
from app.domain.reasons import BLOCKED, WRONG_TYPE
from app.domain.settings import ApplySettings
from app.domain.step import Step
from app.domain.work import Work

BOOLEAN, NUMBER, STRING, TIMES = "boolean", "number", "string", "time"
ARRAY, OBJECT, OBJECT_ARRAY = "array", "object", "object_array"
#: Types of stored values; any of them can be forced.
TYPES: Final = (BOOLEAN, NUMBER, STRING, TIMES, ARRAY, OBJECT, OBJECT_ARRAY)

#: Rules that hold in every workspace, under its own.
BUILT_IN: Final = {name: {"type": BOOLEAN} for name in custom_attributes.CONSENTS}

#: Settings of ApplySettings that are changed name by name, rules of attributes member by member.
BY_NAME: Final = ("attributes", "blocked_events", "blocked_products")

_NUMERIC: Final = re.compile(r"[+-]?(\d{1,19}|\d{1,40}\.\d{0,40}|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)
_BOOLEANS: Final[dict[object, bool]] = {"1": True, "true": True, "t": True, "0": False, "false": False, "f": False}


#: By the type of a stored value that is neither an array nor an object.
SCALARS: Final = {bool: BOOLEAN, int: NUMBER, float: NUMBER, str: STRING}


def type_of(value: object) -> str:
    """The type of a stored value, one of TYPES."""
    scalar = SCALARS.get(type(value))
    if scalar is not None:
        return scalar
    if isinstance(value, dict):
        return TIMES if TIME in value else OBJECT
    if isinstance(value, list) and any(isinstance(element, dict) and TIME not in element for element in value):
        return OBJECT_ARRAY
    return ARRAY


def rule_of(rules: dict[str, dict[str, Any]], name: str) -> dict[str, Any] | None:
    """The rule of an attribute, if it has one."""
    rule = rules.get(name)
    return {**BUILT_IN[name], **(rule or {})} if name in BUILT_IN else rule


def updated(
    current: object,
    raw: object,
    options: Options,
    rule: dict[str, Any],
    work: Work | None = None,
    left_out: list[tuple[str, str]] | None = None,
) -> object | Skip | Unset:
    """As custom_attributes.updated, for an attribute with a rule."""
    if rule.get("blocked"):
        return Skip(BLOCKED)
    if "array_max" in rule:
        options = replace(options, array_max=rule["array_max"])
    forced = rule.get("type")
    if forced is None or raw is None:
        return custom_attributes.updated(current, raw, options, work, left_out)
    if forced == STRING:
        return custom_attributes.text(raw) if isinstance(raw, str) else Skip(WRONG_TYPE)
    parts: list[tuple[str, str]] = []
    value = custom_attributes.updated(current, _coerced(raw, forced), options, work, parts)
    if isinstance(value, (Skip, Unset)) or type_of(value) == forced or (forced == OBJECT_ARRAY and value == []):
        if left_out is not None:
            left_out += parts
        return value
    return Skip(WRONG_TYPE)


def _coerced(raw: object, forced: str) -> object:
    """The value as a boolean or a number if it can be read as one, else unchanged."""
    if forced == BOOLEAN and isinstance(raw, (str, int, float)) and not isinstance(raw, bool):
        return _BOOLEANS.get(raw.strip().lower() if isinstance(raw, str) else str(raw), raw)
    if forced == NUMBER and isinstance(raw, str) and _NUMERIC.fullmatch(raw.strip()):
        text = raw.strip()
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    return raw


def changed(settings: ApplySettings, values: dict[str, Any]) -> ApplySettings:
    """Settings with new values. Unknown fields come from a newer version of Onefold and are left out."""
    known = {item.name for item in fields(settings)}
    new: dict[str, Any] = {}
    for name, value in values.items():
        if name in BY_NAME:
            before = getattr(settings, name)
            new[name] = after = _merged(before, value)
            if name == "attributes" and _forced_texts(before) - _forced_texts(after):
                new["texts_were_forced"] = True
        elif name == "fixed_rates":
            new[name] = _rates(settings.fixed_rates, value)
        elif name in known:
            new[name] = value
    return replace(settings, **new)


def _forced_texts(attributes: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, rule in attributes.items() if rule.get("type") == STRING}


def _merged(rules: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Rules with new members. null and false remove a member; a rule without members is removed."""
    result = dict(rules)
    for name, value in values.items():
        rule = value
        if isinstance(value, dict):
            rule = {key: member for key, member in {**result.get(name, {}), **value}.items() if member}
        if rule:
            result[name] = rule
        else:
            result.pop(name, None)
    return result


def _rates(before: dict[str, list[Any]], values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Fixed rates with new ones, each [first day, decimal text]; None instead of a text takes the day's rate away."""
    result = dict(before)
    for currency, entries in values.items():
        texts = {**dict(result.pop(currency, ())), **dict(entries)}
        kept = [[day, text] for day, text in sorted(texts.items()) if text is not None]
        if kept:
            result[currency] = kept
    return result


def change_settings(step: Step, command: ChangeSettings) -> None:
    """Apply a command that changes settings."""
    step.state.settings = changed(step.state.settings, command.values)
    step.state.changes.settings_changed = True
