"""What one update makes of a custom attribute: tables of the contract's rules, then laws for all values."""

import copy
import json
import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.domain import values
from app.domain.custom_attributes import (
    MISSING,
    OUT_OF_RANGE,
    REASONS,
    UNSET,
    Options,
    Skip,
    exported,
    number_updated,
    updated,
    valid_name,
)

PLAIN = Options()
MERGE = Options(merge_objects=True)
STRICT = Options(merge_objects=True, nested_null_deletes=False)
THREE = Options(array_max=3)

MAX = 2**63 - 1
JAN_5 = {"$time": "2026-01-05T00:00:00.000Z"}
LONG, TOO_LONG = "x" * 255, "x" * 256
OBJECTS = [{"id": 1, "name": "Rex"}, {"id": 2, "name": "Mia"}]


def remove(key: object, value: object) -> dict[str, object]:
    return {"$identifier_key": key, "$identifier_value": value}


def update(key: object, value: object, new: object) -> dict[str, object]:
    return {"$identifier_key": key, "$identifier_value": value, "$new_object": new}


SCALARS = [
    (True, True),
    (False, False),
    (0, 0),
    (-7, -7),
    (1.5, 1.5),
    ("premium", "premium"),
    ("", ""),
    (LONG, LONG),
    (TOO_LONG, Skip("value_too_long")),
    ("\u00e9" * 255, "\u00e9" * 255),
    ("\u00e9" * 256, Skip("value_too_long")),
    ("a\0b", Skip("invalid_text")),
    ("\ud800", Skip("invalid_text")),
    ("\udc00x", Skip("invalid_text")),
    # strings that are times, and those that only look so
    ("2026-01-05", JAN_5),
    ("01/05/2026", JAN_5),
    ("2026-01-05 02:00:00 +0200", JAN_5),
    ("2024-02-30", "2024-02-30"),
    ("3001-01-01", "3001-01-01"),
    ("0000-01-01", "0000-01-01"),
    ("January 5", "January 5"),
    ("20260105", "20260105"),
    ({"$time": "2026-01-05"}, JAN_5),
    ({"$time": "soon"}, Skip("invalid_time")),
    ({"$time": None}, Skip("invalid_time")),
    ({"$time": 5}, Skip("invalid_time")),
    ({"$time": "2026-01-05", "x": 1}, Skip("invalid_time")),
    ({"$time": "3001-01-01"}, Skip("invalid_time")),
    (None, UNSET),
    # numbers both stores give back alike
    (MAX, MAX),
    (-MAX - 1, -MAX - 1),
    (MAX + 1, Skip("value_out_of_range")),
    (-MAX - 2, Skip("value_out_of_range")),
    (2**53 + 1, 2**53 + 1),
    (1e15, 10**15),
    (-1e18, -(10**18)),
    (1e15 + 0.5, 1e15 + 0.5),
    (2.0**63, Skip("value_out_of_range")),
    (-(2.0**63), Skip("value_out_of_range")),
    (1e308, Skip("value_out_of_range")),
    (-0.0, 0.0),
    (1e-100, 1e-100),
    (9e-101, 0.0),
    (-5e-324, 0.0),
    (math.inf, Skip("value_out_of_range")),
    (math.nan, Skip("value_out_of_range")),
    (OUT_OF_RANGE, Skip("value_out_of_range")),
    ([OUT_OF_RANGE], Skip("value_out_of_range")),
    ({"a": [{"b": OUT_OF_RANGE}]}, Skip("value_out_of_range")),
    ({"inc": OUT_OF_RANGE}, Skip("value_out_of_range")),
    ({"add": [OUT_OF_RANGE]}, Skip("value_out_of_range")),
    ([{"a": 1}, OUT_OF_RANGE], Skip("value_out_of_range")),
    # odd texts are texts
    ("' or 1=1 --", "' or 1=1 --"),
    ("{{7*7}}", "{{7*7}}"),
    ("${jndi:}", "${jndi:}"),
    ("=cmd|", "=cmd|"),
]


@pytest.mark.parametrize("current", [MISSING, "old", 7, [1], {"a": 1}], ids=repr)
@pytest.mark.parametrize(("raw", "expected"), SCALARS, ids=lambda value: ascii(value)[:40])
def test_a_plain_value_replaces_whatever_was_there(current: object, raw: object, expected: object) -> None:
    if raw == {"inc": OUT_OF_RANGE} and current not in (MISSING, 7):
        expected = Skip("not_a_number")
    if raw == {"add": [OUT_OF_RANGE]}:
        expected = Skip("value_out_of_range")
    result = updated(current, raw, PLAIN)
    assert (type(result), result) == (type(expected), expected)


