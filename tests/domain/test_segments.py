"""Filters on values, as tables: what each operator makes of what is there, of what is missing, and of other types."""

from dataclasses import replace
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.profile import NAME_EVENT, Occurrence, Profile
from app.domain.segments.clock import Clock
from app.domain.segments.evaluate import VALUES, Person, is_in, matches
from app.domain.segments.fields import FIELDS, OPERANDS, OPERATORS, Kind
from app.domain.segments.timed import depends_on_time
from app.domain.times import DAY, HOUR
from app.store.segments.fields import LEAVES
from app.store.segments.patterns import literal, matcher
from tests.segments import Hostile, Json, definition, us

NOW = "2026-03-10T09:30:00Z"
T = {"$time": "2026-03-09T09:30:00.000Z"}


def person(custom: Json | None = None, **fields: Any) -> Person:
    return Person(Profile(1, "b", 0, 0, 0, custom=custom or {}, core=fields.pop("core", {}), **fields))


def holds(one: Json, someone: Person, now: str = NOW, zone: str = "UTC") -> bool:
    clock = Clock(us(now), UTC if zone == "UTC" else ZoneInfo(zone))
    (found,) = definition({"groups": [{"filters": [one]}]}).filters()
    return matches(found, someone, clock, matcher)


#: (operator, value of the filter, attributes that match, attributes that do not). None = the attribute is missing.
ATTRIBUTES: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("is_true", None, [True], [False, None, 1, "true", [True]]),
    ("is_false", None, [False], [True, None, 0, ""]),
    ("is_true_or_not_set", None, [True, None], [False, 1]),
    ("is_false_or_not_set", None, [False, None], [True, ""]),
    ("is_blank", None, [None, ""], [0, False, [], " ", {}]),
    ("is_not_blank", None, [0, False, [], " ", {}], [None, ""]),
    ("exactly", 0, [0, 0.0, None], ["0", False, 1]),
    ("exactly", 1, [1, 1.0], [None, True, "1"]),
    ("does_not_equal", 1, [0, None, "1", True], [1, 1.0]),
    ("more_than", 1, [2, 1.5], [1, None, "2", True]),
    ("at_least", 1, [2, 1], [0.5, None]),
    ("less_than", 5, [3, None], [5, 9, "3", False]),
    ("equals", "Gold", ["Gold"], ["gold", None, ["Gold"]]),
    ("does_not_equal", "Gold", ["silver", None, 1, "Strasse"], ["Gold", "gOLD"]),
    ("does_not_equal", "É", ["e", "E"], ["é", "É"]),
    ("matches_regex", "^g.ld$", ["gold", "GOLD", ["x", "gold"]], ["golden", None, 1, []]),
    ("does_not_match_regex", "old", ["silver", ["x"]], ["Gold", None, 1, ["gold"], []]),
    ("is_any_of", ["a", "b"], ["a"], ["A", None, ["a"]]),
    ("is_none_of", ["a", "b"], ["A", None, ["a"], 1], ["a", "b"]),
    ("contains_any_of", ["ol", "z"], ["gold"], ["gOLd", None, ["gold"]]),
    ("contains_none_of", ["ol"], ["OL", None], ["gold"]),
    ("includes_value", "a", [["a", 1]], ["a", [], None, [["a"]][0:0]]),
    ("includes_value", 1, [[1.0]], [[True], ["1"], 1]),
    ("includes_value", True, [[True]], [[1], True]),
    ("does_not_include", "a", [["b"], [], None, "a"], [["a"]]),
    ("includes_any_of", ["a", 1], [["a"], [1, 2]], [["A"], None]),
    ("includes_none_of", ["a", 1], [["A"], None], [["a"]]),
    ("values_contain_any", ["ol"], [["gold"]], [["GOLD"], "gold"]),
    ("values_contain_none", ["ol"], [["GOLD"], None], [["gold"]]),
    ("is_all_of", ["a", "b"], [["b", "c", "a"]], [["a"], None]),
    ("is_not_all_of", ["a", "b"], [["a"], None], [["a", "b"]]),
    ("has_a_value", None, [["a"], "x"], [[], None]),
    ("is_empty", None, [[], None], [["a"], ""]),
    ("before", "2026-03-10", [T], ["2026-03-09", None]),
    ("after", "2026-03-09T09:30:00Z", [], [T, None]),
    ("more_than_x_days_ago", 1, [], [T, None]),
    ("more_than_x_days_ago", 0.75, [T], []),
    ("less_than_x_days_ago", 1, [T], [{"$time": "2026-03-10T09:30:00.001Z"}, None]),
    ("in_less_than_x_days_in_the_future", 1, [{"$time": "2026-03-10T09:30:00.001Z"}], [T, None]),
    ("in_more_than_x_days_in_the_future", 1, [{"$time": "2026-03-12T00:00:00.000Z"}], [T, None]),
    ("day_of_recurring_event", -1, [T, {"$time": "1999-03-09T00:00:00.000Z"}], [None, "2026-03-09"]),
]


