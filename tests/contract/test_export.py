"""The selectors of /users/export/ids: what is asked for, in which order, and what is no question."""

import json

import pytest

from app.contract import export, exported
from app.contract.errors import RefusedError
from app.contract.exported import View
from app.domain.profile import ALIAS, BRAZE, DEVICE, EMAIL, EXTERNAL, PHONE, Profile

ALIAS_NL = {"alias_name": "n", "alias_label": "l"}


def keys(**document: object) -> list[object]:
    return [selector.key for selector in export.read(json.dumps(document).encode()).selectors]


def test_the_order_of_the_families() -> None:
    assert keys(
        email_address="A@Example.org", braze_id="b", user_aliases=[ALIAS_NL], external_ids=["y", "x", 5], partner="z"
    ) == [
        (EXTERNAL, "", "y"),
        (EXTERNAL, "", "x"),
        (EXTERNAL, "", "5"),
        (ALIAS, "l", "n"),
        (BRAZE, "", "b"),
        (EMAIL, "", "a@example.org"),
    ]


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"external_ids": ["a"], "user_aliases": [], "email_address": None, "phone": ""}, [(EXTERNAL, "", "a")]),
        ({"external_ids": [], "user_aliases": [ALIAS_NL]}, [(ALIAS, "l", "n")]),
        ({"external_ids": "", "user_aliases": "", "braze_id": "b"}, [(BRAZE, "", "b")]),
        ({"external_ids": 0}, [(EXTERNAL, "", "0")]),
        ({"external_ids": "a"}, [(EXTERNAL, "", "a")]),
        ({"phone": "(504) 327-7269"}, [(PHONE, "", "+15043277269")]),
        ({"phone": "call me"}, [None]),
        ({"email_address": "nobody"}, [None]),
        ({"device_id": "d"}, [(DEVICE, "", "d")]),
        ({"external_ids": ["", "x" * 988]}, [None, None]),
        (
            {"external_ids": ["x"] * 50, "user_aliases": [ALIAS_NL] * 50},
            [(EXTERNAL, "", "x")] * 50 + [(ALIAS, "l", "n")] * 50,
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_selectors(document: dict[str, object], found: list[object]) -> None:
    assert keys(**document) == found


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, export.NO_SELECTOR),
        ({"external_ids": [], "user_aliases": None}, export.NO_SELECTOR),
        ({"external_ids": "", "braze_id": ""}, export.NO_SELECTOR),
        ({"external_ids": {"a": 1}}, "'external_ids' must be an array of strings"),
        ({"braze_id": ["a"]}, "'braze_id' must be a string"),
        ({"email_address": {"a": 1}}, "'email_address' must be a string"),
        ({"external_ids": ["x"] * 51}, export.TOO_MANY_IDS),
        ({"user_aliases": [ALIAS_NL] * 51}, export.TOO_MANY_ALIASES),
        ({"user_aliases": [{}]}, export.NO_SELECTOR),
        ({"email_address": "a@example.org", "phone": "1"}, export.ONLY_ONE),
        ({"device_id": "d", "phone": "1"}, export.ONLY_ONE),
        ({"external_ids": ["a"], "fields_to_export": ["nothing", 5]}, export.NO_KNOWN_FIELD),
        ({"external_ids": ["a"], "fields_to_export": "email"}, export.NO_KNOWN_FIELD),
    ],
    ids=lambda value: str(value)[:60],
)
def test_no_question(document: dict[str, object], message: str) -> None:
    with pytest.raises(RefusedError) as refused:
        keys(**document)
    assert (refused.value.status, refused.value.message) == (400, message)


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        (None, None),
        ([], None),
        (["email", "sdk_version", "email"], {"email"}),
        (["devices", "sdk_version"], {"devices"}),
        (list(exported.RENDERERS), set(exported.RENDERERS)),
    ],
    ids=["omitted", "empty", "one unknown", "one that nobody has a value for", "all"],
)
def test_fields(fields: object, known: set[str] | None) -> None:
    body = json.dumps({"external_ids": ["a"], "fields_to_export": fields}).encode()
    assert export.read(body).fields == known


def test_an_empty_text_is_no_value() -> None:
    profile = Profile(1, "b" * 24, 0, 0, 0, "a", core={"first_name": "", "last_name": "L"}, custom={"k": ""})
    shown = exported.render(View(profile, None, 0), frozenset(("first_name", "last_name", "custom_attributes")))
    assert shown == {"last_name": "L", "custom_attributes": {"k": ""}}


def test_one_malformed_entry_does_not_stop_the_others() -> None:
    """An id is listed as invalid, as it was sent; an alias gets an error (DECISIONS D71)."""
    body = {
        "external_ids": ["a", True, ["b"], {"c": 1}, None, "d\0", "e" * 988, "f\ud83d", 5],
        "user_aliases": [ALIAS_NL, {}, "x", {"alias_name": "n\0", "alias_label": "l"}],
    }
    wanted = export.read(json.dumps(body).encode())
    found = [(selector.key is not None, selector.sent) for selector in wanted.selectors]
    assert found == [
        (True, "a"),
        (False, "true"),
        (False, '["b"]'),
        (False, '{"c":1}'),
        (False, "null"),
        (False, "d\0"),
        (False, "e" * 988),
        (False, ""),
        (True, "5"),
        (True, None),
    ]
    malformed = "'user_alias' must have 'alias_name' and 'alias_label'"
    assert [error.as_json() for error in wanted.errors] == [
        {"type": malformed, "input_array": "user_aliases", "index": 1},
        {"type": malformed, "input_array": "user_aliases", "index": 2},
        {"type": "must not contain the character NUL (U+0000)", "input_array": "user_aliases", "index": 3},
    ]