INCREMENTS = [
    (MISSING, 5, 5),
    (MISSING, -5, -5),
    (10, 5, 15),
    (1, -3, -2),
    (1.5, 2, 3.5),
    (10, 0, 10),
    (MAX, 1, Skip("value_out_of_range")),
    (-MAX, -1, Skip("value_out_of_range")),
    (-MAX, 0, -MAX),
    (MAX, -MAX, 0),
    (MISSING, -MAX - 1, Skip("value_out_of_range")),
    (0, MAX + 1, Skip("value_out_of_range")),
    (9e14 + 0.5, MAX, Skip("value_out_of_range")),
    (999999999999999.0, 1, 10**15),
    (1, "1", Skip("not_an_integer")),
    (1, 1.0, 2),
    (1, 1e2, 101),
    (1, -0.0, 1),
    (1.5, 2.0, 3.5),
    (1, 1.5, Skip("not_an_integer")),
    (1, 1e308, Skip("value_out_of_range")),
    (1, True, Skip("not_an_integer")),
    (1, None, Skip("not_an_integer")),
    (1, [1], Skip("not_an_integer")),
    (True, 1, Skip("not_a_number")),
    ("1", 1, Skip("not_a_number")),
    (JAN_5, 1, Skip("not_a_number")),
    ([1], 1, Skip("not_a_number")),
    ({"a": 1}, 1, Skip("not_a_number")),
]


@pytest.mark.parametrize(("current", "by", "expected"), INCREMENTS)
def test_inc(current: object, by: object, expected: object) -> None:
    result = updated(current, {"inc": by}, PLAIN)
    assert (type(result), result) == (type(expected), expected)


ARRAYS = [
    (MISSING, [], []),
    (5, ["a", "b"], ["a", "b"]),
    ([1], ["h", "h", "h", "p"], ["h", "p"]),
    (MISSING, [1, "1", True, 1.0, 0, False, 0.0, "", 2.5], [1, "1", True, 0, False, "", 2.5]),
    (MISSING, ["a", TOO_LONG, LONG], ["a", LONG]),
    (MISSING, ["2026-01-05"], ["2026-01-05"]),
    (MISSING, [{"$time": "2026-01-05"}, JAN_5, "a"], [JAN_5, "a"]),
    (MISSING, [-0.0, 1e15], [0.0, 10**15]),
    (MISSING, [["a"]], Skip("nested_array")),
    (MISSING, ["a", None], Skip("nested_null")),
    (MISSING, [{"$time": "soon"}], Skip("invalid_time")),
    (MISSING, ["\0"], Skip("invalid_text")),
    # add
    (MISSING, {"add": ["c"]}, ["c"]),
    (["a"], {"add": ["b", "c"]}, ["a", "b", "c"]),
    (["h", "p"], {"add": ["h", "z"]}, ["p", "h", "z"]),
    ([], {"add": ["a", "b", "a"]}, ["b", "a"]),
    ([1], {"add": ["1", True]}, [1, "1", True]),
    ([1, 2], {"add": [1.0]}, [2, 1.0]),
    (["a"], {"add": [TOO_LONG]}, ["a"]),
    (["a"], {"add": []}, ["a"]),
    (MISSING, {"add": []}, []),
    ([JAN_5, "a"], {"add": [{"$time": "2026-01-05T00:00:00Z"}]}, ["a", JAN_5]),
    # remove
    (["a", "b"], {"remove": ["a", "x"]}, ["b"]),
    (["a"], {"remove": ["a"]}, []),
    ([1, "1", True], {"remove": [1]}, ["1", True]),
    ([JAN_5], {"remove": [JAN_5]}, []),
    (MISSING, {"remove": ["a"]}, Skip("attribute_missing")),
    # both: add first
    (["a"], {"remove": ["b"], "add": ["b", "c"]}, ["a", "c"]),
    (MISSING, {"remove": ["b"], "add": ["b", "c"]}, ["c"]),
    # not on other types, not with other operands
    ("a", {"add": ["b"]}, Skip("not_an_array")),
    (5, {"remove": ["b"]}, Skip("not_an_array")),
    ({"a": 1}, {"add": ["b"]}, Skip("not_an_array")),
    (JAN_5, {"add": ["b"]}, Skip("not_an_array")),
    (["a"], {"add": "b"}, Skip("not_an_array")),
    (["a"], {"add": None}, Skip("not_an_array")),
    (["a"], {"add": ["b"], "remove": {}}, Skip("not_an_array")),
    (["a"], {"add": [["b"]]}, Skip("nested_array")),
    (["a"], {"add": [None]}, Skip("nested_null")),
    (["a"], {"add": [{"b": 1}]}, Skip("invalid_nested_value")),
    (["a"], {"remove": [{}]}, Skip("invalid_nested_value")),
    (["a"], {"add": ["b"], "remove": [None]}, Skip("nested_null")),
    ([{"id": 1}, "a"], {"add": ["a", "b"]}, [{"id": 1}, "a", "b"]),
    # two operations in one object are no operation
    (["a"], {"inc": 1, "add": ["b"]}, {"inc": 1, "add": ["b"]}),
    (["a"], {"add": ["b"], "x": 1}, {"add": ["b"], "x": 1}),
]


