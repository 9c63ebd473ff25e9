"""Requests that are JSON and not quite what the contract says: one object refused or one field ignored, no more.

Tables: what is sent, and what becomes of it. A refused object is sent alone (400) and between two good ones (201).
"""

import json
from typing import Any, Final

import pytest

from tests.api.harness import Json, Service, Workspace, profile_of, summary, times_now
from tests.api.refused_objects import (
    EVENT,
    GONE,
    INJECTIONS,
    PURCHASE,
    REFUSED,
    alias,
    with_,
)

NO_VALID_DATA: Final = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."
ISO: Final = "2026-02-10T09:15:00.000Z"
GOOD: Final[dict[str, Json]] = {
    "attributes": {"external_id": "good", "n": {"inc": 1}},
    "events": {**EVENT, "external_id": "good"},
    "purchases": {**PURCHASE, "external_id": "good"},
}


# Refused objects: (array, object, sentence, code)


@pytest.mark.parametrize(("array", "obj", "sentence", "code"), REFUSED.values(), ids=REFUSED)
def test_refused(on_sqlite: Service, array: str, obj: Any, sentence: str, code: str) -> None:
    workspace = on_sqlite.workspace()
    alone = workspace.track({array: [obj]})
    entry = {"type": sentence, "input_array": array, "index": 0} | ({"code": code} if code else {})
    assert (alone.status, alone.body) == (400, {"message": NO_VALID_DATA, "errors": [entry]})
    assert workspace.stored() == []
    beside = workspace.track({array: [GOOD[array], obj, GOOD[array]]})
    assert beside.status == 201
    assert beside.body == {f"{array}_processed": 2, "message": "success", "errors": [entry | {"index": 1}]}
    expected = {
        "attributes": profile_of(external_id="good", custom_attributes={"n": 2}),
        "events": profile_of(external_id="good", custom_events=[summary("e", ISO, count=2)]),
        "purchases": profile_of(external_id="good", purchases=[summary("p", ISO, count=2)], total_revenue=2.0),
    }[array]
    assert workspace.stored() == [expected]


def test_all_arrays_at_once(workspace: Workspace) -> None:
    """Errors by array and index; the counters count what was accepted; an array that was refused whole counts 0."""
    answer = workspace.track(
        {
            "purchases": [{}, GOOD["purchases"], 5],
            "events": [{}],
            "attributes": [GOOD["attributes"], {"external_id": True}],
        }
    )
    assert answer.status == 201
    assert answer.counts == {"attributes": 1, "events": 0, "purchases": 1}
    assert answer.errors == [("attributes", 1), ("events", 0), ("purchases", 0), ("purchases", 2)]
    assert workspace.stored() == [
        profile_of(external_id="good", custom_attributes={"n": 1}, purchases=[summary("p", ISO)], total_revenue=1.0)
    ]


# 56-60: arrays and limits


def test_56_unknown_keys_are_ignored(workspace: Workspace) -> None:
    body = {"partner": {"a": [1, 1e300]}, "src": None, "api_key": "x", "attributes": [GOOD["attributes"]]}
    assert workspace.track(body).body == {"attributes_processed": 1, "message": "success"}


@pytest.mark.parametrize("unused", [None, []])
def test_57_unused_arrays(workspace: Workspace, unused: object) -> None:
    body = {"attributes": [GOOD["attributes"]], "events": unused, "purchases": unused, "purchase": unused}
    assert workspace.track(body).body == {"attributes_processed": 1, "message": "success"}


def test_57_an_object_instead_of_an_array(workspace: Workspace) -> None:
    answer = workspace.track(
        {"attributes": GOOD["attributes"], "events": GOOD["events"], "purchase": GOOD["purchases"]}
    )
    assert answer.counts == {"attributes": 1, "events": 1, "purchases": 1}