@pytest.mark.parametrize(("op", "value", "matching", "others"), ATTRIBUTES)
def test_custom_attributes(op: str, value: Any, matching: list[Any], others: list[Any]) -> None:
    one: Json = {"field": "custom_attribute", "name": "a", "op": op}
    if value is not None:
        one["value"] = value
    found = [holds(one, person({} if stored is None else {"a": stored})) for stored in (*matching, *others)]
    assert found == [True] * len(matching) + [False] * len(others)


def test_every_operator_of_attributes_has_a_row() -> None:
    assert {row[0] for row in ATTRIBUTES} >= set(OPERATORS[Kind.ANY]) - {
        *("any_element", "more_than_x_hours_ago", "less_than_x_hours_ago")
    }


def test_both_evaluations_know_every_field() -> None:
    special = {
        name for name, field in FIELDS.items() if field.kind in (Kind.WINDOW, Kind.MEMBER, Kind.GROUP, Kind.CIRCLE)
    }
    assert VALUES.keys() == FIELDS.keys() - special
    assert LEAVES.keys() == FIELDS.keys() - special - {"custom_attribute", "average_order_value"}
    assert {op for ops in OPERATORS.values() for op in ops} == OPERANDS.keys()


def test_paths() -> None:
    someone = person(
        {"items": [{"sku": "x", "n": 1}, {"sku": "y", "n": 5}], "home": {"city": {"name": "Rom"}}, "a.b": 1}
    )
    any_sku = {"field": "custom_attribute", "name": "items[].sku", "op": "equals", "value": "y"}
    assert holds(any_sku, someone)
    assert holds({"field": "custom_attribute", "name": "home.city.name", "op": "equals", "value": "Rom"}, someone)
    assert holds({"field": "custom_attribute", "name": "a.b", "path": "", "op": "exactly", "value": 1}, someone)
    same: Json = {"field": "custom_attribute", "name": "items", "op": "any_element"}
    sku = {"path": "sku", "op": "equals", "value": "x"}
    assert holds({**same, "criteria": [sku, {"path": "n", "op": "less_than", "value": 2}]}, someone)
    assert not holds({**same, "criteria": [sku, {"path": "n", "op": "more_than", "value": 2}]}, someone)


@pytest.mark.parametrize(
    ("now", "y", "start"),
    [
        ("2026-03-10T09:30:00Z", 1, "2026-03-09T00:00:00Z"),
        ("2026-03-10T23:59:00Z", 1, "2026-03-09T00:00:00Z"),
        ("2026-03-10T00:00:00Z", 30, "2026-02-08T00:00:00Z"),
    ],
)
def test_windows(now: str, y: int, start: str) -> None:
    one = {"field": "x_events_in_y_days", "name": "view", "op": "exactly", "x": 1, "y": y}
    for at, inside in ((us(start), True), (us(start) - 1, False), (us(now), True), (us(now) + 1, False)):
        happened = Occurrence(0, 1, 0, 1, NAME_EVENT, "view", at, None, None)
        assert holds(one, Person(Profile(1, "b", 0, 0, 0), {}, [happened]), now) is inside


@pytest.mark.parametrize(
    ("now", "dob", "value", "expected"),
    [
        ("2026-03-01T12:00:00Z", "2000-02-29", 0, True),
        ("2028-03-01T12:00:00Z", "2000-02-29", 0, False),
        ("2028-02-29T12:00:00Z", "2000-02-29", 0, True),
        ("2026-02-28T12:00:00Z", "2000-02-29", 0, False),
        ("2026-02-28T12:00:00Z", "2000-02-29", 1, True),
        ("2026-06-01T12:00:00Z", "2000-02-29", "03-01", True),
        ("2026-06-01T12:00:00Z", "2000-02-29", "02-29", True),
    ],
)
def test_birthdays(now: str, dob: str, value: Any, expected: bool) -> None:
    someone = person(core={"dob": dob})
    assert holds({"field": "birthday", "op": "day_of_recurring_event", "value": value}, someone, now) is expected