@pytest.mark.parametrize(("current", "raw", "expected"), ARRAYS, ids=lambda value: ascii(value)[:40])
def test_arrays_of_scalars(current: object, raw: object, expected: object) -> None:
    result = updated(current, raw, PLAIN)
    assert (type(result), json_text(result)) == (type(expected), json_text(expected))


def json_text(value: object) -> str:
    """Tells 1 from 1.0 and from true, which == does not."""
    return json.dumps(value, default=repr)


def test_the_maximum_length_keeps_the_first_of_a_set_and_the_last_of_an_add() -> None:
    """DECISIONS D16."""
    first = updated(MISSING, [1, 1, 2, 3, 4], THREE)
    assert first == [1, 2, 3]
    assert updated(first, {"add": [4]}, THREE) == [2, 3, 4]
    assert updated(first, {"add": [1, 5, 6, 7]}, THREE) == [5, 6, 7]
    assert updated(first, {"add": [4], "remove": [2]}, THREE) == [3, 4]
    assert updated([1, 2, 3, 4], {"remove": [1]}, Options(array_max=2)) == [2, 3, 4]
    assert updated(MISSING, list(range(501)), PLAIN) == list(range(500))
    assert updated([{"id": 1}] * 3, {"add": [1]}, THREE) == [{"id": 1}] * 3 + [1]


NESTED = [
    # keys
    ({"a b": 1}, Skip("invalid_key")),
    ({"a.b": 1}, Skip("invalid_key")),
    ({"$a": 1}, Skip("invalid_key")),
    ({"a$": 1}, Skip("invalid_key")),
    ({"": 1}, Skip("invalid_key")),
    ({LONG: 1}, {LONG: 1}),
    ({TOO_LONG: 1}, Skip("invalid_key")),
    ({"a\0": 1}, Skip("invalid_text")),
    ({"__proto__": 1, "_id": 2}, {"__proto__": 1, "_id": 2}),
    ({"x": {"a b": 1}}, Skip("invalid_key")),
    ([{"a.b": 1}], Skip("invalid_key")),
    # values
    ({}, {}),
    (
        {"city": "Faro", "rooms": 3, "tags": ["a", "a"], "in": {}},
        {"city": "Faro", "rooms": 3, "tags": ["a", "a"], "in": {}},
    ),
    ({"a": TOO_LONG}, Skip("value_too_long")),
    ({"a": [TOO_LONG]}, Skip("value_too_long")),
    ({"a": [[1]]}, Skip("nested_array")),
    ({"a": 2**63}, Skip("value_out_of_range")),
    ({"a": -0.0, "b": 1e16}, {"a": 0.0, "b": 10**16}),
    ({"a": "2026-01-05"}, {"a": "2026-01-05"}),
    ({"a": {"$time": "2026-01-05"}}, {"a": JAN_5}),
    ({"a": {"$time": None}}, Skip("invalid_time")),
    ({"a": {"$time": "soon"}}, Skip("invalid_time")),
    ({"a": {"$time": "2026-01-05", "b": 1}}, Skip("invalid_time")),
    ({"a": {"inc": 1}}, {"a": {"inc": 1}}),
    ({"a": {"$add": []}}, Skip("invalid_key")),
    # D62: nulls are left out
    ({"a": None}, {}),
    ({"a": {"b": None}}, {"a": {}}),
    ({"a": [None, 1]}, {"a": [1]}),
    ({"inc": 1, "x": None}, {"inc": 1}),
    ([{"a": None}], [{}]),
    ([{"a": 1}, None], [{"a": 1}]),
    ({"a": None, "b c": 1}, Skip("invalid_key")),
    # D65
    ({"a": {"$time": " 20260105T0000Z[UTC] "}}, {"a": JAN_5}),
    ({"a": {"$time": "2026-01-05t00:00:00,0z"}}, {"a": JAN_5}),
    ([{"a": 1}, [1]], Skip("nested_array")),
    # arrays of objects: no de-duplication, scalars may stand among them
    ([{"a": 1}, {"a": 1}, 5, 5], [{"a": 1}, {"a": 1}, 5, 5]),
    ([{"t": {"$time": "2026-01-05"}}], [{"t": JAN_5}]),
    ([{"a": 1}] * 501, [{"a": 1}] * 501),
    ([{"a": 1}, TOO_LONG], Skip("value_too_long")),
]