def test_both_keys_for_purchases(workspace: Workspace) -> None:
    """`purchases` first, then `purchase`; errors and limits count them as one array."""
    bad = with_(PURCHASE, quantity=0)
    answer = workspace.track({"purchase": [bad, GOOD["purchases"]], "purchases": [GOOD["purchases"], bad]})
    assert (answer.counts, answer.errors) == ({"purchases": 2}, [("purchases", 1), ("purchases", 2)])
    assert workspace.track({"purchase": [PURCHASE] * 38, "purchases": [PURCHASE] * 38}).status == 400


LIMITS: Final = [
    ("mau_cy_24_25", (50, 0, 0), True),
    ("mau_cy_24_25", (51, 0, 0), False),
    ("mau_cy_24_25", (17, 17, 16), True),
    ("mau_cy_24_25", (17, 17, 17), False),
    ("standard", (75, 0, 0), True),
    ("standard", (25, 25, 25), True),
    ("standard", (25, 25, 26), False),
    ("legacy", (75, 75, 75), True),
    ("legacy", (0, 76, 0), False),
    ("legacy", (75, 75, 76), False),
]


@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize(("plan", "counts", "fits"), LIMITS)
def test_60_limits(on_sqlite: Service, plan: str, counts: tuple[int, int, int], fits: bool, valid: bool) -> None:
    """Objects count whether they are valid or not; too many and nothing is processed."""
    workspace = on_sqlite.workspace(plan)
    body: dict[str, list[Any]] = {name: [GOOD[name]] * count for name, count in zip(GOOD, counts, strict=True) if count}
    if not valid:
        next(iter(body.values()))[0] = {}
    answer = workspace.track(body)
    if not fits:
        assert (answer.status, answer.body) == (400, {"message": "Max Input Length Exceeded"})
        assert workspace.stored() == []
        return
    assert answer.status == 201
    assert sum(answer.counts.values()) == sum(counts) - (not valid)


# 61-69: identifiers that work

IDENTIFIERS: Final[dict[str, tuple[Json, Json]]] = {
    "63 987 bytes": ({"external_id": "a" * 987}, {"external_id": "a" * 987}),
    "63 blanks around": ({"external_id": " x "}, {"external_id": " x "}),
    "64 number": ({"external_id": 12345}, {"external_id": "12345"}),
    "64 zero": ({"external_id": 0}, {"external_id": "0"}),
    "64 float": ({"external_id": 12.0}, {"external_id": "12"}),
    "64 2^64": ({"external_id": 2**64}, {"external_id": "18446744073709551616"}),
    "65 extra keys": ({"user_alias": alias(extra=1), "_update_existing_only": False}, {"user_aliases": [alias()]}),
    "65 numbers": (
        {"user_alias": alias(7, 8), "_update_existing_only": False},
        {"user_aliases": [alias("7", "8")]},
    ),
    "65 236 bytes": (
        {"user_alias": alias("é" * 118), "_update_existing_only": False},
        {"user_aliases": [alias("é" * 118)]},
    ),
    "62 external_id with email": (
        {"external_id": "x", "email": "X@Example.org", "phone": "+15043277269"},
        {"external_id": "x", "email": "x@example.org", "phone": "+15043277269"},
    ),
    "62 null beside": ({"external_id": "x", "user_alias": None, "braze_id": ""}, {"external_id": "x"}),
    "62 email beats phone": (
        {"email": "x@example.org", "phone": "(504) 327-7269"},
        {"email": "x@example.org", "phone": "+15043277269"},
    ),
    "66 upper case": ({"email": " Ann@EXAMPLE.org "}, {"email": "ann@example.org"}),
    "66 plus tag": ({"email": "a+b@example.org"}, {"email": "a+b@example.org"}),
    "66 IDN": ({"email": "a@bücher.example"}, {"email": "a@xn--bcher-kva.example"}),
    "66 composed": ({"email": "jose\u0301@example.org"}, {"email": "jos\u00e9@example.org"}),
    "67 ten digits": ({"phone": "5043277269"}, {"phone": "+15043277269"}),
    "67 Arabic digits": (
        {"phone": "+\u0661\u0665\u0660\u0664\u0663\u0662\u0667\u0667\u0662\u0666\u0669"},
        {"phone": "+15043277269"},
    ),
    "67 unformatted field": ({"external_id": "x", "phone": "call me"}, {"external_id": "x", "phone": "call me"}),
    "68 combining": ({"external_id": "e\u0301"}, {"external_id": "e\u0301"}),
    "69 right to left": ({"external_id": "\u202etxt.exe"}, {"external_id": "\u202etxt.exe"}),
    "69 zero width": ({"external_id": "a\u200bb"}, {"external_id": "a\u200bb"}),
    "69 emoji": ({"external_id": "\U0001f468\u200d\U0001f469"}, {"external_id": "\U0001f468\u200d\U0001f469"}),
    "80 like a pattern": ({"external_id": "%_%"}, {"external_id": "%_%"}),
}