@pytest.mark.parametrize(
    ("op", "value", "zone", "expected"),
    [
        ("before", "2000-03-01", "UTC", True),
        ("before", "2000-02-29", "UTC", False),
        ("after", "2000-02-29", "UTC", False),
        ("after", "2000-02-28", "UTC", True),
        ("before", "2000-02-29T00:00:01Z", "UTC", True),
        ("before", "2000-02-28T23:30:00Z", "Europe/Berlin", True),
        ("after", "2000-02-28T23:30:00Z", "Europe/Berlin", False),
        ("after", "0001-01-01", "Pacific/Kiritimati", True),
        ("less_than_x_days_ago", 36_525, "UTC", True),
        ("more_than_x_days_ago", 36_525, "UTC", False),
        ("in_less_than_x_days_in_the_future", 1, "UTC", False),
        ("is_blank", None, "UTC", False),
    ],
)
def test_days_of_birth(op: str, value: Any, zone: str, expected: bool) -> None:
    one = {"field": "birthday", "op": op} | ({} if value is None else {"value": value})
    assert holds(one, person(core={"dob": "2000-02-29"}), zone=zone) is expected
    assert holds(one, person()) is (op == "is_blank")


@pytest.mark.parametrize(
    ("op", "value", "matching", "others"),
    [
        ("exactly", "1.2", ["1.2", "1.2.0", "v1.2", "1.2-beta4"], ["1.20", "1.3", "beta", None]),
        ("does_not_equal", "1.2", ["1.20", "beta", None], ["1.2.0"]),
        ("less_than", "1.10", ["1.9.9", "0", None], ["1.10", "1.10.0", "2", "beta"]),
        ("more_than", "1.9", ["1.10", "2"], ["1.9", "1.9.0", "1.8", "beta", None]),
        ("at_least", "1.9", ["1.9.0", "1.10"], ["1.8", None, ""]),
        ("is_blank", None, [None, ""], ["1"]),
    ],
)
def test_versions(op: str, value: Any, matching: list[Any], others: list[Any]) -> None:
    one = {"field": "app_version_number", "name": "app", "op": op} | ({} if value is None else {"value": value})
    found = [
        holds(one, person(devices={} if stored is None else {"apps": {"app": {"version": stored}}}))
        for stored in (*matching, *others)
    ]
    assert found == [True] * len(matching) + [False] * len(others)


@pytest.mark.parametrize(
    ("sent", "op", "value", "expected"),
    [
        ("2026-03-09T09:30:00Z", "less_than_x_days_ago", 1, True),
        ("2026-03-09T09:29:59Z", "less_than_x_days_ago", 1, False),
        ("2026-03-09T10:30:00+01:00", "less_than_x_days_ago", 1, True),
        ("03/12/2026", "in_more_than_x_days_in_the_future", 1, True),
        ({"$time": "2026-03-09"}, "before", "2026-03-10", True),
        ("2026-03-09", "day_of_recurring_event", -1, True),
        ("2026-02-30", "before", "2027-01-01", False),
        ("2026-03-09", "equals", "2026-03-09", True),
        (20260309, "before", "2027-01-01", False),
    ],
)
def test_times_among_properties(sent: Any, op: str, value: Any, expected: bool) -> None:
    """They are kept as they were sent, so a text that names a time is one."""
    one: Json = {"field": "x_events_in_y_days", "name": "view", "op": "exactly", "x": 1, "y": 1}
    one["property"] = {"name": "when", "op": op, "value": value}
    happened = Occurrence(0, 1, 0, 1, NAME_EVENT, "view", us(NOW), None, {"when": sent})
    assert holds(one, Person(Profile(1, "b", 0, 0, 0), {}, [happened])) is expected