@pytest.mark.parametrize(("raw", "expected"), NESTED, ids=lambda value: ascii(value)[:40])
def test_objects_and_arrays_of_objects_replace(raw: object, expected: object) -> None:
    for current in (MISSING, {"old": 1}, [1], "x"):
        assert json_text(updated(current, raw, PLAIN)) == json_text(expected)


HOME = {"city": "Faro", "rooms": 2, "at": JAN_5, "who": {"a": 1, "b": {"c": [1, 2]}}}
MERGES = [
    (HOME, {"rooms": 4}, {**HOME, "rooms": 4}),
    (HOME, {}, HOME),
    (HOME, {"who": {"b": {"d": 1}}}, {**HOME, "who": {"a": 1, "b": {"c": [1, 2], "d": 1}}}),
    (HOME, {"who": {"b": {"c": [3]}}}, {**HOME, "who": {"a": 1, "b": {"c": [3]}}}),
    (HOME, {"who": 1}, {**HOME, "who": 1}),
    (HOME, {"city": {"x": 1}}, {**HOME, "city": {"x": 1}}),
    (HOME, {"at": {"x": 1}}, {**HOME, "at": {"x": 1}}),
    (HOME, {"who": {"$time": "2026-01-05"}}, {**HOME, "who": JAN_5}),
    # D15: null deletes
    (HOME, {"city": None, "none": None}, {k: v for k, v in HOME.items() if k != "city"}),
    (HOME, {"who": {"b": None}}, {**HOME, "who": {"a": 1}}),
    (HOME, {"new": {"a": 1, "b": None}}, {**HOME, "new": {"a": 1}}),
    (HOME, {"new": [{"a": None, "b": 1}]}, {**HOME, "new": [{"b": 1}]}),
    (HOME, {"new": [None]}, {**HOME, "new": []}),
    (HOME, {"a b": None}, Skip("invalid_key")),
    ({"a": 1}, {"a": None}, {}),
    # a plain set where there is no object
    (MISSING, {"a": 1, "b": None}, {"a": 1}),
    ([1], {"a": 1}, {"a": 1}),
    (JAN_5, {"a": 1}, {"a": 1}),
    ("x", {"a": 1}, {"a": 1}),
    (HOME, [{"a": 1, "b": None}], [{"a": 1}]),
    (HOME, {"rooms": 4, "x": {"$time": 1}}, Skip("invalid_time")),
    (HOME, None, UNSET),
]


@pytest.mark.parametrize(("current", "raw", "expected"), MERGES, ids=lambda value: ascii(value)[:40])
def test_deep_merge(current: object, raw: object, expected: object) -> None:
    assert updated(current, raw, MERGE) == expected


LEFT_OUT = [
    ({"city": None, "x": 1}, {"x": 1}, ["city"]),
    ({"who": {"b": None, "c": 1}}, {"who": {"c": 1}}, ["who.b"]),
    ({"new": [{"a": None, "b": 1}, None]}, {"new": [{"b": 1}]}, ["new.0.a", "new.1"]),
    ([{"a": None}, {"a": 1}], [{}, {"a": 1}], ["0.a"]),
    ({"$add": [{"a": 1, "b": None}]}, [{"a": 1}], ["$add.0.b"]),
]


@pytest.mark.parametrize(("raw", "expected", "paths"), LEFT_OUT, ids=lambda value: ascii(value)[:40])
def test_a_nested_null_is_left_out_and_named_when_nulls_do_not_delete(
    raw: object, expected: object, paths: list[str]
) -> None:
    for options in (PLAIN, STRICT):
        left_out: list[tuple[str, str]] = []
        assert updated(MISSING, raw, options, None, left_out) == expected
        assert left_out == [(path, "nested_null") for path in paths]


def test_only_so_many_nested_nulls_are_named() -> None:
    left_out: list[tuple[str, str]] = []
    assert updated(MISSING, {f"k{n}": None for n in range(1000)}, PLAIN, None, left_out) == {}
    assert len(left_out) == 200