@pytest.mark.parametrize(("obj", "wanted"), IDENTIFIERS.values(), ids=IDENTIFIERS)
def test_identifier(workspace: Workspace, obj: Json, wanted: Json) -> None:
    """The same words find the same profile again, in another batch and in the same one."""
    for _ in range(2):
        answer = workspace.track({"attributes": [{**obj, "n": {"inc": 1}}, {**obj, "n": {"inc": 1}}]})
        assert (answer.status, answer.counts, answer.errors) == (201, {"attributes": 2}, [])
        assert workspace.skipped(answer.request_id) == []
    assert workspace.stored() == [profile_of(**wanted, custom_attributes={"n": 4})]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"external_id": "\u00e9"}, {"external_id": "e\u0301"}),
        ({"external_id": "a"}, {"external_id": "A"}),
        ({"external_id": "a"}, {"external_id": "a "}),
        ({"external_id": "ab"}, {"external_id": "a\u200bb"}),
        ({"external_id": "1"}, {"external_id": "01"}),
        ({"email": "a@example.org"}, {"email": "\u0430@example.org"}),
        ({"email": "ab@example.org"}, {"email": "a.b@example.org"}),
        ({"email": "a@example.org"}, {"email": "a+b@example.org"}),
        ({"external_id": "a@example.org"}, {"email": "a@example.org"}),
    ],
    ids=ascii,
)
def test_identifiers_that_differ(workspace: Workspace, one: Json, other: Json) -> None:
    workspace.track({"attributes": [{**one, "n": 1}, {**other, "n": 2}]})
    assert [user["custom_attributes"] for user in workspace.stored()] == [{"n": 1}, {"n": 2}]


# 70: reserved fields with other values: ignored or cleared, and said so