@pytest.mark.parametrize(
    ("field", "op", "value", "matching", "others"),
    [
        ("external_id", "does_not_equal", "Ada", ["ada", None], ["Ada"]),
        ("email_address", "matches_regex", r"^\S+@x", ["a@x.org"], ["a b@x.org"]),
        ("email_address", "equals", " A@X.org ", ["a@x.org"], ["b@x.org"]),
        ("email_address", "contains_any_of", ["@X."], ["a@x.org"], ["a@y.org"]),
        ("phone_number", "equals", "+34 600 123 456", ["+34600123456"], ["+34600123457"]),
        ("phone_number", "is_any_of", ["+34-600-123-456"], ["+34600123456"], [None]),
        ("phone_number", "contains_any_of", ["600"], ["+34600123456"], [None]),
    ],
)
def test_identifiers(field: str, op: str, value: Any, matching: list[Any], others: list[Any]) -> None:
    name = {"email_address": "email", "phone_number": "phone"}.get(field, field)

    def someone(stored: Any) -> Person:
        if name == "external_id":
            return Person(Profile(1, "b", 0, 0, 0, core={}, external_id=stored))
        return person(core={} if stored is None else {name: stored})

    one = {"field": field, "op": op, "value": value}
    found = [holds(one, someone(stored)) for stored in (*matching, *others)]
    assert found == [True] * len(matching) + [False] * len(others)


@pytest.mark.parametrize(
    ("now", "zone", "age"),
    [
        ("2026-02-28T12:00:00Z", "UTC", 25),
        ("2026-03-01T00:00:00Z", "UTC", 26),
        ("2026-02-28T23:30:00Z", "Europe/Berlin", 26),
        ("2028-02-29T00:00:00Z", "UTC", 28),
    ],
)
def test_age(now: str, zone: str, age: int) -> None:
    someone = person(core={"dob": "2000-02-29"})
    assert holds({"field": "age", "op": "exactly", "value": age}, someone, now, zone)


def test_a_bare_date_is_a_midnight_of_the_company() -> None:
    someone = person({"a": {"$time": "2026-03-28T23:30:00.000Z"}})
    one = {"field": "custom_attribute", "name": "a", "op": "after", "value": "2026-03-29"}
    assert not holds(one, someone)
    assert holds(one, someone, zone="Europe/Berlin")


def test_groups() -> None:
    yes = {"field": "external_id", "op": "is_blank"}
    no = {"field": "external_id", "op": "is_not_blank"}
    clock = Clock(us(NOW), UTC)

    def inside(**document: Any) -> bool:
        return is_in(definition(document), person(), clock, matcher)

    group = {"op": "AND", "filters": [yes, no]}
    assert inside()
    assert inside(groups=[{"op": "AND", "filters": []}], exclude=[{"op": "AND", "filters": []}])
    assert not inside(groups=[group])
    assert inside(groups=[{**group, "op": "OR"}])
    assert inside(groups=[group, {"filters": [yes]}], join="OR")
    assert not inside(groups=[group, {"filters": [yes]}], join="AND")
    assert not inside(groups=[{"filters": [yes]}], exclude=[{"filters": [no]}, {"filters": [yes]}])
    assert inside(apps="none")
    assert not inside(apps=["app-1"])


@pytest.mark.parametrize(
    ("pattern", "certain"),
    [
        (r"gmail\.com$", "gmail.com"),
        ("^GM", "gm"),
        ("sock", "_oc_"),
        ("a|b", ""),
        ("x(ab)+yz", "yz"),
        ("ab?c", "a"),
        ("ab+c", "ab"),
        ("[abc]def", "def"),
        (r"\d+x", ""),
        ("(?i)x", ""),
        ("a.c", "a"),
        ("a{0}b", ""),
        ("([)]x)?y", ""),
        ("[]x]y", ""),
        ("[a-f]+ing", "ing"),
        ("a(b(c)d)*ef", "ef"),
        ("é", ""),
    ],
)
def test_literals_of_patterns(pattern: str, certain: str) -> None:
    assert literal(pattern) == certain


@given(seed=st.integers(0, 2**32))
def test_whoever_passes_without_a_change_does_so_by_time(seed: int) -> None:
    """A segment of which nobody thinks that time matters has the same people at any moment."""
    hostile = Hostile(seed)
    world = hostile.world()
    clock, _ = hostile.clock()
    later = [replace(clock, now_us=clock.now_us + us) for us in (0, HOUR, DAY, 40 * DAY, 500 * DAY)]
    for _ in range(20):
        document = {"groups": [{"filters": [hostile.filter()]}]}
        asked = definition(document)
        if not depends_on_time(asked):
            found = [{one.pid for one in world.people if is_in(asked, world.person(one), at, matcher)} for at in later]
            assert all(each == found[0] for each in found), (seed, document)