BESIDE = [
    ({"$add": [{"id": 3}], "add": [{"id": 3}]}, [("add", "invalid_operation")]),
    ({"$add": [{"id": 3}], "x": 1, "$y": 2}, [("x", "invalid_operation"), ("$y", "invalid_operation")]),
    ({"$add": [{"id": 3}], "$remove": None}, [("$remove", "nested_null")]),
    ({"inc": 1, "$add": [{"id": 3, "v": None}]}, [("inc", "invalid_operation"), ("$add.0.v", "nested_null")]),
]


@pytest.mark.parametrize(("raw", "expected"), BESIDE, ids=lambda value: ascii(value)[:40])
def test_what_stands_beside_operators_is_left_out_and_named(raw: object, expected: object) -> None:
    left_out: list[tuple[str, str]] = []
    assert updated(OBJECTS, raw, PLAIN, None, left_out) == [*OBJECTS, {"id": 3}]
    assert left_out == expected


OPERATIONS = [
    # the documented example, and the order of the three operators
    (
        OBJECTS,
        {"$update": [update("id", 2, {"age": 6})], "$remove": [remove("id", 1)], "$add": [{"id": 3, "name": "Bo"}]},
        [{"age": 6}, {"id": 3, "name": "Bo"}],
        [{"id": 2, "name": "Mia", "age": 6}, {"id": 3, "name": "Bo"}],
    ),
    (OBJECTS, {"$remove": [remove("id", 1)], "$add": [{"id": 1, "new": True}]}, OBJECTS[1:], OBJECTS[1:]),
    (OBJECTS, {"$add": OBJECTS}, OBJECTS * 2, OBJECTS * 2),
    ([{"k": 1}, {"k": 1}, {"k": 2}], {"$remove": [remove("k", 1)]}, [{"k": 2}], [{"k": 2}]),
    ([{"k": 1}, {"k": 1}], {"$update": [update("k", 1, {"v": 2})]}, [{"v": 2}] * 2, [{"k": 1, "v": 2}] * 2),
    # later entries see what earlier ones did
    ([{"k": 1}], {"$update": [update("k", 1, {"k": 2}), update("k", 2, {"z": 3})]}, [{"z": 3}], [{"k": 2, "z": 3}]),
    (
        [{"k": {"a": 1}, "i": 1}],
        {"$update": [update("i", 1, {"k": {"b": 2}})]},
        [{"k": {"b": 2}}],
        [{"k": {"a": 1, "b": 2}, "i": 1}],
    ),
    # type-strict
    *[
        (
            [{"k": 4}, {"k": "4"}, {"k": True}, {"k": 1}, {"k": [4]}, {"k": {"a": 4}}, {"j": 4}, 4],
            {"$remove": [remove("k", value)]},
            rest,
            rest,
        )
        for value, rest in (
            (4, [{"k": "4"}, {"k": True}, {"k": 1}, {"k": [4]}, {"k": {"a": 4}}, {"j": 4}, 4]),
            (4.0, [{"k": "4"}, {"k": True}, {"k": 1}, {"k": [4]}, {"k": {"a": 4}}, {"j": 4}, 4]),
            ("4", [{"k": 4}, {"k": True}, {"k": 1}, {"k": [4]}, {"k": {"a": 4}}, {"j": 4}, 4]),
            (1, [{"k": 4}, {"k": "4"}, {"k": True}, {"k": [4]}, {"k": {"a": 4}}, {"j": 4}, 4]),
            (True, [{"k": 4}, {"k": "4"}, {"k": 1}, {"k": [4]}, {"k": {"a": 4}}, {"j": 4}, 4]),
        )
    ],
    ([{"t": JAN_5}], {"$remove": [remove("t", {"$time": "2026-01-05"})]}, [], []),
    # nothing matches, nothing is there
    (OBJECTS, {"$remove": [remove("id", 9)], "$update": [update("id", 9, {"x": 1})]}, OBJECTS, OBJECTS),
    (["a"], {"$remove": [remove("id", 1)], "$update": [update("id", 1, {})]}, ["a"], ["a"]),
    (["a"], {"$add": [{"id": 1}]}, ["a", {"id": 1}], ["a", {"id": 1}]),
    (MISSING, {"$add": [{"id": 1}], "$remove": []}, [{"id": 1}], [{"id": 1}]),
    (MISSING, {"$add": []}, [], []),
    *[
        (current, operation, Skip(reason), Skip(reason))
        for current, operation, reason in (
            (MISSING, {"$remove": [remove("id", 1)]}, "attribute_missing"),
            (MISSING, {"$update": [update("id", 1, {"a": 1})]}, "attribute_missing"),
            ("x", {"$add": [{"id": 1}]}, "not_an_array"),
            ({"a": 1}, {"$remove": [remove("id", 1)]}, "not_an_array"),
            (OBJECTS, {"$add": {"id": 1}}, "not_an_array"),
            (OBJECTS, {"$add": None}, "not_an_array"),
            (OBJECTS, {"$add": [1]}, "invalid_nested_value"),
            (OBJECTS, {"$add": [JAN_5]}, "invalid_nested_value"),
            (OBJECTS, {"$add": [{"a b": 1}]}, "invalid_key"),
            (OBJECTS, {"$add": [{"$x": 1}]}, "invalid_key"),
            (OBJECTS, {"$remove": [{}]}, "invalid_operation"),
            (OBJECTS, {"$remove": [remove(1, 1)]}, "invalid_operation"),
            (OBJECTS, {"$remove": [{**remove("id", 1), "x": 1}]}, "invalid_operation"),
            (OBJECTS, {"$remove": [remove("a b", 1)]}, "invalid_key"),
            (OBJECTS, {"$remove": [remove("id", [1])]}, "invalid_operation"),
            (OBJECTS, {"$remove": [remove("id", {})]}, "invalid_operation"),
            (OBJECTS, {"$remove": [remove("id", None)]}, "nested_null"),
            (OBJECTS, {"$remove": [remove("id", OUT_OF_RANGE)]}, "value_out_of_range"),
            (OBJECTS, {"$update": [remove("id", 1)]}, "invalid_operation"),
            (OBJECTS, {"$update": [update("id", 1, 1)]}, "invalid_operation"),
            (OBJECTS, {"$update": [update("id", 1, JAN_5)]}, "invalid_operation"),
            (OBJECTS, {"$remove": [remove("id", 1)], "$update": [{}]}, "invalid_operation"),
        )
    ],
]