FIELDS: Final[dict[str, tuple[Json, Json, list[str]]]] = {
    "dob": ({"dob": "yesterday"}, {}, ["dob"]),
    "dob with time": ({"dob": "1980-12-21T23:00:00-05:00"}, {"dob": "1980-12-21T00:00:00.000Z"}, []),
    "dob right": ({"dob": "1980-12-21"}, {"dob": "1980-12-21T00:00:00.000Z"}, []),
    "gender": ({"gender": 3}, {}, ["gender"]),
    "gender right": ({"gender": "f"}, {"gender": "F"}, []),
    "country": ({"country": "XX"}, {}, ["country"]),
    "country alpha-3": ({"country": "prt"}, {"country": "PT"}, []),
    "country name": ({"country": "Portugal"}, {"country": "PT"}, []),
    "language": ({"language": "klingon"}, {}, ["language"]),
    "time_zone": ({"time_zone": "Mars/Olympus"}, {}, ["time_zone"]),
    "time_zone Rails": (
        {"time_zone": "Eastern Time (US & Canada)"},
        {"time_zone": "Eastern Time (US & Canada)"},
        [],
    ),
    "first_name long": ({"first_name": "a" * 256}, {}, ["first_name"]),
    "first_name object": ({"first_name": {"a": 1}}, {}, ["first_name"]),
    "first_name 255": ({"first_name": "é" * 255}, {"first_name": "é" * 255}, []),
    "location out of range": ({"current_location": {"longitude": 181, "latitude": 0}}, {}, ["current_location"]),
    "location": ({"current_location": {"longitude": -9.1, "latitude": 38}}, {"last_coordinates": [-9.1, 38.0]}, []),
    "location null": ({"current_location": None}, {}, []),
    "email_subscribe null": ({"email_subscribe": None}, {}, ["email_subscribe"]),
    "email_subscribe": ({"email_subscribe": "opted_in"}, {"email_subscribe": "opted_in"}, []),
    "groups null": ({"subscription_groups": None}, {}, ["subscription_groups"]),
    "tokens null": ({"push_tokens": None}, {}, ["push_tokens"]),
    "alias_name": ({"alias_name": "x", "alias_label": "y"}, {}, ["alias_name", "alias_label"]),
    "bio": ({"bio": "x"}, {}, ["bio"]),
    "reserved but for blanks": (
        {" bio ": "x", " email ": "a@example.org", "dob\t": 1, "\u00a0external_id": "y", " tier ": "gold"},
        {"custom_attributes": {"tier": "gold"}},
        [" bio ", " email ", "dob\t", "\u00a0external_id"],
    ),
    "capital": ({"Email": "x"}, {"custom_attributes": {"Email": "x"}}, []),
    "date_of_first_session": ({"date_of_first_session": "soon"}, {}, ["date_of_first_session"]),
    "facebook": ({"facebook": {"likes": [1]}}, {}, ["facebook"]),
    "77 flags as text": (
        {"_update_existing_only": "false", "_merge_objects": "TRUE", "push_token_import": "no"},
        {},
        [],
    ),
    "71 like a column": (
        {"pid": 1, "workspace_id": 2, "updated_us": 3, "doc": 4, "custom_attributes": 5, "created_at": 6},
        {
            "custom_attributes": {
                "pid": 1, "workspace_id": 2, "updated_us": 3, "doc": 4, "custom_attributes": 5, "created_at": 6,
            }
        },
        [],
    ),
    "71 of other databases": (
        {"__proto__": {"polluted": 1}, "constructor": 1, "_id": "x", "a.b": 1, "a b": 2},
        {
            "custom_attributes": {
                "__proto__": {"polluted": 1}, "constructor": 1, "_id": "x", "a.b": 1, "a b": 2,
            }
        },
        [],
    ),
    "71 operators": ({"$inc": {"a": 1}, "$time": "x", "": 1, "   ": 2}, {}, ["$inc", "$time", "", "   "]),
    "71 long name": ({"k" * 256: 1, "k" * 255: 2}, {"custom_attributes": {"k" * 255: 2}}, ["k" * 255]),
    "71 blanks around": ({" k ": 1}, {"custom_attributes": {"k": 1}}, []),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "wanted", "ignored"), FIELDS.values(), ids=FIELDS)
def test_70_field(workspace: Workspace, fields: Json, wanted: Json, ignored: list[str]) -> None:
    answer = workspace.track({"attributes": [{"external_id": "x", **fields, "last_name": "Kept"}]})
    assert (answer.status, answer.counts, answer.errors) == (201, {"attributes": 1}, [])
    assert workspace.stored() == [profile_of(**{"external_id": "x", "last_name": "Kept", **wanted})]
    skipped = [field for _, _, field, _ in workspace.skipped(answer.request_id)]
    assert sorted(skipped) == sorted(ignored)


def test_counts_are_integers_however_they_are_written(workspace: Workspace) -> None:
    body = (
        b'{"attributes":[{"external_id":"x","facebook":{"num_friends":2e0,"likes":["a"]},'
        b'"twitter":{"id":7.0,"followers_count":1e2,"friends_count":1.5,"statuses_count":true}}]}'
    )
    assert workspace.track(body).status == 201
    (profile,) = workspace.state().profiles.values()
    assert profile.core is not None
    core = {name: profile.core[name] for name in ("facebook", "twitter")}
    assert json.dumps(core, sort_keys=True) == json.dumps(
        {"facebook": {"likes": ["a"], "num_friends": 2}, "twitter": {"followers_count": 100, "id": 7}}
    )


