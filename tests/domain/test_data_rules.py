"""Forced types, maxima and blocked names: every type against every form that is sent."""

from typing import Any

import pytest

from app.domain import data_rules
from app.domain.custom_attributes import MISSING, UNSET, Options, Skip
from app.domain.settings import ApplySettings

WRONG = Skip("wrong_type")
TIME = {"$time": "2026-01-05T00:00:00.000Z"}
FORMS: dict[str, Any] = {
    "boolean": True,
    "number": 5,
    "string": "text",
    "time": "2026-01-05",
    "array": ["a", 1],
    "object": {"a": 1},
    "object_array": [{"a": 1}],
}
STORED = FORMS | {"time": TIME}


@pytest.mark.parametrize("forced", data_rules.TYPES)
@pytest.mark.parametrize("sent", data_rules.TYPES)
def test_a_forced_type_takes_its_own_and_nothing_else(forced: str, sent: str) -> None:
    found = data_rules.updated(MISSING, FORMS[sent], Options(), {"type": forced})
    if forced == "string" and sent == "time":
        assert found == "2026-01-05"
    else:
        assert found == (STORED[sent] if forced == sent else WRONG)
    assert data_rules.type_of(STORED[sent]) == sent


@pytest.mark.parametrize(
    ("forced", "current", "raw", "expected"),
    [
        ("boolean", MISSING, "1", True),
        ("boolean", MISSING, "True", True),
        ("boolean", MISSING, " t ", True),
        ("boolean", MISSING, "0", False),
        ("boolean", MISSING, "FALSE", False),
        ("boolean", MISSING, "F", False),
        ("boolean", MISSING, 1, True),
        ("boolean", MISSING, 0, False),
        ("boolean", MISSING, 2, WRONG),
        ("boolean", MISSING, "yes", WRONG),
        ("number", MISSING, "12", 12),
        ("number", MISSING, " -1.5 ", -1.5),
        ("number", MISSING, "1e3", 1000.0),
        ("number", MISSING, "1.0e3", 1000.0),
        ("number", MISSING, "9" * 19, Skip("value_out_of_range")),
        ("number", MISSING, "9" * 400, Skip("value_too_long")),
        ("number", MISSING, "1.0e999", Skip("value_out_of_range")),
        ("number", MISSING, "1_0", WRONG),
        ("number", MISSING, "0x1", WRONG),
        ("number", MISSING, "", WRONG),
        ("number", MISSING, True, WRONG),
        ("number", 5, {"inc": 2}, 7),
        ("number", "5", {"inc": 2}, Skip("not_a_number")),
        ("string", MISSING, 5, WRONG),
        ("string", MISSING, "x" * 256, Skip("value_too_long")),
        ("string", MISSING, "", ""),
        ("time", MISSING, {"$time": "2026-01-05"}, TIME),
        ("time", MISSING, "tomorrow", WRONG),
        ("array", MISSING, [], []),
        ("array", ["a"], {"add": ["b"]}, ["a", "b"]),
        ("array", MISSING, [{"a": 1}], WRONG),
        ("object_array", MISSING, [], []),
        ("object_array", MISSING, {"$add": [{"a": 1}]}, [{"a": 1}]),
        ("object_array", MISSING, ["a"], WRONG),
        ("object", MISSING, {"$time": "2026-01-05"}, WRONG),
        ("number", 5, None, UNSET),  # any attribute can be taken away
    ],
)
def test_coercion(forced: str, current: object, raw: object, expected: object) -> None:
    found = data_rules.updated(current, raw, Options(), {"type": forced})
    assert (type(found), found) == (type(expected), expected)


def test_the_maximum_of_an_array() -> None:
    rule = {"array_max": 3}
    assert data_rules.updated(MISSING, [1, 2, 3, 4], Options(), rule) == [1, 2, 3]
    assert data_rules.updated([1, 2, 3], {"add": [4]}, Options(), rule) == [2, 3, 4]
    assert data_rules.updated(MISSING, [1, 2, 3, 4], Options(), {"type": "array"}) == [1, 2, 3, 4]


def test_blocked() -> None:
    assert data_rules.updated(MISSING, 1, Options(), {"blocked": True}) == Skip("blocked")
    assert data_rules.updated(1, None, Options(), {"blocked": True}) == Skip("blocked")


def test_settings_change_name_by_name() -> None:
    settings = ApplySettings()
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"attributes": {"a": {"type": "number", "blocked": None}}}, {"a": {"type": "number"}}),
        ({"attributes": {"b": {"blocked": True}}}, {"a": {"type": "number"}, "b": {"blocked": True}}),
        ({"attributes": {"a": {"array_max": 3}}}, {"a": {"type": "number", "array_max": 3}, "b": {"blocked": True}}),
        ({"attributes": {"a": {"type": None, "array_max": None}}, "from_the_future": 1}, {"b": {"blocked": True}}),
        ({"attributes": {"b": {"blocked": False}}}, {}),
    ]
    for values, expected in steps:
        settings = data_rules.changed(settings, values)
        assert settings == ApplySettings(attributes=expected)
    for rule in ({"type": "string"}, {"array_max": 3}):
        settings = data_rules.changed(settings, {"attributes": {"a": rule}})
        assert not settings.texts_were_forced
    assert data_rules.changed(settings, {"attributes": {"a": {"type": "number"}}}).texts_were_forced
    settings = data_rules.changed(settings, {"attributes": {"a": {"type": None, "array_max": None}}})
    assert settings == ApplySettings(texts_were_forced=True)
    settings = data_rules.changed(ApplySettings(), {"blocked_events": {"e": True, "f": True}, "array_max": 7})
    settings = data_rules.changed(settings, {"blocked_events": {"e": False}})
    assert settings == ApplySettings(blocked_events={"f": True}, array_max=7)