@pytest.mark.parametrize(("current", "raw", "replaced", "merged"), OPERATIONS, ids=lambda value: ascii(value)[:40])
def test_operations_on_arrays_of_objects(current: object, raw: object, replaced: object, merged: object) -> None:
    assert (updated(current, raw, PLAIN), updated(current, raw, MERGE)) == (replaced, merged)


def test_a_null_in_a_new_element_or_object_is_left_out() -> None:
    new = {"$add": [{"a": 1, "b": None}]}
    assert [updated(MISSING, new, options) for options in (MERGE, PLAIN, STRICT)] == [[{"a": 1}]] * 3
    changes = {"$update": [update("id", 1, {"id": 1, "name": None})]}
    assert updated(OBJECTS, changes, PLAIN) == [{"id": 1}, *OBJECTS[1:]]
    assert updated(OBJECTS, changes, MERGE) == OBJECTS  # no key can be dropped so


def test_sizes() -> None:
    fits = {f"k{n:03d}": "x" * 249 for n in range(395)}
    assert len(msgspec.json.encode(fits)) == 102_306
    assert updated(MISSING, fits, PLAIN) == fits
    assert updated(MISSING, {**fits, "l": "x" * 87}, PLAIN) == {**fits, "l": "x" * 87}  # exactly 100 KB
    too_large = Skip("value_too_large")
    assert updated(MISSING, {**fits, "l": "x" * 88}, PLAIN) == too_large
    assert updated(MISSING, {**fits, "l": "\u00e9" * 44}, PLAIN) == too_large  # bytes count, not characters
    assert updated(fits, {"l": "x" * 88}, MERGE) == too_large
    assert updated([fits], {"$add": [{"l": "x" * 88}]}, PLAIN) == too_large
    assert updated(MISSING, [f"{n:03d}" + "\u00e9" * 250 for n in range(300)], PLAIN) == too_large
    assert updated([f"{n:03d}" + "x" * 250 for n in range(399)], {"add": ["y" * 255]}, PLAIN) == too_large


def test_updates_cannot_be_made_to_take_long_or_to_fill_the_memory() -> None:
    elements = [{"a": 1}] * 10_000
    wide = {f"k{n}": n for n in range(8_000)}
    assert updated(elements, {"$update": [update("a", 1, wide)]}, MERGE) == Skip("value_too_large")
    assert updated(elements, {"$update": [update("a", 2, {})] * 51}, PLAIN) == Skip("value_too_large")
    assert updated(elements, {"$remove": [remove("a", n) for n in range(2, 50_000)]}, PLAIN) == elements
    assert updated(elements, {"$remove": [remove(f"a{n}", 1) for n in range(50_000)]}, PLAIN) == elements