def test_a_country_nobody_knows_clears_the_known_one(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "x", "country": "PT", "language": "pt"}]})
    workspace.track({"attributes": [{"external_id": "x", "country": "Atlantis", "language": "Atlantean"}]})
    assert workspace.user("x") == profile_of(external_id="x", language="pt")


def test_null_clears(workspace: Workspace) -> None:
    given = {
        "first_name": "a", "last_name": "b", "email": "a@example.org", "phone": "+15043277269", "country": "PT",
        "language": "pt", "time_zone": "Europe/Lisbon", "home_city": "Faro", "dob": "1980-12-21", "gender": "F",
        "current_location": {"longitude": 1, "latitude": 2}, "custom": 1,
    }  # fmt: skip
    workspace.track({"attributes": [{"external_id": "x", **given}]})
    assert workspace.user("x").keys() > profile_of(external_id="x").keys() | {"email", "custom_attributes", "dob"}
    workspace.track({"attributes": [{"external_id": "x", **dict.fromkeys(given)}]})
    assert workspace.stored() == [profile_of(external_id="x")]
    assert workspace.export(email_address="a@example.org") == []
    assert workspace.export(phone="+15043277269") == []


# 72, 73: operations on custom attributes

BEFORE: Final[Json] = {"i": 5, "t": "text", "a": ["x", "y"], "max": 2**63 - 1, "o": {"k": 1, "in": {"z": 1}}, "f": 1.5}
OPERATIONS: Final[dict[str, tuple[Json, Json, list[tuple[str, str]]]]] = {
    "inc": ({"i": {"inc": -7}}, {"i": -2}, []),
    "inc text": ({"i": {"inc": "1"}}, {}, [("i", "not_an_integer")]),
    "inc true": ({"i": {"inc": True}}, {}, [("i", "not_an_integer")]),
    "inc 1e308": ({"i": {"inc": 1e308}}, {}, [("i", "value_out_of_range")]),
    "inc 1.5": ({"i": {"inc": 1.5}}, {}, [("i", "not_an_integer")]),
    "inc 2.0": ({"i": {"inc": 2.0}}, {"i": 7}, []),
    "inc null": ({"i": {"inc": None}}, {}, [("i", "not_an_integer")]),
    "inc on text": ({"t": {"inc": 1}}, {}, [("t", "not_a_number")]),
    "inc on float": ({"f": {"inc": 1}}, {"f": 2.5}, []),
    "inc on nothing": ({"new": {"inc": 2}}, {"new": 2}, []),
    "inc past 2^63": ({"max": {"inc": 1}}, {}, [("max", "value_out_of_range")]),
    "add": ({"a": {"add": ["x", "z"]}}, {"a": ["y", "x", "z"]}, []),
    "add to text": ({"t": {"add": ["x"]}}, {}, [("t", "not_an_array")]),
    "add no array": ({"a": {"add": "x"}}, {}, [("a", "not_an_array")]),
    "remove missing": ({"new": {"remove": ["x"]}}, {}, [("new", "attribute_missing")]),
    "remove absent": ({"a": {"remove": ["q"]}}, {}, []),
    "two at once": ({"a": {"add": ["z"], "remove": ["x"]}}, {"a": ["y", "z"]}, []),
    "inc and add is an object": ({"i": {"inc": 1, "add": []}}, {"i": {"inc": 1, "add": []}}, []),
    "mixed operators": (
        {"new": {"add": [{"k": 1}], "$add": [{"k": 1}]}},
        {"new": [{"k": 1}]},
        [("new.add", "invalid_operation")],
    ),
    "array of objects": ({"new": [{"a": 1}, {"b": None}]}, {"new": [{"a": 1}, {}]}, [("new.1.b", "nested_null")]),
    "array with null": ({"new": [1, None]}, {}, [("new", "nested_null")]),
    "nested array": ({"new": [[1]]}, {}, [("new", "nested_array")]),
    "nested null": (
        {"o": {"k": None, "x": {"y": None}}},
        {"o": {"x": {}}},
        [("o.k", "nested_null"), ("o.x.y", "nested_null")],
    ),
    "consent": ({"$google_ad_user_data": True}, {"$google_ad_user_data": True}, []),
    "consent as text": ({"$google_ad_personalization": "false"}, {"$google_ad_personalization": False}, []),
    "consent as else": ({"$google_ad_personalization": "maybe"}, {}, [("$google_ad_personalization", "wrong_type")]),
    "consent cleared": ({"$google_ad_personalization": None}, {}, []),
    "other $ name": ({"$google_ad": True}, {}, [("$google_ad", "invalid_name")]),
    "mixed array": ({"new": [1, "1", True, 1.0, "2026-01-01"]}, {"new": [1, "1", True, "2026-01-01"]}, []),
    "501 elements": ({"new": list(range(501))}, {"new": list(range(500))}, []),
    "empty array": ({"new": []}, {"new": []}, []),
    "text of 256": ({"new": "a" * 256}, {}, [("new", "value_too_long")]),
    "text of 255": ({"new": "é" * 255}, {"new": "é" * 255}, []),
    "a date": ({"new": "2026-01-05"}, {"new": "2026-01-05T00:00:00.000Z"}, []),
    "$time": ({"new": {"$time": "01/05/2026"}}, {"new": "2026-01-05T00:00:00.000Z"}, []),
    "$time lenient": ({"new": {"$time": "20260105T0000,5"}}, {}, [("new", "invalid_time")]),
    "$time basic": ({"new": {"$time": " 20260105T000000Z "}}, {"new": "2026-01-05T00:00:00.000Z"}, []),
    "$time malformed": ({"new": {"$time": "x"}}, {}, [("new", "invalid_time")]),
    "replaces": ({"o": {"k": 2}}, {"o": {"k": 2}}, []),
    "merges": ({"_merge_objects": True, "o": {"k": None, "in": {"y": 2}}}, {"o": {"in": {"z": 1, "y": 2}}}, []),
    "merges by text": ({"_merge_objects": "true", "o": {"x": 1}}, {"o": {"k": 1, "in": {"z": 1}, "x": 1}}, []),
    "other type": ({"i": [1]}, {"i": [1]}, []),
}


@pytest.mark.parametrize(("update", "changes", "skipped"), OPERATIONS.values(), ids=OPERATIONS)
def test_72_operation(workspace: Workspace, update: Json, changes: Json, skipped: list[tuple[str, str]]) -> None:
    """Only the attribute that is wrong stays as it was; its neighbours change."""
    workspace.track({"attributes": [{"external_id": "x", **BEFORE}]})
    answer = workspace.track({"attributes": [{"external_id": "x", "neighbour": 1, **update}]})
    assert (answer.status, answer.errors) == (201, [])
    assert workspace.user("x") == profile_of(external_id="x", custom_attributes={**BEFORE, "neighbour": 1, **changes})
    assert [(field, reason) for _, _, field, reason in workspace.skipped(answer.request_id)] == skipped


# 74-77: events and purchases that are accepted

TIMES: Final = {
    "naive": ("2026-01-05T19:20:30", "2026-01-05T19:20:30.000Z"),
    "blank": ("2026-01-05 19:20:30", "2026-01-05T19:20:30.000Z"),
    "Ruby": ("2019-02-15 00:00:00 -0500", "2019-02-15T05:00:00.000Z"),
    "offset": ("2026-01-05T19:20:30+01:00", "2026-01-05T18:20:30.000Z"),
    "offset +99:99": ("2026-01-05T19:20:30+99:99", "2026-01-05T19:20:30.000Z"),
    "offset +1:00": ("2013-07-16T19:20:30+1:00", "2013-07-16T19:20:30.000Z"),
    "colon before milliseconds": ("2026-01-05T19:20:30:250Z", "2026-01-05T19:20:30.250Z"),
    "nanoseconds": ("2026-01-05T19:20:30.123456789Z", "2026-01-05T19:20:30.123Z"),
    "date": ("2026-01-05", "2026-01-05T00:00:00.000Z"),
    "American": ("01/05/2026", "2026-01-05T00:00:00.000Z"),
    "weekday": ("Mon 01 05 19:20:30.UTC 2026", "2026-01-05T19:20:30.000Z"),
    "leap second": ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
    "year 1": ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
}