@pytest.mark.parametrize("options", [PLAIN, MERGE])
def test_depth_is_finite(options: Options) -> None:
    deep: Any = 1
    for _ in range(16):
        deep = {"a": deep}
    assert updated(MISSING, deep, options) == deep
    assert updated(MISSING, {"a": deep}, options) == Skip("too_deep")
    assert updated(deep, {"a": [{"b": 1}]}, options) == {"a": [{"b": 1}]}
    for _ in range(5_000):
        deep = {"a": [deep]}
    assert updated(MISSING, deep, options) == Skip("too_deep")
    assert updated(MISSING, [deep], options) == Skip("too_deep")


NAMES = {
    "plan": "plan",
    " plan\t": "plan",
    "two words": "two words",
    "__proto__": "__proto__",
    "_id": "_id",
    "a$b.c": "a$b.c",
    LONG: LONG,
    f" {LONG} ": LONG,
    TOO_LONG: None,
    "$inc": None,
    " $inc": None,
    "": None,
    "   ": None,
    "a\0b": None,
    "\ud800": None,
}


@pytest.mark.parametrize(("sent", "name"), NAMES.items(), ids=lambda value: ascii(value)[:40])
def test_names(sent: str, name: str | None) -> None:
    assert valid_name(sent) == name


def test_exports_show_plain_times() -> None:
    stored = {"a": JAN_5, "b": [JAN_5, {"c": JAN_5, "d": 1}], "e": "x"}
    iso = JAN_5["$time"]
    assert exported(stored) == {"a": iso, "b": [iso, {"c": iso, "d": 1}], "e": "x"}
    plain: list[object] = [1, True, "x", [], {}]
    assert [exported(value) for value in (JAN_5, *plain)] == [iso, *plain]


# Laws

_keys = st.sampled_from(
    ["a", "b", "id", "inc", "add", "remove", "$add", "$remove", "$update", "$time", "a b", ""]
) | st.text(max_size=3)
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.just(OUT_OF_RANGE),
    st.sampled_from(["2026-01-05", "soon", LONG, TOO_LONG, "1", 1.0, 0.0, -0.0, 1e15, 2.0**63, 5e-324, 1e-100]),
)
_json = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4), max_leaves=12
)
_lists = st.lists(_scalars | _json, max_size=4)
_entries = st.lists(
    st.builds(
        update,
        st.sampled_from(["a", "id"]),
        st.integers(0, 2) | _scalars,
        st.dictionaries(st.sampled_from("ab"), _scalars, max_size=2),
    )
    | st.builds(remove, st.sampled_from(["a", "id"]), st.integers(0, 2) | _scalars)
    | _json,
    max_size=3,
)
_operations = st.one_of(
    st.fixed_dictionaries({"inc": st.integers() | _scalars}),
    st.fixed_dictionaries({}, optional={"add": _lists, "remove": _lists}),
    st.fixed_dictionaries(
        {},
        optional={
            "$add": st.lists(st.dictionaries(st.sampled_from(["a", "id"]), st.integers(0, 2))),
            "$remove": _entries,
            "$update": _entries,
        },
    ),
)
_raw = _json | _operations
_options = st.builds(
    Options, merge_objects=st.booleans(), array_max=st.integers(0, 4), nested_null_deletes=st.booleans()
)


def through_jsonb(value: object) -> object:
    """What PostgreSQL gives back: numbers as their decimal digits without exponents, -0 as 0, keys in another order."""

    def shown(part: Any) -> str:
        if isinstance(part, Decimal):
            return format(part or abs(part), "f")
        if isinstance(part, dict):
            return "{" + ",".join(f"{json.dumps(key)}:{shown(part[key])}" for key in sorted(part)) + "}"
        if isinstance(part, list):
            return "[" + ",".join(map(shown, part)) + "]"
        return json.dumps(part)

    numbers = json.loads(msgspec.json.encode(value), parse_float=Decimal, parse_int=Decimal)
    return msgspec.json.decode(shown(numbers))


def typed(value: object) -> object:
    """A form in which 1, 1.0 and true differ and the order of keys does not count."""
    if isinstance(value, dict):
        return {key: typed(member) for key, member in value.items()}
    if isinstance(value, list):
        return [typed(element) for element in value]
    return type(value), value


@given(_raw, _raw, _options)
def test_any_update_of_any_value_gives_a_storable_value_or_a_known_reason(
    first: object, second: object, options: Options
) -> None:
    current: object = MISSING
    for raw in (first, second):
        before = copy.copy(raw), typed(current), typed(raw)
        result = updated(current, raw, options)
        assert (raw.__class__, typed(current), typed(raw)) == (before[0].__class__, *before[1:])  # nothing mutated
        assert typed(updated(current, raw, options)) == typed(result)  # deterministic
        if isinstance(result, Skip):
            assert result.reason in REASONS
        elif result is UNSET:
            assert raw is None
            current = MISSING
        else:
            assert typed(msgspec.json.decode(msgspec.json.encode(result))) == typed(result)
            assert typed(through_jsonb(result)) == typed(result)
            assert "$time" not in json_text(exported(result))
            current = result