@pytest.mark.parametrize(("sent", "stored"), TIMES.values(), ids=TIMES)
def test_74_time(workspace: Workspace, sent: str, stored: str) -> None:
    answer = workspace.track({"events": [with_(EVENT, time=sent)], "purchases": [with_(PURCHASE, time=sent)]})
    assert (answer.status, answer.errors) == (201, [])
    assert workspace.stored() == [
        profile_of(
            external_id="x", custom_events=[summary("e", stored)], purchases=[summary("p", stored)], total_revenue=1.0
        )
    ]


@pytest.mark.parametrize("sent", ["2126-01-01T00:00:00Z", "3000-12-31T23:59:59.999Z", "2126-01-01"])
def test_74_future_becomes_now(workspace: Workspace, sent: str) -> None:
    before = times_now()
    answer = workspace.track({"events": [with_(EVENT, time=sent)], "purchases": [with_(PURCHASE, time=sent)]})
    assert answer.status == 201
    (event,) = workspace.state().profiles.values()
    assert event.events is not None
    assert before - 1000 <= event.events["e"][1] == event.events["e"][2] <= times_now()
    assert event.first_purchase_us == event.last_purchase_us == event.events["e"][1]
    assert len(workspace.user("x")["custom_events"]) == 1


PURCHASES: Final[dict[str, tuple[Json, float, int]]] = {
    "refund": ({"price": -12.34}, -12.34, 1),
    "zero": ({"price": 0}, 0.0, 1),
    "text": ({"price": "12.34"}, 12.34, 1),
    "text with exponent": ({"price": "1.5e2"}, 150.0, 1),
    "float that is none": ({"price": 0.1, "quantity": 3}, 0.3, 3),
    "half a cent": ({"price": 0.005}, 0.01, 1),
    "rounded once": ({"price": 0.004, "quantity": 100}, 0.4, 100),
    "10^12": ({"price": 10**12, "quantity": 100}, 1e14, 100),
    "tiny": ({"price": 1e-300}, 0.0, 1),
    "lower case": ({"currency": "usd"}, 1.0, 1),
    "quantity 100": ({"quantity": 100}, 100.0, 100),
    "quantity 2.0": ({"quantity": 2.0}, 2.0, 2),
    "quantity null": ({"quantity": None}, 1.0, 1),
    "product number": ({"product_id": 1}, 1.0, 1),
    "currency without a rate": ({"currency": "EUR"}, 0.0, 1),
    "app_id": ({"app_id": "any placeholder"}, 1.0, 1),
    "app_id number": ({"app_id": 5}, 1.0, 1),
}


@pytest.mark.parametrize(("changes", "revenue", "count"), PURCHASES.values(), ids=PURCHASES)
def test_75_purchase(workspace: Workspace, changes: Json, revenue: float, count: int) -> None:
    answer = workspace.track({"purchases": [with_(PURCHASE, **changes)]})
    assert (answer.status, answer.counts, answer.errors) == (201, {"purchases": 1}, [])
    name = str(changes.get("product_id", "p"))
    assert workspace.stored() == [
        profile_of(external_id="x", purchases=[summary(name, ISO, count=count)], total_revenue=revenue)
    ]
    reasons = [reason for _, _, _, reason in workspace.skipped(answer.request_id)]
    assert reasons == (["no_usd_rate"] if changes.get("currency") == "EUR" else [])