@given(_raw, _options)
def test_storing_a_stored_value_changes_nothing(raw: object, options: Options) -> None:
    stored = updated(MISSING, raw, options)
    assume(not isinstance(stored, Skip) and stored is not UNSET)
    assume(not isinstance(stored, dict) or "$time" in stored or not ({"inc", "add", "remove"} & stored.keys()))
    again = updated(stored, stored, options)
    if isinstance(stored, list) and not isinstance(raw, list):  # made by an operation: a set may cut or de-duplicate it
        assert isinstance(again, list)
    else:
        assert typed(again) == typed(stored)


_elements = st.lists(st.sampled_from([0, 1, 2, "1", "2", "x", True, False, 2.5]), max_size=6)


@given(_elements, _elements, st.integers(1, 9))
def test_laws_of_add_and_remove(start: list[object], sent: list[object], limit: int) -> None:
    options = Options(array_max=limit)
    current = updated(MISSING, start, options)
    added = updated(current, {"add": sent}, options)
    assert isinstance(current, list)
    assert isinstance(added, list)
    assert len(added) <= limit
    last = [typed(e) for n, e in enumerate(sent) if typed(e) not in [typed(later) for later in sent[n + 1 :]]]
    if last:
        assert [typed(e) for e in added][-len(last) :] == last[-limit:]
    else:
        assert typed(added) == typed(current)
    assert typed(updated(added, {"add": sent}, options)) == typed(added)
    removed = updated(added, {"remove": sent}, options)
    assert [typed(e) for e in current if typed(e) not in last and typed(e) in [typed(a) for a in added]] == typed(
        removed
    )
    assert typed(updated(removed, {"remove": sent}, options)) == typed(removed)
    assert typed(updated(current, {"remove": sent, "add": sent}, options)) == typed(removed)


@given(st.lists(st.integers(-(2**62), 2**62)))
def test_increments_add_up(steps: list[int]) -> None:
    value: object = MISSING
    expected = 0
    for step in steps:
        result = updated(value, {"inc": step}, PLAIN)
        if abs(expected + step) <= MAX:
            value, expected = result, expected + step
            assert result == expected
        else:
            assert result == Skip("value_out_of_range")


_edges = st.sampled_from([0, 1, -1, MAX, MAX - 1, -MAX, -MAX - 1, MAX + 1, 2**64, 0.0, 1.0, 1.5, 1e300, True, False])
_numbers = st.integers() | st.floats() | st.booleans() | _edges


@given(
    _edges | st.integers(-MAX - 1, MAX) | st.floats(-1e14, 1e14),
    _numbers | _raw | st.fixed_dictionaries({"inc": _numbers | st.none() | st.text(max_size=2)}),
    _options,
)
def test_the_short_way_of_numbers_is_only_shorter(current: object, raw: object, options: Options) -> None:
    assume(not isinstance(current, int) or -MAX - 1 <= current <= MAX)
    found = number_updated(current, raw)
    if found is not None:
        value = updated(current, raw, options)
        assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("current", "raw", "found"),
    [
        (1, 2, 2),
        (1.5, 2, 2),
        (True, 2, 2),
        (1, True, True),
        (1, {"inc": 2}, 3),
        (1, {"inc": 0}, 1),
        (True, {"inc": 2}, None),
        (1.5, {"inc": 2}, None),
        (MAX, {"inc": 1}, None),
        (-MAX, {"inc": -1}, None),
        (1, {"inc": True}, None),
        (1, {"inc": 1.0}, None),
        (1, {"inc": 1, "add": []}, None),
        (1, {"add": 1}, None),
        (1, "2", None),
        (1, None, None),
        (1, MAX + 1, None),
        (1, -MAX - 1, None),
    ],
)
def test_the_short_way_of_numbers(current: object, raw: object, found: object) -> None:
    assert number_updated(current, raw) == found


def test_every_reason_can_be_met() -> None:
    tables = [row for table in (SCALARS, INCREMENTS, ARRAYS, NESTED, MERGES, OPERATIONS) for row in table]
    met = {value.reason for row in tables for value in row if isinstance(value, Skip)}
    assert met | {"value_too_large", "too_deep", "too_much_work", "profile_full"} == set(REASONS)
    assert len(set(REASONS)) == len(REASONS)
    assert values.MAX_BYTES == 102_400