@pytest.mark.parametrize("name", ["e" * 255, "\x07bell", "a\tb", "\u202e", "'; drop table profile; --", 5], ids=ascii)
def test_76_event_name(workspace: Workspace, name: object) -> None:
    assert workspace.track({"events": [with_(EVENT, name=name)]}).status == 201
    assert workspace.stored() == [profile_of(external_id="x", custom_events=[summary(str(name), ISO)])]


def test_76_names_are_trimmed(workspace: Workspace) -> None:
    workspace.track({"events": [with_(EVENT, name="  e ")], "purchases": [with_(PURCHASE, product_id=" p\n")]})
    (user,) = workspace.stored()
    assert (user["custom_events"][0]["name"], user["purchases"][0]["name"]) == ("e", "p")


@pytest.mark.parametrize(
    ("flag", "created"),
    [
        (GONE, False),
        (None, False),
        (True, False),
        ("true", False),
        (False, True),
        ("false", True),
        ("no", False),
        (0, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("array", list(GOOD))
def test_77_flag_with_an_alias(on_sqlite: Service, array: str, flag: object, created: bool) -> None:
    workspace = on_sqlite.workspace()
    obj = with_(GOOD[array], external_id=GONE, user_alias=alias(), _update_existing_only=flag)
    answer = workspace.track({array: [obj]})
    assert answer.counts == {array: 1}
    assert [user["user_aliases"] for user in workspace.stored()] == ([[alias()]] if created else [])
    assert workspace.skipped(answer.request_id) == ([] if created else [(array, 0, "", "profile_not_found")])


@pytest.mark.parametrize(
    ("flag", "created"), [(GONE, True), (False, True), (True, False), ("true", False), ("yes", True)], ids=str
)
@pytest.mark.parametrize("key", [{"external_id": "x"}, {"email": "x@example.org"}, {"phone": "+15043277269"}], ids=str)
def test_77_flag_with_others(on_sqlite: Service, key: Json, flag: object, created: bool) -> None:
    workspace = on_sqlite.workspace()
    obj = with_({**key, "n": 1}, _update_existing_only=flag)
    assert workspace.track({"attributes": [obj]}).status == 201
    assert len(workspace.stored()) == created


# 80: strings that somebody else would interpret


@pytest.mark.parametrize("text", INJECTIONS, ids=ascii)
def test_80_in_every_string(workspace: Workspace, text: str) -> None:
    """Wherever a text goes, it comes back as it was."""
    workspace.track({"attributes": [{"external_id": "bystander", "n": 1}]})
    answer = workspace.track(
        {
            "attributes": [
                {
                    "external_id": text,
                    "first_name": text,
                    "last_name": text,
                    "home_city": text,
                    "phone": text,
                    f"k{text}": text,
                    "list": [text],
                    "object": {"k": text},
                },
                {"user_alias": alias(text, text), "_update_existing_only": False},
            ],
            "events": [with_(EVENT, external_id=text, name=text, app_id=text, properties={text: text})],
            "purchases": [with_(PURCHASE, external_id=text, product_id=text, properties={text: [{text: text}]})],
        }
    )
    assert (answer.status, answer.errors) == (201, [])
    assert answer.counts == {"attributes": 2, "events": 1, "purchases": 1}
    name = f"k{text}".strip()
    expected = profile_of(
        external_id=text,
        first_name=text,
        last_name=text,
        home_city=text,
        phone=text,
        custom_attributes={name: text, "list": [text], "object": {"k": text}},
        custom_events=[summary(text.strip(), ISO)],
        purchases=[summary(text.strip(), ISO)],
        total_revenue=1.0,
    )
    bystander = profile_of(external_id="bystander", custom_attributes={"n": 1})
    assert workspace.stored() == [bystander, expected, profile_of(user_aliases=[alias(text, text)])]
    answer = workspace.post("/users/export/ids", {"external_ids": [text]})
    assert [user["external_id"] for user in answer.body["users"]] == [text]
    assert len(workspace.export(user_aliases=[alias(text, text)])) == 1
